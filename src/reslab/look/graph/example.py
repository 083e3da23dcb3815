"""The inputs of an arbitrary model, and what it returns."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from reslab.errors import UsageError
from reslab.look.graph.copies import each

Example = Tensor | tuple | list | Mapping[str, Any]


def arguments(example: Example) -> tuple[tuple, dict[str, Any]]:
    """The example as positional and keyword arguments. Raises UsageError for any other type."""
    if isinstance(example, Tensor):
        return (example,), {}
    if isinstance(example, Mapping):
        return (), {str(key): value for key, value in example.items()}
    if isinstance(example, tuple | list):
        return tuple(example), {}
    raise UsageError(
        "an example input must be a tensor, a tuple of arguments or a dict of keyword arguments, got "
        f"{type(example).__name__}"
    )


def describe(example: Example) -> str:
    """A short description of the example: the shapes and types of its tensors."""
    args, kwargs = arguments(example)
    words = [brief(value) for value in args] + [f"{key}={brief(value)}" for key, value in kwargs.items()]
    return f"the example ({', '.join(words)})"


def brief(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)} on {value.device}"
    return type(value).__name__


def tensors(value: Any) -> list[Tensor]:
    """Every tensor in nested tuples, lists, mappings, dataclasses and transformers outputs, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    elif hasattr(value, "__dataclass_fields__"):
        value = [getattr(value, name) for name in value.__dataclass_fields__]
    if isinstance(value, tuple | list):
        return [found for item in value for found in tensors(item)]
    return []


def with_tensor(value: Any, old: Tensor, new: Tensor) -> Any:
    """A module's output with `new` in place of `old`; everything else is unchanged."""
    if value is old:
        return new
    if isinstance(value, Mapping):
        changed: Any = copy.copy(value)  # transformers' outputs are mappings with attributes
        for key, item in value.items():
            changed[key] = with_tensor(item, old, new)
        return changed
    if isinstance(value, tuple | list):
        items = [with_tensor(item, old, new) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return dataclasses.replace(value, **{name: with_tensor(getattr(value, name), old, new) for name in names})
    return value


def first_of(value: Any) -> Tensor | None:
    """The first floating-point tensor in a module's input or output."""
    return next((t for t in tensors(value) if t.is_floating_point() or t.is_complex()), None)


def batch_size(example: Example) -> int:
    """The first dimension of the first tensor that goes in. Raises UsageError if there is no such tensor."""
    args, kwargs = arguments(example)
    found = [tensor for tensor in tensors([*args, *kwargs.values()]) if tensor.dim()]
    if not found:
        raise UsageError(f"{describe(example)} has no tensor with a batch dimension")
    return found[0].shape[0]


def rows(example: Example, start: int, stop: int) -> Any:
    """Samples start to stop of the example; tensors without a batch dimension of that size stay whole."""
    n = batch_size(example)
    return each(example, lambda t: t[start:stop] if t.dim() and t.shape[0] == n else t)


def repeated(example: Example, times: int) -> Any:
    """The batch repeated `times` times, copies outermost: (times * N, ...)."""
    n = batch_size(example)
    return each(example, lambda t: t.repeat(times, *[1] * (t.dim() - 1)) if t.dim() and t.shape[0] == n else t)


def scores(output: Any) -> Tensor:
    """The model's scores: its logits if the output names them, else its first floating-point tensor.

    Raises UsageError if the output has none.
    """
    for name in ("logits", "last_hidden_state"):
        found = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(found, Tensor):
            return found
    floating = [tensor for tensor in tensors(output) if tensor.is_floating_point()]
    if not floating:
        raise UsageError(f"the model's output, {type(output).__name__}, has no floating-point tensor to measure")
    return floating[0]
