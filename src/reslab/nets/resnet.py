"""Residual networks for images and their plain twins (He et al. 2015, sections 3.3, 3.4, 4.1, 4.2)."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from reslab import blocks
from reslab.errors import UsageError
from reslab.nets.matched import Match
from reslab.nets.predictions import Predict, Preprocess


@dataclass(frozen=True, kw_only=True)
class ResNetSpec:
    """Everything that defines a residual network (or its plain twin, shortcut "none"); plain data, stored as JSON."""

    name: str
    stages: tuple[int, ...]  # blocks in each stage; every stage but the first halves the size
    widths: tuple[int, ...]  # channels of each stage's 3x3 layers
    block: Literal["basic", "bottleneck"] = "basic"
    shortcut: blocks.Shortcut = "A"
    activation: Literal["post", "pre"] = "post"  # conv-BN-ReLU (2015) or BN-ReLU-conv (2016, "v2")
    stride_on: blocks.Stride = "1x1"  # the paper's bottleneck; "3x3" is torchvision's and timm's v1.5
    stem: Literal["imagenet", "cifar"] = "cifar"  # 7x7 stride 2 and max-pool, or one 3x3
    classes: int = 10
    channels: int = 3  # of the input image
    size: int = 32  # side of the images it is designed for, in pixels; others work too
    norm: bool = True
    init: str = "he"
    zero_last_norm: bool = False  # the paper does not
    scale: str = "none"  # of each branch before it is added: zero, depth, fixup, layer:START, fixed:FACTOR
    gate: str = "none"  # how skip and branch are added: half, exclusive:BIAS, shortcut:BIAS, dropout:P
    streams: str = "none"  # free:N, free-dynamic:N, stochastic:N, stochastic-dynamic:N in the place of one skip
    bare: tuple[int, ...] = ()  # blocks with their shortcut alone, as slimming leaves them; counted through all stages

    family: ClassVar[str] = "resnet"

    @property
    def depth(self) -> int:
        """Number of weighted layers on the longest path, without projections: the number in the name.

        Blocks that slimming left without their branch do not count.
        """
        return (sum(self.stages) - len(self.bare)) * (3 if self.block == "bottleneck" else 2) + 2

    def check(self) -> None:
        """Raise UsageError for a combination that cannot be built."""
        if not self.stages or len(self.stages) != len(self.widths):
            raise UsageError(f"stages and widths must have the same length, got {self.stages} and {self.widths}")
        growth = [b - a for a, b in zip(self.widths, self.widths[1:], strict=False)]
        if self.shortcut in ("A", "A-both") and min(growth, default=0) < 0:
            raise UsageError(f"shortcut A cannot reduce channels, but widths {self.widths} shrink; use shortcut B or C")
        if self.bare:
            self.check_bare()
        if self.zero_last_norm and (not self.norm or self.activation == "pre" or self.shortcut == "none"):
            raise UsageError(
                "zero_last_norm needs shortcuts, and branches that end in a BatchNorm; "
                f"got norm={self.norm}, activation {self.activation!r}, shortcut {self.shortcut!r}"
            )

        self.check_options()

    def check_options(self) -> None:
        """Raise UsageError for options of later papers' blocks that are unknown or exclude each other."""
        blocks.check_scale(self.scale)
        blocks.check_gate(self.gate)
        blocks.check_streams(self.streams)
        for key in ("scale", "gate", "streams"):
            if self.shortcut == "none" and getattr(self, key) != "none":
                raise UsageError(f"{key} needs shortcuts, got shortcut 'none' and {key} {getattr(self, key)!r}")
        if self.gate != "none" and self.streams != "none":
            raise UsageError(f"gate and streams exclude each other, got {self.gate!r} and {self.streams!r}")
        for key in ("gate", "streams"):
            if self.bare and getattr(self, key) != "none":
                raise UsageError(f"bare needs blocks that add a plain skip, got {key} {getattr(self, key)!r}")
        if self.scale == "fixup" and self.norm:
            raise UsageError("scale fixup replaces BatchNorm, but norm is True; set norm=False")
        if self.scale == "zero" and self.zero_last_norm:
            raise UsageError("scale zero and zero_last_norm together would keep each branch at zero: neither factor of "
                             "the product has a gradient; leave out one of them")  # fmt: skip

    @property
    def branches(self) -> int:
        """Number of blocks that have a branch: L of the scale "depth"."""
        return sum(self.stages) - len(self.bare)

    def check_bare(self) -> None:
        """Raise UsageError for a block that is not there, or of which nothing would be left."""
        last = sum(self.stages) - 1
        if self.shortcut == "none":
            raise UsageError(f"bare needs shortcuts, got shortcut 'none' and bare {self.bare}")
        if list(self.bare) != sorted(set(self.bare)) or not 0 <= self.bare[0] <= self.bare[-1] <= last:
            raise UsageError(f"bare must be increasing numbers of blocks from 0 to {last}, got {self.bare}")
        for i in self.bare:
            if not self.projects(i) and not (i == 0 and self.activation == "pre"):  # block 1 needs its own norm
                raise UsageError(f"bare block {i} has the identity as its shortcut: leave it out of stages instead")

    def projects(self, block: int) -> bool:
        """Whether the shortcut of a block, counted through all stages, is more than the identity."""
        stage, first = 0, 0
        while block >= first + self.stages[stage]:
            stage, first = stage + 1, first + self.stages[stage]
        if self.shortcut == "C" or (block == first and stage > 0):
            return self.shortcut != "none"
        return block == 0 and self.block == "bottleneck" and self.shortcut != "none"  # which widens in stage 0, too


