"""Certify the residual connections of a model by running it.

Two claims are checked for every merge. In a pass of the intact model, skip + branches = out. In a pass with every
branch disabled, out is what entered: the value at the fork where the skip is the identity, otherwise the skip. The
values at the fork are taken by a dispatch mode, independently of the edits that disable the branches.
"""

from collections import Counter
from collections.abc import Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from reslab.errors import UsageError, first_line
from reslab.look.certificate import Certificate, Certified, Difference
from reslab.look.edit.edits import Edit, keep, zeros
from reslab.look.edit.intervene import acting
from reslab.look.graph.copies import own
from reslab.look.graph.example import Example, arguments, batch_size, tensors
from reslab.look.graph.merges import Merge, find, plain
from reslab.look.graph.passes import as_it_was, call, forward
from reslab.look.graph.sites import AddingCalls, Modules, Place, Site
from reslab.look.graph.state import kept
from reslab.look.graph.trace import INPUT, written_to

ROUNDING = 4  # roundings allowed for each term of a sum, in units of the dtype's eps


def certify(
    model: nn.Module, example: Example, *, merges: Sequence[Merge] | None = None, modules: Sequence[str] = ()
) -> Certificate:
    """Check skip + branches = out, and that disabled blocks pass on what entered, for every merge of `model`.

    `example` and `modules` are those of `find`; `merges` may be given if they are already found. The model runs twice
    in eval mode (and in `find`) and is restored. Raises UsageError if the model does not accept the example.
    """
    model = plain(model)
    found = find(model, example, modules=modules) if merges is None else merges
    reachable = [merge for merge in found if merge.reachable]
    intact = {merge.index: Row(1 + max(1, len(merge.branches))) for merge in reachable}
    with torch.inference_mode(False), torch.no_grad(), as_it_was(model):
        with acting(model, found, {i: keep(row) for i, row in intact.items()}):
            call(model, example)
        disabled, stop = silenced(model, found, reachable, own(example))
    rows = tuple(certified(merge, intact.get(merge.index), disabled.get(merge.index), stop) for merge in found)
    dtype = next((row.dtype for row in intact.values() if row.dtype), "")
    notes = tuple(getattr(found, "notes", ()))
    return Certificate(model=type(model).__name__, batch=batch_size(example), dtype=dtype, merges=rows, notes=notes)


class Row(dict[str, Tensor]):
    """What `keep` writes at one merge: compared as soon as the sum is known, and not kept."""

    def __init__(self, terms: int) -> None:
        super().__init__()
        self.terms, self.dtype = terms, ""
        self.difference: Difference | None = None

    def __setitem__(self, name: str, value: Tensor) -> None:
        super().__setitem__(name, value)
        if name == "out":
            skip, branch, out = (self[key] for key in ("skip", "branch", "out"))
            scale = max(largest(skip), largest(branch))
            kinds = [skip.dtype, branch.dtype]
            found = compare(exact(skip) + exact(branch), out, scale=scale, kinds=kinds, terms=self.terms)
            if self.difference is None or not found.relative <= self.difference.relative:  # a module may run twice
                self.difference = found
            self.dtype = str(out.dtype).removeprefix("torch.")
            self.clear()
            super().__setitem__("out", out[:0] if out.dim() else out)  # tells `keep` that the pass is over


def silenced(
    model: nn.Module, merges: Sequence[Merge], reachable: Sequence[Merge], example: Example
) -> tuple[dict[int, tuple[Difference, str]], str]:
    """Run with every branch disabled; by merge: (out against what entered, "fork" or "skip"); and what stopped the run.

    Without its branches a model may take another way, or meet numbers that it does not accept.
    """
    found: dict[int, tuple[Difference, str]] = {}
    forks = {merge.index: fork for merge in reachable if (fork := fork_of(merge, reachable)) is not None}
    last = {fork: i for i, fork in forks.items()}
    watch = Watch(model, set(last))
    for i, tensor in enumerate(tensors([*arguments(example)[0], *arguments(example)[1].values()])):
        watch.save(Place(INPUT, "", i, 0), tensor)

    def edit(merge: Merge) -> Edit:
        skips: list[Tensor] = []

        def enter(skip: Tensor) -> None:
            fork = forks.get(merge.index)
            skips[:] = [] if fork in watch.values else [skip.clone()]

        def leave(out: Tensor) -> Tensor:
            fork = forks.get(merge.index)
            entered = watch.values.get(fork) if fork is not None else None
            what = "skip" if entered is None else "fork"
            difference = compare(skips.pop() if entered is None else entered, out, moved=entered is not None)
            if fork is not None and last[fork] == merge.index:
                watch.values.pop(fork, None)
            if merge.index not in found or not difference.relative <= found[merge.index][0].relative:
                found[merge.index] = difference, what
            return out

        return Edit(seen=enter, branch=zeros, out=leave)

    edits = {merge.index: edit(merge) for merge in reachable}
    try:
        with kept(model), acting(model, merges, edits), watch.modules.watched(), watch, Marks(watch):
            forward(model, example)
    except UsageError as error:
        return found, first_line(error)
    return found, ""


