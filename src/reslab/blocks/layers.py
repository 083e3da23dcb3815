"""The layers of a block's branch and shortcut (He et al. 2015, section 3.3; 2016, Figure 4)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shortcut = Literal["A", "A-both", "B", "C", "none"]
Stride = Literal["1x1", "3x3"]


class PadShortcut(nn.Module):
    """Option A: every second pixel, zeros in the new channels, no parameters (section 3.3).

    (N, C, H, W) to (N, width, ceil(H / stride), ceil(W / stride)). The paper appends the zero channels;
    `both` puts half of them before the others, as akamaster's trained CIFAR nets do.
    """

    def __init__(self, channels: int, width: int, *, stride: int, both: bool = False) -> None:
        super().__init__()
        before = (width - channels) // 2 if both else 0
        self.stride, self.pad = stride, (before, width - channels - before)

    def forward(self, x: Tensor) -> Tensor:
        step = slice(None, None, self.stride)
        if x.stride(1) != 1:
            return F.pad(x[:, :, step, step], (0, 0, 0, 0, *self.pad))
        x = x.permute(0, 2, 3, 1)  # channels last: only so is the gradient laid out as x, too
        return F.pad(x[:, step, step], self.pad).permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        return f"stride={self.stride}, pad={self.pad}"


class Shift(nn.Module):
    """x + b, with one learned number b, which starts at 0 (Fixup, arXiv 1901.09321, section 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


def conv(
    channels: int, width: int, size: int, *, stride: int = 1, norm: bool = True, shifts: bool = False
) -> nn.Conv2d:
    """A convolution that keeps the size at stride 1; it has a bias only if neither BatchNorm nor shifts replace it."""
    return nn.Conv2d(channels, width, size, stride, padding=size // 2, bias=not (norm or shifts))


def normalizer(width: int, norm: bool) -> nn.Module:
    """BatchNorm, or the identity if the net is built without it."""
    return nn.BatchNorm2d(width) if norm else nn.Identity()


def layer_sizes(block: str, channels: int, width: int) -> list[tuple[int, int, int]]:
    """(input channels, output channels, kernel) of each convolution of a branch; bottlenecks expand by four."""
    if block == "basic":
        return [(channels, width, 3), (width, width, 3)]
    return [(channels, width, 1), (width, width, 3), (width, 4 * width, 1)]


def post_branch(
    block: str, channels: int, width: int, *, stride: int, stride_on: Stride, norm: bool, shifts: bool = False
) -> nn.Sequential:
    """conv, BN, ReLU, ..., conv, BN; the last ReLU follows the addition (2015, Figures 2 and 5).

    `shifts`: a Shift before each convolution and ReLU (Fixup).
    """
    layers = nn.Sequential()
    sizes = layer_sizes(block, channels, width)
    for i, (a, b, k) in enumerate(sizes, start=1):
        if shifts:
            layers.add_module(f"shift{i}", Shift())
        step = stride if i == strided(block, stride_on) else 1
        layers.add_module(f"conv{i}", conv(a, b, k, stride=step, norm=norm, shifts=shifts))
        layers.add_module(f"norm{i}", normalizer(b, norm))
        if i < len(sizes):
            if shifts:
                layers.add_module(f"shift{i}_relu", Shift())
            layers.add_module(f"relu{i}", nn.ReLU(inplace=True))
    return layers


def pre_branch(
    block: str, channels: int, width: int, *, stride: int, stride_on: Stride, norm: bool, shared: bool,
    shifts: bool = False,
) -> nn.Sequential:  # fmt: skip
    """BN, ReLU, conv, ... (2016, Figure 4e); `shared` omits the first BN and ReLU, which then precede the fork.

    `shifts`: a Shift before each ReLU and convolution (Fixup).
    """
    layers = nn.Sequential()
    for i, (a, b, k) in enumerate(layer_sizes(block, channels, width), start=1):
        if i > 1 or not shared:
            layers.add_module(f"norm{i}", normalizer(a, norm))
            if shifts:
                layers.add_module(f"shift{i}_relu", Shift())
            # Not in place at the fork: the skip still needs the input.
            layers.add_module(f"relu{i}", nn.ReLU(inplace=norm or shifts or i > 1))
        if shifts:
            layers.add_module(f"shift{i}", Shift())
        step = stride if i == strided(block, stride_on) else 1
        layers.add_module(f"conv{i}", conv(a, b, k, stride=step, norm=norm, shifts=shifts))
    return layers


def strided(block: str, stride_on: Stride) -> int:
    """Index (from 1) of the branch's convolution with the stride: the first, or in v1.5 the bottleneck's 3x3."""
    return 2 if block == "bottleneck" and stride_on == "3x3" else 1


def make_shortcut(
    option: Shortcut, channels: int, width: int, *, stride: int, norm: bool, followed: bool = True, shifts: bool = False
) -> nn.Module | None:
    """The skip of one block under option A, B or C (section 3.3), or None for the plain twin.

    `followed`: whether a BatchNorm, if the net has them, follows a projection (2015: yes, 2016: no). `shifts`: a Shift
    before it (Fixup).
    """
    if option == "none":
        return None
    same = channels == width and stride == 1
    if option == "C" or (option == "B" and not same):
        layers = nn.Sequential()
        if shifts:
            layers.add_module("shift", Shift())
        layers.add_module("conv", conv(channels, width, 1, stride=stride, norm=norm, shifts=shifts))
        if followed:
            layers.add_module("norm", normalizer(width, norm))
        return layers
    return nn.Identity() if same else PadShortcut(channels, width, stride=stride, both=option == "A-both")
