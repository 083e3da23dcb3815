"""What a candidate did while it ran: the calls in it, what of them computes its output without the branches."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from reslab.look.graph.sites import Site
from reslab.slim.spine import Remaining, stays

CLOSE = 2.0**-18  # 4e-6: what is left of a pass through a block that passes its input on, relative to the largest value


@dataclass
class Call:
    """One call of a module inside a candidate."""

    path: str
    began: int
    ended: int
    before: Tensor | None
    after: Tensor | None
    returns: str | None


@dataclass
class Running:
    """A candidate while it runs: the calls in it, and its additions."""

    x: Tensor | None
    copy: Tensor | None
    args: tuple
    kwargs: dict[str, Any]
    began: list[int] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    skip: Tensor | None = None
    added: int = -1  # when its last addition was done
    additions: dict[Site, int] = field(default_factory=dict)  # when each was done


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal up to rounding."""
    if a.shape != b.shape or not a.numel():
        return False
    size = a.abs().nan_to_num().max()
    return torch.allclose(a, b, rtol=0, atol=float(size) * CLOSE, equal_nan=True)


def form(output: Any, out: Tensor, args: tuple, kwargs: dict[str, Any]) -> str | None:
    """How the module returns its result, as in Block.returns; None for a form that is not recognized."""
    if output is out:
        return "x"
    if type(output) not in (tuple, list) or sum(item is out for item in output) != 1:
        return None
    inputs = {id(value): name for name, value in [*enumerate(args), *kwargs.items()] if value is not None}
    names = ["x" if item is out else str(inputs.get(id(item))) for item in output]
    return f"({', '.join(names)}{',' * (len(names) == 1)})"


def what_stays(
    model: nn.Module, run: Running, after: list[Call], out: Tensor, left: Sequence[Remaining]
) -> tuple[str, ...] | None:
    """The modules that compute the output from the input without the branch: a shortcut, then an activation.

    They must do all that is `left`, and the answer is checked by running them; None if it is not right.
    """
    before = shortcut(run)
    if before is None or run.copy is None:
        return None
    tail = [call.path for call in after if not any(o.began < call.began and call.ended < o.ended for o in after)]
    for names in ([*before, *tail], [*before, "relu"]):
        names = [name for name in names if name == "relu" or not isinstance(model.get_submodule(name), nn.Identity)]
        if not stays(left, names):
            continue
        value = run.copy.clone()
        try:
            for name in names:
                value = torch.relu(value) if name == "relu" else model.get_submodule(name)(value)
        except Exception:  # a module that takes more than one tensor
            continue
        if isinstance(value, Tensor) and close(value, out):
            return tuple(names)
    return None


def parts_in(model: nn.Module, run: Running) -> dict[Site, tuple[str, str]]:
    """The heaviest module in each branch of a block with several, if zeros can stand in its place; not yet checked."""
    found, start = {}, 0
    for site, end in run.additions.items() if len(run.additions) > 1 else ():
        inside = [
            call
            for call in run.calls
            if start < call.began
            and call.ended < end
            and call.returns
            and has_matrices(model, call.path)
            and call.before is not None
            and call.after is not None
            and call.before.shape == call.after.shape
        ]
        if inside:  # the first to begin is the outermost of those with the same weights
            top = max(inside, key=lambda call: (weights_of(model, call.path), -call.began))
            found[site] = top.path, str(top.returns)
        start = end
    return found


def shortcut(run: Running) -> list[str] | None:
    """The modules by which the skip was computed from the input; None if it was not by modules alone."""
    at, end, found = run.skip, run.added, list[str]()
    while at is not run.x:
        call = next((c for c in reversed(run.calls) if c.after is at and c.ended < end and c.before is not at), None)
        if call is None:
            return None
        found.insert(0, call.path)
        at, end = call.before, call.began
    return found


def weights_of(model: nn.Module, path: str) -> int:
    return sum(p.numel() for p in model.get_submodule(path).parameters())


def has_matrices(model: nn.Module, path: str) -> bool:
    return any(p.dim() > 1 for p in model.get_submodule(path).parameters())
