"""Where a model computes without gradients although gradients pass: inside a function with a backward of its own."""

import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from reslab.errors import UsageError
from reslab.look.graph.example import tensors

APPLY = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]


class Gradless(TorchFunctionMode):
    """Refuses to measure gradients where hooks cannot see them.

    A torch.autograd.Function runs its forward without gradients, and its backward computes what it wants: the values
    inside, as seen from outside, have no gradient, and zero would be wrong.
    """

    def __init__(self) -> None:
        super().__init__()
        self.entered = False  # whether a value with a gradient went into the present part without gradients

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_grad_enabled():
            self.entered = False
        elif not self.entered:
            given = tensors([*args, *kwargs.values()])
            self.entered = any(t.requires_grad and not isinstance(t, nn.Parameter) for t in given)
        return func(*args, **kwargs)

    def check(self, value: Tensor, name: str) -> Tensor:
        """The value. Raises UsageError if nothing can be said of its gradient."""
        if not value.requires_grad and not torch.is_grad_enabled() and (self.entered or inside_function()):
            raise UsageError(
                f"{name or 'the model'} runs without gradients (under torch.no_grad, or in a torch.autograd.Function "
                "with its own backward) though gradients pass through it, so they cannot be measured there: switch "
                "off what saves the memory of activations"
            )
        return value


def inside_function() -> bool:
    """Whether the forward of a torch.autograd.Function is running."""
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        if frame.f_code is APPLY:
            return True
    return False
