"""What a grid varies: `lr=0.1,0.01` is a key of the recipe, `shortcut=A,B` an option of the net."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from reslab.errors import UsageError, arg, nearest
from reslab.nets.catalog import IMAGENET, cifar_name
from reslab.nets.resnet import ResNetSpec
from reslab.nets.vgg import VGGSpec
from reslab.train.recipe import Recipe, merged

Kind = Literal["depth", "net", "recipe"]
DEPTH = "depth"
OF_DATA = ("name", "classes", "channels", "size")  # fields of a spec that nobody chooses here
NAME = re.compile(r"(net:)?(?P<cifar>cifar_)?(?P<kind>resnet|plain|vgg)(?P<depth>\d*)(?P<rest>.*)")


@dataclass(frozen=True, kw_only=True)
class Key:
    """One thing that is varied, and its values in the order given."""

    name: str
    kind: Kind
    values: tuple[Any, ...]


def options_of_nets() -> set[str]:
    """Every option that a net of reslab can have."""
    return {field.name for one in (ResNetSpec, VGGSpec) for field in fields(one)} - set(OF_DATA)


def read_keys(vary: Sequence[str]) -> list[Key]:
    """The keys of words such as "lr=0.1,0.01"; several numbers of one value are joined by +, as in "widths=8+16+32".

    Raises UsageError for a word without values, an unknown key (with the nearest known one), a value that its key
    cannot have, and a key or a value that is given twice.
    """
    keys: list[Key] = []
    for word in vary:
        name, _, text = word.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        each = [one.strip() for one in text.split(",")]
        if not text or not all(each):
            raise UsageError(f"{word!r} does not say which values to try; write it as ", arg("vary", "lr=0.1,0.01"))
        kind = kind_of(name)
        values = tuple(value_of(name, kind, one) for one in each)
        if any(key.name == name for key in keys):
            raise UsageError(f"{name} is varied twice; give all of its values at once, separated by commas")
        if len(set(values)) < len(values):
            raise UsageError(f"{name} has a value twice: {text}")
        keys.append(Key(name=name, kind=kind, values=values))
    return keys


def kind_of(name: str) -> Kind:
    """Whether the key is of the recipe or of the net. Raises UsageError for one that cannot be varied."""
    if name == DEPTH:
        return "depth"
    if name in ("seed", "seeds"):
        raise UsageError("every combination is trained from the same seeds: set how many with ", arg("seeds", 3))
    if name == "net":
        raise UsageError("name several nets with ", arg("net"), ", given once for each")
    if name in OF_DATA:
        raise UsageError(f"{name} follows from the data and cannot be varied")
    recipe = {field.name for field in fields(Recipe)} - {"checkpointing", "seed"}
    options = options_of_nets()
    if name in recipe:
        return "recipe"
    if name in options:
        return "net"
    known = {*recipe, *options, DEPTH}
    raise UsageError(f"{name!r} is neither an option of a net nor a key of a recipe{nearest(name, known)}")


def value_of(name: str, kind: Kind, text: str) -> Any:
    """The value of a key that a text names; of the recipe, checked and converted."""
    plain = number_or_word(text)
    several = [number_or_word(one) for one in text.split("+")]
    if len(several) > 1 and all(is_number(one) for one in several):
        plain = tuple(several)
    if kind == "recipe":
        default = getattr(Recipe(), name)
        if isinstance(default, tuple) and is_number(plain):
            plain = (plain,)
        return getattr(merged(Recipe(), {name: plain}), name)
    if kind == "depth" and not (type(plain) is int and plain > 0):
        raise UsageError(f"depth must be a number of layers, got {text!r}")
    if name in ("stages", "widths", "bare") and is_number(plain):
        plain = (plain,)
    return plain


def number_or_word(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def with_depth(net: str, depth: int | None) -> str:
    """The name of the net at another depth: resnet20 and resnet at 56 are resnet56, cifar_resnet20 at 50 is not
    ImageNet's. Raises UsageError for a net whose name has no depth.
    """
    found = NAME.fullmatch(net)
    if depth is None:
        return net
    if found is None:
        raise UsageError(f"the depth of {net!r} cannot be varied: the nets that have one are resnetN, plainN and vggN")
    cifar = found["cifar"] or ""
    if depth in IMAGENET and found["depth"] and int(found["depth"]) not in IMAGENET and found["kind"] != "vgg":
        return cifar_name(found["kind"], depth) + found["rest"]
    return f"{cifar}{found['kind']}{depth}{found['rest']}"


def is_plain(net: str) -> bool:
    """Whether the named net has no shortcuts by its name."""
    found = NAME.fullmatch(net)
    return found is not None and found["kind"] == "plain"
