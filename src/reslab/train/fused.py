"""SGD and AdamW in one pass over memory: torch's fused kernels, without what torch.optim does around them.

torch.optim.SGD(fused=True) raises a TypeError once some parameters have a momentum buffer and others do not, as with
random depth; here every parameter has one from the start. torch.optim also imports the compiler before the first step,
which takes a second of each training. State, settings and checkpoints are those of torch.optim.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

FUSED = ("cpu", "cuda")  # devices whose fused kernels are used
add_group = inspect.unwrap(Optimizer.add_param_group)  # the same methods, without what imports the compiler
state_of = inspect.unwrap(Optimizer.state_dict)
load_state = inspect.unwrap(Optimizer.load_state_dict)


class Light:
    """What an optimizer of torch inherits first, so that it does not import the compiler before its first step."""

    param_groups: list[dict[str, Any]]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        add_group(self, param_group)

    def state_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = state_of(self)
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        load_state(self, state_dict)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop all gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None


def by_type(*columns: list[Tensor]) -> Iterator[list[list[Tensor]]]:
    """The columns, cut into those of each type of the first column: a kernel takes tensors of one type."""
    found: dict[torch.dtype, list[tuple[Tensor, ...]]] = {}
    for row in zip(*columns, strict=True):
        found.setdefault(row[0].dtype, []).append(row)
    for rows in found.values():
        yield [list(column) for column in zip(*rows, strict=True)]


def laid_out_as(p: Tensor, found: Tensor) -> Tensor:
    """`found` with the strides of p: the kernels walk through memory."""
    return found if found.stride() == p.stride() else torch.empty_like(p).copy_(found)


class FusedSGD(Light, SGD):
    """v <- m v + g + d w, then w <- w - lr v; with Nesterov w <- w - lr (g + d w + m v). Of each w with a gradient.

    v starts at 0, so the first step is that of torch.optim.SGD, which starts it at g + d w. Checkpoints of torch's SGD
    are resumed: a parameter without a buffer there has had no step yet, or no momentum.
    """

    def __init__(self, groups: list[dict[str, Any]], **settings: Any) -> None:
        super().__init__(groups, **settings)
        self.fill()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.fill()

    def fill(self) -> None:
        """Give each parameter a buffer, of zeros if it has none."""
        for group in self.param_groups:
            for p in group["params"] if group["momentum"] else ():
                found = self.state[p].get("momentum_buffer")
                self.state[p]["momentum_buffer"] = torch.zeros_like(p) if found is None else laid_out_as(p, found)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            columns = [params, [p.grad for p in params]]
            if group["momentum"]:
                columns.append([self.state[p]["momentum_buffer"] for p in params])
            for some, gradients, *buffers in by_type(*columns):
                torch._fused_sgd_(
                    some, gradients, *(buffers or [[]]), weight_decay=group["weight_decay"], lr=group["lr"],
                    momentum=group["momentum"], dampening=0.0, nesterov=group["nesterov"], maximize=False,
                    is_first_step=False,
                )  # fmt: skip


class FusedAdamW(Light, AdamW):
    """torch.optim.AdamW with its fused kernel."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for p, state in self.state.items():
            for name in ("exp_avg", "exp_avg_sq"):
                state[name] = laid_out_as(p, state[name])

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if not self.state[p]:
                    self.state[p] = {"step": torch.zeros((), device=p.device), "exp_avg": torch.zeros_like(p),
                                     "exp_avg_sq": torch.zeros_like(p)}  # fmt: skip
            columns = [[self.state[p][name] for p in params] for name in ("exp_avg", "exp_avg_sq", "step")]
            for some, gradients, means, squares, steps in by_type(params, [p.grad for p in params], *columns):
                torch._foreach_add_(steps, 1)
                torch._fused_adamw_(
                    some, gradients, means, squares, [], steps, lr=group["lr"], beta1=group["betas"][0],
                    beta2=group["betas"][1], weight_decay=group["weight_decay"], eps=group["eps"], amsgrad=False,
                    maximize=False,
                )  # fmt: skip
