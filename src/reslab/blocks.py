"""The residual block and its parts. No other module of reslab adds a skip.

Papers: He et al. 2015, "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), sections 3.2, 3.3
and 4.1; He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv 1603.05027), for pre-activation.
"""

import math
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError

Shortcut = Literal["A", "A-both", "B", "C", "none"]
Stride = Literal["1x1", "3x3"]
INITS = ("he", "he-in", "xavier", "orthogonal", "torch")  # and normal:STD


class Residual(nn.Module):
    """after(shortcut(x) + branch(x)); with shortcut=None the plain twin, after(branch(x)).

    Branch and shortcut map (N, ...) to the same shape. Further arguments (a mask) are passed to the branch only.
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None, after: nn.Module | None = None) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.after = nn.Identity() if after is None else after

    def forward(self, x: Tensor, *beside: Tensor | None) -> Tensor:
        if self.shortcut is None:
            return self.after(self.branch(x, *beside))
        return self.after(self.shortcut(x) + self.branch(x, *beside))


def bare(shortcut: nn.Module | None, after: nn.Module | None = None) -> nn.Sequential:
    """after(shortcut(x)): a block whose branch was removed; what is left keeps its names."""
    left = nn.Sequential()
    left.add_module("shortcut", nn.Identity() if shortcut is None else shortcut)
    left.add_module("after", nn.Identity() if after is None else after)
    return left


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
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, *self.pad))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, pad={self.pad}"


def conv(channels: int, width: int, size: int, *, stride: int = 1, norm: bool = True) -> nn.Conv2d:
    """A convolution that keeps the size at stride 1; it has a bias only if no BatchNorm follows."""
    return nn.Conv2d(channels, width, size, stride, padding=size // 2, bias=not norm)


def normalizer(width: int, norm: bool) -> nn.Module:
    """BatchNorm, or the identity if the net is built without it."""
    return nn.BatchNorm2d(width) if norm else nn.Identity()


def layer_sizes(block: str, channels: int, width: int) -> list[tuple[int, int, int]]:
    """(input channels, output channels, kernel) of each convolution of a branch; bottlenecks expand by four."""
    if block == "basic":
        return [(channels, width, 3), (width, width, 3)]
    return [(channels, width, 1), (width, width, 3), (width, 4 * width, 1)]


def post_branch(block: str, channels: int, width: int, *, stride: int, stride_on: Stride, norm: bool) -> nn.Sequential:
    """conv, BN, ReLU, ..., conv, BN; the last ReLU follows the addition (2015, Figures 2 and 5)."""
    layers = nn.Sequential()
    sizes = layer_sizes(block, channels, width)
    for i, (a, b, k) in enumerate(sizes, start=1):
        layers.add_module(f"conv{i}", conv(a, b, k, stride=stride if i == strided(block, stride_on) else 1, norm=norm))
        layers.add_module(f"norm{i}", normalizer(b, norm))
        if i < len(sizes):
            layers.add_module(f"relu{i}", nn.ReLU(inplace=True))
    return layers


def pre_branch(
    block: str, channels: int, width: int, *, stride: int, stride_on: Stride, norm: bool, shared: bool
) -> nn.Sequential:
    """BN, ReLU, conv, ... (2016, Figure 4e); `shared` omits the first BN and ReLU, which then precede the fork."""
    layers = nn.Sequential()
    for i, (a, b, k) in enumerate(layer_sizes(block, channels, width), start=1):
        if i > 1 or not shared:
            layers.add_module(f"norm{i}", normalizer(a, norm))
            # Not in place at the fork: the skip still needs the input.
            layers.add_module(f"relu{i}", nn.ReLU(inplace=norm or i > 1))
        layers.add_module(f"conv{i}", conv(a, b, k, stride=stride if i == strided(block, stride_on) else 1, norm=norm))
    return layers


def strided(block: str, stride_on: Stride) -> int:
    """Index (from 1) of the branch's convolution with the stride: the first, or in v1.5 the bottleneck's 3x3."""
    return 2 if block == "bottleneck" and stride_on == "3x3" else 1


def make_shortcut(
    option: Shortcut, channels: int, width: int, *, stride: int, norm: bool, followed: bool = True
) -> nn.Module | None:
    """The skip of one block under option A, B or C (section 3.3), or None for the plain twin.

    `followed`: whether a BatchNorm, if the net has them, follows a projection (2015: yes, 2016: no).
    """
    if option == "none":
        return None
    same = channels == width and stride == 1
    if option == "C" or (option == "B" and not same):
        layers = nn.Sequential()
        layers.add_module("conv", conv(channels, width, 1, stride=stride, norm=norm))
        if followed:
            layers.add_module("norm", normalizer(width, norm))
        return layers
    return nn.Identity() if same else PadShortcut(channels, width, stride=stride, both=option == "A-both")


def initialize(net: nn.Module, how: str) -> None:
    """Initialize the weights of every convolution and linear layer; biases are zero, BatchNorm is one and zero.

    `how`: "he" (fan-out for convolutions, as the authors' released code; fan-in for linear layers), "he-in",
    "xavier", "orthogonal", "normal:STD" or "torch" (PyTorch's defaults, for biases too).
    Raises UsageError for any other value.
    """
    check_init(how)
    if how == "torch":
        return
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight
            if how.startswith("normal:"):
                nn.init.normal_(weight, std=float(how.removeprefix("normal:")))
            elif how == "xavier":
                nn.init.xavier_normal_(weight)
            elif how == "orthogonal":
                nn.init.orthogonal_(weight, gain=math.sqrt(2))
            else:
                mode: Literal["fan_in", "fan_out"] = (
                    "fan_out" if how == "he" and isinstance(module, nn.Conv2d) else "fan_in"
                )
                nn.init.kaiming_normal_(weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def check_init(how: object) -> None:
    """Raise UsageError for a value that `initialize` does not accept."""
    kind, _, number = str(how).partition(":")
    try:
        known = 0 < float(number) < math.inf if kind == "normal" else how in INITS
    except ValueError:
        known = False
    if not known:
        raise UsageError(f"init must be {', '.join(INITS)} or normal:STD, got {how!r}")


def zero_last_norms(net: nn.Module) -> None:
    """Set the weight of each branch's last BatchNorm to zero, so that every residual block starts as its shortcut."""
    for module in net.modules():
        if isinstance(module, Residual) and isinstance(module.branch, nn.Sequential):
            norms = [m for m in module.branch if isinstance(m, nn.BatchNorm2d)]
            if norms and isinstance(list(module.branch)[-1], nn.BatchNorm2d):
                nn.init.zeros_(norms[-1].weight)
