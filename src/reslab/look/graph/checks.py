"""Check by numbers that every merge is what it is said to be: skip + branches = out, in a second pass of the model."""

import contextlib
import sys
from collections.abc import Mapping
from math import inf, isfinite
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor

from reslab.look.graph.example import Example, arguments, tensors
from reslab.look.graph.passes import as_it_was, call
from reslab.look.graph.sites import AddingCalls, Modules, Operand, Site, operands, share


class Summed(Protocol):
    """What is checked of a merge."""

    @property
    def index(self) -> int: ...
    @property
    def skip(self) -> Operand | None: ...
    @property
    def branches(self) -> tuple[Operand, ...]: ...
    @property
    def out(self) -> Site | None: ...


def misses(model: nn.Module, example: Example, merges: list[Any]) -> dict[int, float]:
    """The merges whose skip and branches are not their sum: index -> how far it is off, relative to the largest number.

    Nothing is checked where there are no numbers (fake and meta tensors), and of merges that this pass does not reach.
    """
    args, kwargs = arguments(example)
    given = [*tensors([*args, *kwargs.values()]), *model.parameters(), *model.buffers()]
    checked = [merge for merge in merges if merge.skip is not None and merge.out is not None]
    if not checked or any(isinstance(t, FakeTensor) or t.device.type == "meta" for t in given):
        return {}
    compiled = "torch._dynamo" in sys.modules  # slow to import; as in `trace`, compiled modules run as they are written
    eager = torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext()
    with as_it_was(model), torch.inference_mode(False), torch.no_grad(), eager:
        adding = Adding(model, checked)
        with adding.modules.watched(), adding:
            call(model, example)
    return {i: far for i, far in adding.far.items() if not far <= adding.allowed[i]}


class Adding(AddingCalls):
    """Adds up what the calls at the sites of merges add, and compares it with what they return."""

    def __init__(self, model: nn.Module, merges: list[Summed]) -> None:
        super().__init__()
        self.modules = Modules(model)
        self.parts: dict[Site, list[tuple[int, Operand]]] = {}
        self.outs: dict[Site, list[int]] = {}
        self.sums: dict[int, Tensor] = {}
        self.sizes: dict[int, float] = {}  # the largest number added
        self.far: dict[int, float] = {}
        self.allowed: dict[int, float] = {}
        for merge in merges:
            for operand in (merge.skip, *merge.branches):
                if operand is not None:
                    self.parts.setdefault(operand.site, []).append((merge.index, operand))
            if merge.out is not None:
                self.outs.setdefault(merge.out, []).append(merge.index)

    def adding(self, site: Site, func: Any, name: str, args: tuple, kwargs: dict) -> Any:
        given = operands(name, args, kwargs) if site in self.parts else []
        for merge, operand in self.parts.get(site, ()):
            if operand.position < len(given):
                self.add(merge, share(name, operand, given[operand.position], args, kwargs))
        result = func(*args, **kwargs)
        for merge in self.outs.get(site, ()):
            self.compare(merge, result)
        return result

    def add(self, merge: int, part: Tensor) -> None:
        value, total = exact(part), self.sums.get(merge)
        if total is None:
            self.sums[merge] = value.clone()
        elif (total.shape, total.dtype) == (value.shape, value.dtype):
            total += value  # in place: one tensor of this size is all that the check adds to the memory of the pass
        else:
            self.sums[merge] = joint(total, value)
        self.sizes[merge] = max(self.sizes.get(merge, 0.0), largest(value))

    def compare(self, merge: int, out: Tensor) -> None:
        total = self.sums.pop(merge, None)
        size = max(self.sizes.pop(merge, 0.0), largest(exact(out)))
        if total is None or not isfinite(size):
            return
        value = exact(out)
        if total.numel() == value.numel():
            total = total.reshape(value.shape)
        if total.shape != value.shape:
            far = inf
        else:
            far = largest(total.sub_(value) if total.dtype == value.dtype else total - value)
        kind = out.dtype if out.is_floating_point() or out.is_complex() else torch.float16  # a quantized result
        self.far[merge] = far / size if size else far
        self.allowed[merge] = torch.finfo(kind).eps ** 0.5


def joint(total: Tensor, value: Tensor) -> Tensor:
    """The sum of two parts; infinite if no sum of theirs is known, so that the merge is not recognized.

    A part may be added in another shape than the skip: a mixture of experts adds rows of tokens, (batch * length, d).
    """
    if total.numel() == value.numel():
        return total.reshape(value.shape) + value
    try:
        return total + value
    except RuntimeError:  # what lies between the parts changes their size
        return value.new_full((), inf)


def exact(value: Tensor) -> Tensor:
    """At least in single precision."""
    value = value.dequantize() if value.is_quantized else value
    return value if value.is_complex() else value.to(torch.promote_types(value.dtype, torch.float32))


def largest(value: Tensor) -> float:
    if not value.numel() or value.is_complex():
        return float(value.abs().max()) if value.numel() else 0.0
    low, high = value.aminmax()  # without a copy, which abs() would be
    return max(-float(low), float(high))


def wrong(far: Mapping[int, float], merge: int) -> str:
    """Why a merge that does not add up cannot be removed."""
    return f"its skip and branches do not add up to its sum (they are {far[merge]:.2g} of it apart)"
