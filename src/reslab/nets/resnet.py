"""Residual networks for images and their plain twins (He et al. 2015, sections 3.3, 3.4, 4.1, 4.2)."""

import math
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
                stage.append(make_block(spec, channels, width, stride=stride, first=i == j == 0, bare=bare))
                channels, number = width * expansion(spec), number + 1
            self.stages.append(stage)
        self.last = nn.Sequential()
        if spec.activation == "pre":  # the last addition has had no norm and no ReLU yet
            self.last.add_module("norm", blocks.normalizer(channels, spec.norm))
            self.last.add_module("relu", nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(channels, spec.classes)
        blocks.initialize(self, spec.init)
        if spec.zero_last_norm:
            blocks.zero_last_norms(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.stages(self.stem(x)))
        return self.head(self.pool(x).flatten(1))


def expansion(spec: ResNetSpec) -> int:
    return 4 if spec.block == "bottleneck" else 1


def make_stem(spec: ResNetSpec) -> nn.Sequential:
    """The layers before the first block."""
    stem = nn.Sequential()
    large, width = spec.stem == "imagenet", spec.widths[0]
    kernel, stride = (7, 2) if large else (3, 1)
    stem.add_module("conv", blocks.conv(spec.channels, width, kernel, stride=stride, norm=spec.norm))
    stem.add_module("norm", blocks.normalizer(width, spec.norm))
    stem.add_module("relu", nn.ReLU(inplace=True))
    if large:
        stem.add_module("pool", nn.MaxPool2d(3, stride=2, padding=1))
    return stem


def make_block(
    spec: ResNetSpec, channels: int, width: int, *, stride: int, first: bool, bare: bool = False
) -> nn.Module:
    """One block of the spec: a Residual, preceded by a shared BN and ReLU if a pre-activation block projects.

    For the `first` block of a pre-activation net, the stem has already applied them (2016, appendix). A `bare` block
    has no branch.
    """
    out = width * expansion(spec)
    shortcut = blocks.make_shortcut(
        spec.shortcut, channels, out, stride=stride, norm=spec.norm, followed=spec.activation == "post"
    )
    if spec.activation == "post":
        after = nn.ReLU(inplace=True)
        if bare:
            return blocks.bare(shortcut, after)
        branch = blocks.post_branch(
            spec.block, channels, width, stride=stride, stride_on=spec.stride_on, norm=spec.norm
        )
        return blocks.Residual(branch, shortcut, after)
    projects = isinstance(shortcut, nn.Sequential)
    done = first or projects  # norm and ReLU precede the fork
    residual: nn.Module
    if bare:
        residual = blocks.bare(shortcut)
    else:
        branch = blocks.pre_branch(
            spec.block, channels, width, stride=stride, stride_on=spec.stride_on, norm=spec.norm, shared=done
        )
        residual = blocks.Residual(branch, shortcut)
    if first or not projects:
        return residual
    shared = nn.Sequential()
    shared.add_module("norm", blocks.normalizer(channels, spec.norm))
    shared.add_module("relu", nn.ReLU())
    shared.add_module("residual", residual)
    return shared


def smallest_map(spec: ResNetSpec, size: int) -> int:
    """Side of the last stage's feature map for an image of `size` pixels."""
    halvings = len(spec.stages) - 1 + (2 if spec.stem == "imagenet" else 0)
    return math.ceil(size / 2**halvings)
