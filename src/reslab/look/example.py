"""Calling a model we know nothing of: what goes in, what comes out, and leaving it as it was."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError

Example = Tensor | tuple | list | Mapping[str, Any]


def call(model: nn.Module, example: Example) -> Any:
    """model(example): a tensor is the one argument, a tuple or list the arguments, a mapping the keywords.

    Raises UsageError where the model does not take it.
    """
    args, kwargs = arguments(example)
    try:
        return model(*args, **kwargs)
    except (TypeError, ValueError, RuntimeError, IndexError, NotImplementedError, AttributeError) as error:
        if isinstance(error, RuntimeError) and "memory" in str(error):
            raise
        said = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise UsageError(f"{type(model).__name__} does not take {describe(example)}: {said}") from error


def arguments(example: Example) -> tuple[tuple, dict[str, Any]]:
    """The example as positional and keyword arguments. Raises UsageError for a wrong kind."""
    if isinstance(example, Tensor):
        return (example,), {}
    if isinstance(example, Mapping):
        return (), {str(key): value for key, value in example.items()}
    if isinstance(example, tuple | list):
        return tuple(example), {}
    raise UsageError(
        f"an example input is a tensor, a tuple of arguments or a dict of keywords, got {type(example).__name__}"
    )


def describe(example: Example) -> str:
    """The example in a few words: its tensors' shapes and types."""
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


def batch_size(example: Example) -> int:
    """The first size of the first tensor that goes in. Raises UsageError where there is none."""
    args, kwargs = arguments(example)
    found = [tensor for tensor in tensors([*args, *kwargs.values()]) if tensor.dim()]
    if not found:
        raise UsageError(f"{describe(example)} holds no tensor with a batch dimension")
    return found[0].shape[0]


def each(example: Example, change: Any) -> Any:
    """The example with `change` done to each of its tensors."""
    if isinstance(example, Tensor):
        return change(example)
    if isinstance(example, Mapping):
        return {key: each(value, change) for key, value in example.items()}
    if isinstance(example, tuple | list):
        return tuple(each(value, change) for value in example)
    return example


def rows(example: Example, start: int, stop: int) -> Any:
    """Samples start to stop of the example; what has no batch dimension of that size goes along whole."""
    n = batch_size(example)
    return each(example, lambda t: t[start:stop] if t.dim() and t.shape[0] == n else t)


def repeated(example: Example, times: int) -> Any:
    """The batch `times` over, copies outermost: (times * N, ...)."""
    n = batch_size(example)
    return each(example, lambda t: t.repeat(times, *[1] * (t.dim() - 1)) if t.dim() and t.shape[0] == n else t)


def scores(output: Any) -> Tensor:
    """What the model answers: logits where it names them, else its first floating tensor.

    Raises UsageError where the output holds none.
    """
    for name in ("logits", "last_hidden_state"):
        found = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(found, Tensor):
            return found
    floating = [tensor for tensor in tensors(output) if tensor.is_floating_point()]
    if not floating:
        raise UsageError(f"the model's output, {type(output).__name__}, holds no floating-point tensor to measure")
    return floating[0]


@contextlib.contextmanager
def as_it_was(model: nn.Module, *, evaluate: bool = True) -> Iterator[nn.Module]:
    """Lend the model out, in eval mode unless told otherwise, and give it back as it was, come what may.

    Training flags, requires_grad, gradients (None inside), buffers and the random numbers' state come back.
    """
    training = [(module, module.training) for module in model.modules()]
    held = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    buffers = [(b, b.clone()) for b in model.buffers() if b.device.type != "meta"]
    devices = sorted({p.device.index or 0 for p, _, _ in held if p.device.type == "cuda"})
    fast = torch.backends.mha.get_fastpath_enabled()
    with torch.random.fork_rng(devices=devices):
        try:
            torch.backends.mha.set_fastpath_enabled(False)  # it hides the additions in one kernel
            for p, _, _ in held:
                p.grad = None
            if evaluate:
                model.eval()
            yield model
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            for module, flag in training:
                module.training = flag
            for p, needs, grad in held:
                p.requires_grad_(needs)
                p.grad = grad
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)