class ResNet(nn.Module):
    """stem, stages of blocks, global average pool, one linear layer. (N, channels, H, W) to (N, classes)."""

    match: Match  # how the weights of a run or a checkpoint went in; only nets of `reslab.load` have it
    predict: Predict  # images to predictions; it and the next two are of nets that `reslab.load` read from a run
    classes: tuple[str, ...]
    preprocess: Preprocess

    def __init__(self, spec: ResNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.stem = make_stem(spec)
        self.stages = nn.Sequential()
        channels, number = spec.widths[0], 0
        for i, (count, width) in enumerate(zip(spec.stages, spec.widths, strict=True)):
            stage = nn.Sequential()
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                bare = number in spec.bare
                stage.append(make_block(spec, channels, width, stride=stride, number=number, bare=bare))
                channels, number = width * expansion(spec), number + 1
            self.stages.append(stage)
        self.last = nn.Sequential()
        if spec.streams != "none":
            self.last.add_module("gather", blocks.Gather())
        if spec.activation == "pre":  # the last addition has had no norm and no ReLU yet
            self.last.add_module("norm", blocks.normalizer(channels, spec.norm))
            if shifts(spec):
                self.last.add_module("shift_relu", blocks.Shift())
            self.last.add_module("relu", nn.ReLU(inplace=True))
        if shifts(spec):
            self.last.add_module("shift", blocks.Shift())  # of the head: the mean of the pool leaves it as it is
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(channels, spec.classes)
        blocks.initialize(self, spec.init)
        if spec.zero_last_norm:
            blocks.zero_last_norms(self)
        blocks.start_options(self)
        if spec.scale == "fixup":
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.stages(self.stem(x)))
        return self.head(self.pool(x).flatten(1))


def expansion(spec: ResNetSpec) -> int:
    return 4 if spec.block == "bottleneck" else 1


def shifts(spec: ResNetSpec) -> bool:
    """Whether learned numbers before the layers take the place of biases (Fixup)."""
    return spec.scale == "fixup"


def make_stem(spec: ResNetSpec) -> nn.Sequential:
    """The layers before the first block."""
    stem = nn.Sequential()
    large, width = spec.stem == "imagenet", spec.widths[0]
    kernel, stride = (7, 2) if large else (3, 1)
    first = blocks.conv(spec.channels, width, kernel, stride=stride, norm=spec.norm, shifts=shifts(spec))
    stem.add_module("conv", first)
    stem.add_module("norm", blocks.normalizer(width, spec.norm))
    if shifts(spec):
        stem.add_module("shift", blocks.Shift())
    stem.add_module("relu", nn.ReLU(inplace=True))
    if large:
        stem.add_module("pool", nn.MaxPool2d(3, stride=2, padding=1))
    if spec.streams != "none":
        stem.add_module("spread", blocks.Spread(blocks.read_streams(spec.streams)[1]))
    return stem


def make_block(
    spec: ResNetSpec, channels: int, width: int, *, stride: int, number: int, bare: bool = False
) -> nn.Module:
    """Block `number` of the spec: a Residual, preceded by a shared BN and ReLU if a pre-activation block projects.

    For the first block of a pre-activation net, the stem has already applied them (2016, appendix). A `bare` block
    has no branch.
    """
    out, first, fixup = width * expansion(spec), number == 0, shifts(spec)
    shortcut = blocks.make_shortcut(
        spec.shortcut, channels, out, stride=stride, norm=spec.norm, followed=spec.activation == "post", shifts=fixup
    )
    if spec.activation == "post":
        after = nn.ReLU(inplace=True)
        if bare:
            return blocks.bare(shortcut, after)
        branch = blocks.post_branch(
            spec.block, channels, width, stride=stride, stride_on=spec.stride_on, norm=spec.norm, shifts=fixup
        )
        return joined(spec, branch, shortcut, after, channels=channels, width=out, number=number)
    projects = isinstance(shortcut, nn.Sequential)
    done = first or projects  # norm and ReLU precede the fork
    residual: nn.Module
    if bare:
        residual = blocks.bare(shortcut)
    else:
        branch = blocks.pre_branch(
            spec.block, channels, width, stride=stride, stride_on=spec.stride_on, norm=spec.norm, shared=done,
            shifts=fixup,
        )  # fmt: skip
        residual = joined(spec, branch, shortcut, None, channels=channels, width=out, number=number)
    if first or not projects:
        return residual
    shared = nn.Sequential()
    shared.add_module("norm", blocks.normalizer(channels, spec.norm))
    if fixup:
        shared.add_module("shift", blocks.Shift())
    shared.add_module("relu", nn.ReLU())
    if spec.streams != "none":
        shared = blocks.EachStream(shared)
        return nn.Sequential(OrderedDict(shared=shared, residual=residual))
    shared.add_module("residual", residual)
    return shared


def joined(
    spec: ResNetSpec, branch: nn.Module, shortcut: nn.Module | None, after: nn.Module | None, *, channels: int,
    width: int, number: int,
) -> nn.Module:  # fmt: skip
    """Block `number` of a branch and a shortcut, from `channels` to `width` channels, with the spec's options."""
    scale = blocks.make_scale(spec.scale, width=width, branches=spec.branches)
    if spec.streams == "none":
        return blocks.Residual(branch, shortcut, after, scale=scale, gate=blocks.make_gate(spec.gate, width=width))
    assert shortcut is not None
    kind, n = blocks.read_streams(spec.streams)
    mixing = blocks.Mixing(n, channels, kind=kind, turn=number)
    return blocks.Streams(branch, shortcut, after, mixing=mixing, scale=scale)


def smallest_map(spec: ResNetSpec, size: int) -> int:
    """Side of the last stage's feature map for an image of `size` pixels."""
    halvings = len(spec.stages) - 1 + (2 if spec.stem == "imagenet" else 0)
    return math.ceil(size / 2**halvings)
