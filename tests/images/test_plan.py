"""Names of run folders: each flag that changes a run changes the name; names stay short."""

from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from reslab.cli.options import _DataFlags, _NetFlags
from reslab.images.data import ImageData
from reslab.images.defaults import Chosen, choose
from reslab.images.plan import UNNAMED, Asked, Plan
from reslab.nets import spec
from reslab.train.naming import UNNAMED as UNNAMED_KEYS
from reslab.train.recipe import Recipe, merged, read

RECIPE = [one.name for one in fields(Recipe)]
TEXTS = {"freeze": "backbone", "init": "torch", "shortcut": "B", "block": "bottleneck", "activation": "pre",
         "stride_on": "3x3", "stem": "imagenet"}  # fmt: skip


def plan(data: ImageData, *, net: str = "cifar_resnet164", **asked: Any) -> Plan:
    """The plan of a request, whose recipe's own rules are not checked: any key may be changed alone."""
    request = Asked(data=data, net=net, recipe="digits", **asked)
    base, made = read("digits"), merged(read("digits"), dict(request.changes))
    named = {key: value for key, value in request.changes.items()
             if key not in UNNAMED_KEYS and value != getattr(base, key)}  # fmt: skip
    return Plan(asked=request, data=data, options=request.options, net=spec(net, **request.net_options), base=spec(net),
                word=net, chosen=Chosen(name="digits", recipe=made, named=named, fitted=(), reasons=()), reasons=(),
                )  # fmt: skip


def other(hint: Any, value: Any, key: str) -> Any:
    """Another value of the same type."""
    if key in TEXTS:
        return TEXTS[key]
    if get_origin(hint) is not None and get_args(hint):
        kinds = [one for one in get_args(hint) if one is not type(None)]
        if isinstance(kinds[0], str):  # a Literal
            return next(one for one in kinds if one != value)
        if get_origin(hint) is tuple:
            return (0.25, 0.5)
        hint = kinds[0]
    return {bool: not value, int: 7, float: 0.125, str: "other", Path: Path("/x"), list[str]: ["a"]}.get(hint, "other")


@pytest.mark.parametrize(
    "key", [one.name for one in fields(Recipe) if one.name not in (*UNNAMED_KEYS, "checkpointing")]
)
def test_each_key_of_a_recipe_changes_the_name(key: str, digits: ImageData) -> None:
    value = other(get_type_hints(Recipe)[key], getattr(read("digits"), key), key)
    assert plan(digits, changes={key: value}).names()[0] != plan(digits).names()[0]


@pytest.mark.parametrize("key", ["batch", "epochs", "validation", "lr", "keep", "flip", "pad", "momentum"])
def test_so_does_each_where_the_recipe_is_chosen(key: str, digits: ImageData) -> None:
    """Whatever the value: also that of the recipe's file, which may not be the one that is used."""
    value = getattr(read("small"), key)
    values = {value, *({0.25} if isinstance(value, float) else ())} - ({0.9} if key == "momentum" else set())
    for one in values:
        assert choose(digits, changes={key: one}).named == {key: one}


def test_the_seed_has_its_own_place(digits: ImageData) -> None:
    assert plan(digits, changes={"seed": 7}).names()[0] == "digits-cifar_resnet164-digits-s7"


@pytest.mark.parametrize("key", [one.name for one in fields(_DataFlags) if one.name not in UNNAMED])
def test_each_option_of_the_data_changes_the_name(key: str, digits: ImageData) -> None:
    value = other(get_type_hints(_DataFlags)[key], None, key)
    assert plan(digits, options={key: value}).names()[0] != plan(digits).names()[0]


@pytest.mark.parametrize("key", [one.name for one in fields(_NetFlags)])
def test_each_option_of_the_net_changes_the_name(key: str, digits: ImageData) -> None:
    value = other(get_type_hints(_NetFlags)[key], getattr(spec("cifar_resnet164"), key, None), key)
    value = {"norm": False, "zero_last_norm": True, "scale": "zero", "gate": "half", "streams": "free:2"}.get(
        key, value
    )
    assert plan(digits, net_options={key: value}).names()[0] != plan(digits).names()[0]


def test_weights_and_an_option_that_changes_nothing(digits: ImageData) -> None:
    assert plan(digits, start="runs/other").names()[0] == "digits-cifar_resnet164-digits-from-other-s0"
    assert plan(digits, net_options={"norm": True}).names()[0] == plan(digits).names()[0]


def test_names_stay_short(digits: ImageData) -> None:
    """A folder's name has at most 255 bytes, whatever the words are."""
    many = {"lr": 0.123456, "momentum": 0.123456, "weight_decay": 0.123456, "label_smoothing": 0.123456, "ema": 0.5}
    found = plan(digits, changes=many, options={"label_columns": ["a" * 200]}, start=f"/x/{'w' * 300}").names()[0]
    assert len(found.encode()) < 200
