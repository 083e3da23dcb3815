"""Change or copy every tensor of an example, whatever holds it: containers, dataclasses, a cache of keys and values."""

import copy
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError

# A pass cannot change these, or, as a module's weights, they belong to the model.
SHARED = (
    str, bytes, int, float, complex, type(None), slice, range, Enum, type, types.ModuleType, types.FunctionType,
    types.BuiltinFunctionType, types.MethodType, torch.dtype, torch.device, torch.Size, nn.Module,
)  # fmt: skip


def own(example: Any) -> Any:
    """A copy of the example, for one pass: a model may write into its inputs or lengthen a cache."""
    return each(example, lambda tensor: tensor.detach().clone().requires_grad_(tensor.requires_grad))


def each(example: Any, change: Callable[[Tensor], Any]) -> Any:
    """The example with `change` applied to each of its tensors; nothing that could be written into is shared with it.

    Raises UsageError for an object that cannot be copied.
    """
    copies = Copies(change)
    if isinstance(example, Mapping):  # keyword arguments
        return {key: copies.of(value) for key, value in example.items()}
    return copies.of(example)


class Copies:
    """Copies by the id of what was copied: what occurs twice is copied once."""

    def __init__(self, change: Callable[[Tensor], Any]) -> None:
        self.change = change
        self.made: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        if isinstance(value, SHARED):
            return value
        if id(value) not in self.made:
            self.made[id(value)] = self.new(value)
        return self.made[id(value)]

    def new(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self.change(value)
        if isinstance(value, torch.Generator):
            return value.clone_state()
        if type(value) is dict:
            return {key: self.of(item) for key, item in value.items()}
        if type(value) in (list, tuple, set):
            return type(value)(self.of(item) for item in value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(self.of(item) for item in value))
        return self.copied(value)

    def copied(self, value: Any) -> Any:
        """A deep copy of an object, with its tensors changed."""
        memo = {id(held): self.of(held) for held in inside(value)}
        try:
            return copy.deepcopy(value, memo)
        except Exception as error:
            raise UsageError(
                f"the example holds a {type(value).__name__}, which cannot be copied ({error}), but each pass needs "
                "an example of its own, as a model may change it: pass tensors, lists or dicts"
            ) from error


def inside(value: Any) -> Iterator[Any]:
    """What a deep copy must not copy by itself: the tensors, generators and modules that an object holds."""
    waiting, seen = [value], {id(value)}
    while waiting:
        for item in parts(waiting.pop()):
            if id(item) in seen:
                continue
            seen.add(id(item))
            if isinstance(item, Tensor | torch.Generator | nn.Module):
                yield item
            elif not isinstance(item, SHARED):
                waiting.append(item)


def parts(value: Any) -> list[Any]:
    """What an object holds: the items of a container, and its attributes."""
    found = [] if type(value) in (dict, list, tuple) else list(attributes(value).values())
    if isinstance(value, dict):
        found += [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "deque":
        found += list(value)
    return found


def attributes(value: Any) -> dict[str, Any]:
    """The attributes of an object, by name; of an object with slots, too."""
    named = getattr(value, "__dict__", None)
    found = dict(named) if isinstance(named, dict) else {}
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found
