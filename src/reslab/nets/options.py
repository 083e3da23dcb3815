"""Types of `reslab.net` for editors and checkers: the names of nets, and their options.

Nothing here runs. tests/typing compares it with the specs and the catalog.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from reslab.blocks import Shortcut, Stride

ResNetName = Literal[
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "plain18", "plain34", "plain50", "plain101",
    "plain152", "resnet50_v1.5", "resnet101_v1.5", "resnet152_v1.5", "resnet18_v2", "resnet34_v2", "resnet50_v2",
    "resnet101_v2", "resnet152_v2", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202",
    "plain20", "plain32", "plain44", "plain56", "plain110", "plain1202", "resnet20_v2", "resnet32_v2", "resnet44_v2",
    "resnet56_v2", "resnet110_v2", "resnet1202_v2", "cifar_resnet50", "cifar_resnet152",
]  # fmt: skip

VGGName = Literal[
    "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "cifar_vgg11_bn",
    "cifar_vgg13_bn", "cifar_vgg16_bn", "cifar_vgg19_bn",
]  # fmt: skip


class SharedOptions(TypedDict, total=False):
    """Fields that every net's spec has."""

    stages: Sequence[int]
    widths: Sequence[int]
    classes: int
    channels: int  # of the input image
    size: int  # side of the images in pixels
    norm: bool
    init: str


class ResNetOptions(SharedOptions, total=False):
    """Fields of ResNetSpec that `net`, `spec` and `load` take by name."""

    block: Literal["basic", "bottleneck"]
    shortcut: Shortcut
    activation: Literal["post", "pre"]
    stride_on: Stride
    stem: Literal["imagenet", "cifar"]
    zero_last_norm: bool
    scale: str  # none, zero, depth, fixup, layer:START or fixed:FACTOR
    gate: str  # none, half, exclusive:BIAS, shortcut:BIAS or dropout:P
    streams: str  # none, free:N, free-dynamic:N, stochastic:N or stochastic-dynamic:N
    bare: Sequence[int]  # blocks whose branch slimming has removed


class VGGOptions(SharedOptions, total=False):
    """Fields of VGGSpec that `net`, `spec` and `load` take by name."""

    head: Literal["imagenet", "cifar"]


class ModelOptions(TypedDict, total=False):
    """Fields of ModelSpec that `spec` takes by name, beside classes, channels and size."""

    arguments: dict[str, Any]  # of the function that builds the net of another library or file


class NetOptions(ResNetOptions, VGGOptions, ModelOptions, total=False):
    """Options of a net whose family a checker cannot see."""
