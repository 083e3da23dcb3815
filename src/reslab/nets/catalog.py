"""From a name to a spec, and from a spec to a net. One literal table; CIFAR depths follow a rule."""

import re
import warnings
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Unpack, overload

from reslab import blocks
from reslab.errors import ReslabWarning, UsageError, arg, nearest
from reslab.nets.model import Model, ModelSpec, is_model_word
from reslab.nets.models import build_model, model_spec
from reslab.nets.options import NetOptions, ResNetName, ResNetOptions, VGGName, VGGOptions
from reslab.nets.published import PREFIX, folder_of, ours
from reslab.nets.resnet import ResNet, ResNetSpec, smallest_map
from reslab.nets.specs import of_family
from reslab.nets.vgg import VGG, VGGSpec
from reslab.stored.published import NAMED

Spec = ResNetSpec | VGGSpec | ModelSpec
Net = ResNet | VGG | Model

IMAGENET = {  # depth: block, blocks in each stage (2015, Table 1)
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
CIFAR = (20, 32, 44, 56, 110, 1202)  # the paper's depths (Table 6); any 6n+2 can be built
MOST_LAYERS = 100_000  # 6.5 GB of weights at the CIFAR widths; a typing error easily requests more
VGGS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHOICES = {
    "block": ("basic", "bottleneck"),
    "shortcut": ("A", "A-both", "B", "C", "none"),
    "activation": ("post", "pre"),
    "stride_on": ("1x1", "3x3"),
    "stem": ("imagenet", "cifar"),
    "head": ("imagenet", "cifar"),
}
NAME = re.compile(r"(?P<cifar>cifar_)?(?P<kind>resnet|plain)(?P<depth>\d{1,9})(?P<version>_v1\.5|_v2)?")
ELSEWHERE = (  # how the names of families of other libraries begin
    "resnext", "wide_resnet", "wideresnet", "wrn", "preresnet", "preact", "se_resnet", "seresnet", "res2net", "resnest",
    "resnetv2", "densenet", "mobilenet", "efficientnet", "convnext", "inception", "googlenet", "alexnet", "regnet",
    "squeezenet", "shufflenet", "mnasnet", "vit", "deit", "swin", "mixer", "cait",
)  # fmt: skip
VGG_NAME = re.compile(r"(?P<cifar>cifar_)?vgg(?P<depth>\d{1,9})(?P<bn>_bn)?")


def names() -> list[str]:
    """The names of all nets, ImageNet's first."""
    out = [f"{kind}{depth}" for kind in ("resnet", "plain") for depth in IMAGENET]
    out += [f"resnet{depth}_v1.5" for depth in (50, 101, 152)] + [f"resnet{depth}_v2" for depth in IMAGENET]
    out += [f"vgg{depth}{bn}" for depth in VGGS for bn in ("", "_bn")]
    out += [f"{kind}{depth}" for kind in ("resnet", "plain") for depth in CIFAR]
    out += [f"resnet{depth}_v2" for depth in CIFAR] + ["cifar_resnet50", "cifar_resnet152"]
    return out + [f"cifar_vgg{depth}_bn" for depth in VGGS]


@overload
def spec(name: ResNetName, **options: Unpack[ResNetOptions]) -> ResNetSpec: ...
@overload
def spec(name: VGGName, **options: Unpack[VGGOptions]) -> VGGSpec: ...
@overload
def spec(name: str, **options: Unpack[NetOptions]) -> Spec: ...
def spec(name: str, **options: Any) -> Spec:
    """The spec of the net `name`, with any of its fields changed: spec("resnet56", classes=100).

    "resnet50" is the paper's (stride on the 1x1), "resnet50_v1.5" torchvision's (stride on the 3x3) and
    "resnet50_v2" pre-activation; "plain50" has no shortcuts. "resnet20" and any other 6n+2 depth is a CIFAR
    net (9n+2 with block="bottleneck"); for depths that both families have, write "cifar_resnet50". "net:resnet20" is
    "resnet20". timm:NAME, torchvision:NAME, hf:NAME, a Hugging Face folder and FILE.py:FUNCTION name nets of others.

    Raises UsageError for an unknown name or option, with the nearest known one.
    """
    if not isinstance(name, str):
        raise UsageError(
            f"a net's name must be a string such as 'resnet20', got {name!r}; to build a spec, use reslab.build"
        )
    name = name.removeprefix("net:")
    if match := VGG_NAME.fullmatch(name):
        base: Spec = vgg_spec(name, match)
    elif match := NAME.fullmatch(name):
        base = resnet_spec(name, match, options.get("block"))
    elif is_model_word(name):
        refuse_weights(name)
        return model_spec(name, **options)
    else:
        refuse_weights(name)
        if elsewhere(name):
            raise UsageError(f"no net named {name!r}: reslab's own are ResNets, their plain twins and VGGs; a net of "
                             f"timm or torchvision is named timm:{name} or torchvision:{name}")  # fmt: skip
        raise UsageError(f"no net named {name!r}{nearest(name, names())}; `reslab nets` lists all names")
    known = {field.name for field in fields(base)}
    for key, value in options.items():
        if key not in known:
            raise UsageError(f"{name} has no option {key!r}{nearest(key, known)}")
        if isinstance(value, list):
            options[key] = tuple(value)
    return checked(replace(base, **options))


def refuse_weights(name: str) -> None:
    """Raise UsageError for a run or a checkpoint in the place of a net's name."""
    path = Path(name)
    run = (path / "spec.json").is_file() or (path.is_dir() and ours(path))
    run = run or (name.startswith(PREFIX) and folder_of(name) is not None)
    if run or (path.suffix in (".pt", ".pth", ".th", ".safetensors", ".bin", ".ckpt") and path.is_file()):
        rest = " takes its weights, and its net" if run else " takes them, beside the name of their net"
        raise UsageError(f"{name} is {'a run' if run else 'a file of weights'}, not the name of a net; ", arg("start"),
                         rest)  # fmt: skip


def elsewhere(name: str) -> bool:
    """Whether a name looks like another library's family, for which a suggestion would be a different net."""
    return name.lower().startswith(ELSEWHERE)


def cifar_name(kind: str, depth: int) -> str:
    """The name of a CIFAR net: cifar_resnet50, because resnet50 is ImageNet's."""
    return f"{'cifar_' if depth in IMAGENET else ''}{kind}{depth}"


def resnet_spec(name: str, match: re.Match[str], block: str | None) -> ResNetSpec:
    depth, version, plain = int(match["depth"]), match["version"], match["kind"] == "plain"
    activation: Any = "pre" if version == "_v2" else "post"
    if depth in IMAGENET and not match["cifar"]:
        kind, stages = IMAGENET[depth]
        return ResNetSpec(
            name=name, stages=stages, widths=(64, 128, 256, 512), block=kind,  # type: ignore[arg-type]
            shortcut="none" if plain else "B", activation=activation, classes=1000, size=224, stem="imagenet",
            stride_on="3x3" if version in ("_v1.5", "_v2") else "1x1",
        )  # fmt: skip
    per_block = 9 if block == "bottleneck" else 6
    n, rest = divmod(depth - 2, per_block)
    if rest or n < 1:
        below, known = max(n, 1) * per_block + 2, ", ".join(map(str, IMAGENET))
        raise UsageError(
            f"no net named {name!r}: ImageNet depths are {known}; CIFAR depths are {per_block}n+2, "
            f"such as {cifar_name(match['kind'], below)} and {cifar_name(match['kind'], below + per_block)}"
        )
    return ResNetSpec(
        name=name, stages=(n, n, n), widths=(16, 32, 64), block="bottleneck" if per_block == 9 else "basic",
        shortcut="none" if plain else "A", activation=activation,
        stride_on="3x3" if version == "_v1.5" else "1x1",
    )  # fmt: skip


def vgg_spec(name: str, match: re.Match[str]) -> VGGSpec:
    depth = int(match["depth"])
    if depth not in VGGS:
        raise UsageError(f"no net named {name!r}: VGG depths are {', '.join(map(str, VGGS))}")
    base = VGGSpec(name=name, stages=VGGS[depth], norm=bool(match["bn"]))
    return replace(base, head="cifar", size=32, classes=10) if match["cifar"] else base


def checked(spec: Spec) -> Spec:
    """The spec itself. Raises UsageError if it cannot be built."""
    if not isinstance(spec, Spec):
        raise UsageError(f"expected a spec, got {spec!r}; to build a net by name, use reslab.net")
    for key, choices in CHOICES.items():
        if getattr(spec, key, choices[0]) not in choices:
            raise UsageError(f"{key} must be one of {', '.join(choices)}, got {getattr(spec, key)!r}")
    for key in ("classes", "channels", "size"):
        value = getattr(spec, key)
        if type(value) is not int or value < 1:
            raise UsageError(f"{key} must be a positive whole number, got {value!r}")
    if isinstance(spec, ModelSpec):
        spec.check()
        return spec
    for key in ("stages", "widths"):
        value = getattr(spec, key)
        if not isinstance(value, tuple) or not all(type(v) is int and v > 0 for v in value):
            raise UsageError(f"{key} must be positive whole numbers, got {value!r}")
    numbers = getattr(spec, "bare", ())
    if not isinstance(numbers, tuple) or not all(type(n) is int for n in numbers):
        raise UsageError(f"bare must be numbers of blocks, got {numbers!r}")
    blocks.check_init(spec.init)
    spec.check()
    if spec.depth > MOST_LAYERS:
        raise UsageError(f"{spec.name} has {spec.depth:,} layers; the limit is {MOST_LAYERS:,}")
    return spec


@overload
def build(spec: ResNetSpec) -> ResNet: ...
@overload
def build(spec: VGGSpec) -> VGG: ...
@overload
def build(spec: ModelSpec) -> Model: ...
def build(spec: Spec) -> Net:
    """The net of a spec, initialized from torch's random state. Warns if the stem does not suit the image size."""
    checked(spec)
    if isinstance(spec, ModelSpec):
        return build_model(spec)
    if isinstance(spec, VGGSpec):
        return VGG(spec)
    if spec.stem == "imagenet" and smallest_map(spec, spec.size) < 3:
        small = ReslabWarning(
            f"{spec.name} has the ImageNet stem, designed for 224 pixels: {spec.size}-pixel images shrink to "
            f"{smallest_map(spec, spec.size)}x{smallest_map(spec, spec.size)} in the last stage; ",
            arg("stem", "cifar"),
            " keeps them larger",
        )
        warnings.warn(small, stacklevel=2)
    if spec.stem == "cifar" and spec.size > 96:
        costly = ReslabWarning(
            f"{spec.name} has the CIFAR stem, designed for 32 pixels: {spec.size}-pixel images cost "
            f"{(spec.size / 32) ** 2:.0f} times as much; ",
            arg("stem", "imagenet"),
            " shrinks them first",
        )
        warnings.warn(costly, stacklevel=2)
    return ResNet(spec)


@overload
def net(name: ResNetName, **options: Unpack[ResNetOptions]) -> ResNet: ...
@overload
def net(name: VGGName, **options: Unpack[VGGOptions]) -> VGG: ...
@overload
def net(name: str, **options: Unpack[NetOptions]) -> Net: ...
def net(name: str, **options: Any) -> Net:
    """The net `name`, ready to train: net("resnet56", classes=10, shortcut="A"). Its spec is net.spec."""
    return build(spec(name, **options))


def to_dict(spec: Spec) -> dict[str, Any]:
    """The spec as JSON-ready data; `from_dict` restores it."""
    return {"family": spec.family, **asdict(spec)}


def from_dict(data: dict[str, Any]) -> Spec:
    """The spec that `to_dict` wrote. Raises UsageError for an unknown family or field."""
    if data.get("family") == NAMED:  # of a folder of the Hub that others made
        return spec(**{key: value for key, value in data.items() if key != "family"})
    kinds = {kind.family: kind for kind in (ResNetSpec, VGGSpec, ModelSpec)}
    found: Spec = of_family(data, kinds, "a net's spec", check=checked)
    return found
