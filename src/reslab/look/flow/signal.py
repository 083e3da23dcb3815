"""Sums of squares of the forward signal and of the backward gradient, for every layer and merge."""

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from reslab.errors import ReslabError
from reslab.look.flow.observe import numbers, sum_dtype
from reslab.look.graph.gradless import Gradless
from reslab.look.graph.layers import Layer
from reslab.look.graph.merges import Merge
from reslab.look.graph.ops import real
from reslab.look.measure import unpadded

Key = tuple[str, str, int]  # a layer's module, "", the call; or a merge's module, "out", its index


class NormSums:
    """Norms of values and of their gradients, taken during the pass; synchronizes the device twice per batch."""

    def __init__(self) -> None:
        self.shapes: dict[Key, tuple[int, ...]] = {}  # in the order of the pass
        self.count: defaultdict[Key, int] = defaultdict(int)
        self.forward: defaultdict[Key, float] = defaultdict(float)
        self.backward: defaultdict[Key, float] = defaultdict(float)
        self.cut: dict[Key, None] = {}  # values computed without a gradient
        self.pending: list[tuple[Key, Tensor]] = []
        self.hidden = Gradless()
        self.mask: Tensor | None = None  # of the batch: what is no padding

    def see(self, key: Key, value: Tensor) -> Tensor:
        """Take a value's norm now, before an in-place op writes into it, and its gradient's norm during backward.

        A hook on the tensor receives the gradient with respect to the present value, even if an op writes into it later
        (full backward hooks on modules forbid such writes). This fails for a view, because after an in-place write the
        gradient bypasses it. So the model continues with a copy of a view, such as the output of a linear layer for
        (N, L, C).
        """
        self.shapes.setdefault(key, tuple(value.shape[1:]))
        real = unpadded(value.detach(), self.mask)
        self.count[key] += real.numel()
        self.take(key, real)
        if not self.hidden.check(value, key[0]).requires_grad:
            self.cut[key] = None
            return value
        value = value.clone() if value._is_view() else value
        value.register_hook(functools.partial(self.take, key))
        return value

    def take(self, key: Key, value: Tensor) -> None:
        self.pending.append((key, torch.linalg.vector_norm(value.to(sum_dtype(value)))))

    def close(self, sums: dict[Key, float], what: str) -> None:
        """Add the norms taken since the last close. Raises ReslabError naming the first that is not finite."""
        for (key, _), norm in zip(self.pending, numbers([norm for _, norm in self.pending]), strict=True):
            square = norm * norm
            if not math.isfinite(square):
                raise ReslabError(f"the {what} at {key[0]} is not finite: nothing can be measured beyond it")
            sums[key] += square
        self.pending.clear()

    def rms(self, key: Key) -> float:
        """Root mean square of all numbers of a value."""
        return math.sqrt(self.forward[key] / self.count[key])

    def edit(self, merge: Merge) -> Callable[[Tensor], Tensor]:
        """The function that observes a merge's sum."""
        return functools.partial(self.see, (merge.module, "out", merge.index))


def weights_of(model: nn.Module, layers: Iterable[Layer]) -> dict[str, list[nn.Parameter]]:
    """Each layer's weights by its module: the parameters with two or more dimensions, without biases."""
    found = {}
    for layer in layers:
        parameters = model.get_submodule(layer.module).parameters()
        found[layer.module] = [p for p in parameters if p.dim() > 1 and p.is_floating_point()]
    return found


def norm(values: Sequence[Tensor | None]) -> float:
    """The norm of several tensors together; None counts as zero."""
    known = [real(v) for v in values if v is not None]
    return math.hypot(*numbers([torch.linalg.vector_norm(v.to(sum_dtype(v))) for v in known]), 0.0)


def weight_norms(weights: Sequence[nn.Parameter]) -> tuple[list[float], list[float]]:
    """The norms of the weights' gradients (0 if there is none) and of the weights, to six digits.

    One batched op with a single synchronization of the device, for use during training.
    """
    none = torch.zeros((), device=weights[0].device)
    gradients = [none if weight.grad is None else weight.grad for weight in weights]
    found = torch.stack(torch._foreach_norm([*gradients, *(weight.detach() for weight in weights)])).tolist()
    rounded = [float(f"{value:.6g}") for value in found]
    return rounded[: len(weights)], rounded[len(weights) :]


def untrained(model: nn.Module) -> bool:
    """Whether some BatchNorm still has its initial running statistics: means 0 and variances 1."""
    norms = [(m.running_mean, m.running_var) for m in model.modules() if isinstance(m, _BatchNorm)]
    return any(
        mean is not None and var is not None and not mean.any() and bool((var == 1).all()) for mean, var in norms
    )
