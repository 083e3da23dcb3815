"""Call an arbitrary model: pass inputs, read outputs, and leave it unchanged."""

import contextlib
import copy
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError

Example = Tensor | tuple | list | Mapping[str, Any]


def call(model: nn.Module, example: Example) -> Any:
    """model(example): a tensor is the only argument, a tuple or list the arguments, a mapping the keyword arguments.

    Raises UsageError if the model does not accept the example.
    """
    args, kwargs = arguments(example)
    try:
        return model(*args, **kwargs)
    except ReslabError:
        raise
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError, AssertionError) as error:
        if isinstance(error, RuntimeError) and "memory" in str(error):
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise UsageError(f"{type(model).__name__} does not accept {describe(example)}: {reason}") from error


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
    return next((t for t in tensors(value) if t.is_floating_point()), None)


def batch_size(example: Example) -> int:
    """The first dimension of the first tensor that goes in. Raises UsageError if there is no such tensor."""
    args, kwargs = arguments(example)
    found = [tensor for tensor in tensors([*args, *kwargs.values()]) if tensor.dim()]
    if not found:
        raise UsageError(f"{describe(example)} has no tensor with a batch dimension")
    return found[0].shape[0]


def each(example: Example, change: Any) -> Any:
    """The example with `change` applied to each of its tensors."""
    if isinstance(example, Tensor):
        return change(example)
    if isinstance(example, Mapping):
        return {key: each(value, change) for key, value in example.items()}
    if isinstance(example, tuple | list):
        return tuple(each(value, change) for value in example)
    return example


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


@contextlib.contextmanager
def as_it_was(model: nn.Module, *, evaluate: bool = True) -> Iterator[nn.Module]:
    """Inside, the model may be used freely, in eval mode unless `evaluate` is False; at the end it is restored.

    Training flags, requires_grad, gradients (None inside), buffers and the random number generator are restored, also
    after an exception.
    """
    modules = [(module, module.training, dict(module._buffers)) for module in model.modules()]
    held = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    buffers = [(b, b.clone()) for b in model.buffers() if b.device.type != "meta"]
    devices = sorted({p.device.index or 0 for p, _, _ in held if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices), slow_attention():
        try:
            for p, _, _ in held:
                p.grad = None
            for module, _, _ in modules:
                # Not eval(): some models make irreversible changes there, such as merging their adapters.
                module.training = module.training and not evaluate
            yield model
        finally:
            for module, flag, named in modules:
                module.training = flag
                module._buffers.clear()  # the model may have replaced a buffer
                module._buffers.update(named)
            for p, needs, grad in held:
                p.requires_grad_(needs)
                p.grad = grad
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)


class Users:
    """How many users in all threads need PyTorch's fused attention off; the last one restores the setting."""

    lock, count, before = threading.Lock(), 0, True


@contextlib.contextmanager
def slow_attention() -> Iterator[None]:
    """Inside, transformer layers do not hide their additions in a fused kernel."""
    with Users.lock:
        if not Users.count:
            Users.before = torch.backends.mha.get_fastpath_enabled()
        Users.count += 1
        torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        with Users.lock:
            Users.count -= 1
            if not Users.count:
                torch.backends.mha.set_fastpath_enabled(Users.before)
