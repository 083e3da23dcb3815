"""What transformers builds from a config, and whether a model is that."""

import contextlib
import copy
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from reslab.errors import first_line
from reslab.slim.cutting.forms import NotExpressed
from reslab.slim.cutting.structure import Difference, differences


def built(like: nn.Module, spec: dict[str, Any], options: Mapping[str, Any]) -> nn.Module:
    """The model that transformers builds from these fields, without weights where the class allows it."""
    model: Any = like
    config = type(model.config).from_dict(copy.deepcopy(spec))
    take_kernels(config, model.config)
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                made: nn.Module = type(model)(copy.deepcopy(config), **options)
        except Exception:
            made = type(model)(config, **options)  # some read numbers off a tensor while they are built
    return made


def take_kernels(config: Any, of: Any) -> None:
    """Let a config, and those in it, ask for the same functions of attention and experts: the model runs by them."""
    for name, value in list(vars(of).items()):
        if name.endswith("_implementation_internal"):
            setattr(config, name, value)
        elif hasattr(value, "to_dict") and type(getattr(config, name, None)) is type(value):
            take_kernels(getattr(config, name), value)


def as_built(model: nn.Module) -> tuple[dict[str, Any], frozenset[tuple[str, str]]]:
    """The arguments with which its class builds this model from its config, and harmless differences from it.

    Raises NotExpressed if the model is not what its config says: it was edited, and its own reload would differ.
    """
    given: Any = model
    spec = given.config.to_dict()
    options: dict[str, Any] = {}
    try:
        found = differences(model, built(model, spec, {}))
    except Exception as error:  # of many classes, as its config is read and its modules are made
        raise NotExpressed(
            f"{type(model).__name__} cannot be built from its own config: {first_line(error)}"
        ) from error
    for name, one in inspect.signature(type(model).__init__).parameters.items():
        if any(map(grave, found)) and isinstance(one.default, bool):  # add_pooling_layer
            with contextlib.suppress(Exception):
                other = {name: not one.default}
                options, found = min((options, found), (other, differences(model, built(model, spec, other))), key=far)
    for each in found:
        if grave(each):
            raise NotExpressed(f"{type(model).__name__} is not what its config describes: {each}")
    return options, frozenset((each.path, each.name) for each in found)


def far(tried: tuple[dict[str, Any], list[Difference]]) -> int:
    return sum(map(grave, tried[1]))


def grave(each: Difference) -> bool:
    """Whether it concerns modules or the shapes of weights, which a reload needs."""
    return not each.name or each.tensor