def fork_of(merge: Merge, merges: Sequence[Merge]) -> Site | Place | None:
    """Where the value that enters a block with an identity skip is computed; None: `out` is compared with the skip."""
    if merge.kind != "identity" or any(each.named for each in merges):  # hooks of named modules run ops of their own
        return None
    return merge.fork


class Watch(TorchDispatchMode):
    """Keeps copies of the values at some sites and places, as `find` counts them."""

    def __init__(self, model: nn.Module, wanted: set[Site | Place]) -> None:
        super().__init__()
        self.modules, self.wanted = Modules(model), wanted
        self.site: Site | None = None
        self.ops: Counter[tuple[str, str]] = Counter()
        self.values: dict[Site | Place, Tensor] = {}

    def save(self, where: Site | Place, value: Any) -> None:
        if where in self.wanted and isinstance(value, Tensor):
            self.values[where] = value.clone()  # later ops may write into it

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if self.site is None:
            op = func.overloadpacket.__name__
            path = self.modules.stack[-1] if self.modules.stack else ""
            results = {id(t): t for t in [*tensors(out), *written_to(func, args, kwargs)]}
            for k, tensor in enumerate(results.values()):
                self.save(Place(path, op, self.ops[path, op], k), tensor)
            self.ops[path, op] += 1
        return out


class Marks(AddingCalls):
    """Tells the watch which adding call is running; what edits compute inside it is not counted."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch, self.modules = watch, watch.modules

    def adding(self, site: Site, func: Any, name: str, args: tuple, kwargs: dict) -> Any:
        self.watch.site = site
        try:
            result = func(*args, **kwargs)
            self.watch.save(site, result)
            return result
        finally:
            self.watch.site = None


def certified(merge: Merge, row: Row | None, disabled: tuple[Difference, str] | None, stop: str) -> Certified:
    total = row.difference if row else None
    stream, entered = disabled or (None, "")
    why = ""
    if not merge.reachable:
        why = "not checked: its addition is hidden in a fused function"
    elif total is not None and not total.holds:
        why = "skip + branches is not out"
    elif total is None or stream is None:
        why = f"not checked with every branch disabled: {stop}" if stop else "not checked: a pass did not reach it"
    elif not stream.holds:
        why = f"with every branch disabled, out is not the {'value that entered' if entered == 'fork' else 'skip'}"
    return Certified(index=merge.index, module=merge.module, kind=merge.kind, sum=total, stream=stream,
                     entered=entered, why=why)  # fmt: skip


def compare(
    expected: Tensor, out: Tensor, *, scale: float = 0.0, kinds: Sequence[torch.dtype] = (), terms: int = 1,
    moved: bool = False,
) -> Difference:  # fmt: skip
    """How far `out` is from what it should be; if its values may have `moved` (in views), in sorted order."""
    kinds = [kind for kind in (*(kinds or [expected.dtype]), out.dtype) if kind.is_floating_point or kind.is_complex]
    bits = 2.0**-8 if out.is_quantized else 0.0
    allowed = ROUNDING * terms * max((torch.finfo(kind).eps for kind in kinds), default=bits)
    if expected.numel() != out.numel():
        return Difference(absolute=inf, relative=inf, allowed=allowed)
    a, b = exact(expected).flatten(), exact(out).flatten()
    scale = max(scale, largest(expected), largest(out))
    absolute = farthest(a, b) if expected.shape == out.shape else inf
    if moved and not absolute <= allowed * scale and not a.is_complex():
        absolute = farthest(a.sort().values, b.sort().values)
    relative = absolute / scale if absolute and scale else absolute
    return Difference(absolute=absolute, relative=relative, allowed=allowed)


def farthest(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference of two vectors."""
    if not a.numel():
        return 0.0
    far = torch.where(a == b, torch.zeros_like(a.abs()), (a - b).abs())  # infinite values may be equal
    return float(far.max())


def exact(value: Tensor) -> Tensor:
    """In double precision, so that the comparison itself does not round; on the CPU if the device has none (MPS)."""
    value = value.cpu() if value.device.type == "mps" else value
    value = value.dequantize() if value.is_quantized else value
    return value.to(torch.complex128 if value.is_complex() else torch.float64)


def largest(value: Tensor) -> float:
    """The largest finite absolute value."""
    sizes = exact(value.detach()).abs()
    return float(sizes[sizes.isfinite()].max()) if bool(sizes.isfinite().any()) else 0.0
