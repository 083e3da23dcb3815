"""Run an arbitrary model: every pass has an example of its own, and leaves the model as it was."""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn

from reslab.errors import ReslabError, UsageError
from reslab.look.graph.copies import own
from reslab.look.graph.example import Example, arguments, describe, tensors, with_tensor
from reslab.look.graph.settings import no_checkpoints, slow_attention
from reslab.look.graph.state import Draws, kept


def call(model: nn.Module, example: Example) -> Any:
    """model(example): a tensor is the only argument, a tuple or list the arguments, a mapping the keyword arguments.

    The model gets a copy of the example. What the pass changed of the model (buffers, counters, caches) is put back, so
    that every pass starts from the same model. Raises UsageError if the model does not accept the example.
    """
    with kept(model) as state:
        output = forward(model, own(example))
        for tensor in tensors(output):
            if state.holds(tensor):  # the model returns memory that is put back
                output = with_tensor(output, tensor, tensor.clone())
    return output


@contextlib.contextmanager
def passing(model: nn.Module, example: Example) -> Iterator[Any]:
    """Like `call`, for a pass that is differentiated inside: what it changed of the model is put back at the end."""
    with kept(model):
        yield forward(model, own(example))


def forward(model: nn.Module, example: Example) -> Any:
    """model(example) with this very example. Raises UsageError if the model does not accept it."""
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


@contextlib.contextmanager
def as_it_was(model: nn.Module, *, evaluate: bool = True) -> Iterator[nn.Module]:
    """Inside, the model may be used freely, in eval mode unless `evaluate` is False; at the end it is restored.

    Training flags, requires_grad, gradients (None inside), buffers and what else the modules hold (counters, caches),
    and the random number generators are restored, also after an exception. Activation checkpointing is off inside.
    """
    modules = [(module, module.training) for module in model.modules()]
    held = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    draws = Draws(model)
    with slow_attention(), no_checkpoints(), kept(model):
        try:
            for p, _, _ in held:
                p.grad = None
            for module, _ in modules:
                # Not eval(): some models make irreversible changes there, such as merging their adapters.
                module.training = module.training and not evaluate
            yield model
        finally:
            for module, flag in modules:
                module.training = flag
            for p, needs, grad in held:
                p.requires_grad_(needs)
                p.grad = grad
            draws.restore()
