"""One pass with all residual connections disabled: what each candidate then still does to its input."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from reslab.errors import UsageError, first_line
from reslab.look.edit.edits import Edit, zeros
from reslab.look.edit.intervene import acting
from reslab.look.graph.copies import own
from reslab.look.graph.example import Example, batch_size, first_of
from reslab.look.graph.merges import Merge, Merges
from reslab.look.graph.ops import count_macs
from reslab.look.graph.passes import as_it_was, forward
from reslab.look.graph.settings import slow_attention
from reslab.look.graph.sites import Site
from reslab.slim.candidates import Candidate
from reslab.slim.running import Call, Running, close, form, has_matrices, parts_in, what_stays
from reslab.slim.spine import Remaining, spines


@dataclass
class Seen:
    """What one candidate did in the pass."""

    times: int = 0  # how often it was called
    outside: str = ""  # a module in it that was called while it was not running
    same: bool = False  # its output equals its input, for any input
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())  # of its input and its output
    returns: str | None = None  # see Block.returns; None: a form that is not recognized
    left: list[Remaining] = field(default_factory=list)  # what it does without its branches, by the value graph
    keeps: tuple[str, ...] | None = None  # what computes its output without its branch; None: not recognized
    matrices_after: bool = False  # whether a module that runs after its last addition has more than vectors
    parts: dict[Site, tuple[str, str]] = field(default_factory=dict)  # by addition: a module, and what it returns


class Macs(TorchDispatchMode):
    """Counts the multiply-adds of a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.total += count_macs(func, args, kwargs or {}, out)
        return out


def macs_of(model: nn.Module, example: Example) -> int:
    """Multiply-adds of one example, a part of the example's batch."""
    with as_it_was(model), slow_attention(), torch.inference_mode(False), torch.no_grad(), Macs() as macs:
        forward(model, own(example))
    return round(macs.total / batch_size(example))


def watch(
    model: nn.Module, example: Example, merges: Merges, found: Sequence[Candidate]
) -> tuple[dict[str, Seen], int]:
    """(what each candidate did, the multiply-adds of the whole pass), with every residual connection disabled."""
    watcher = Watcher(model, found, spines(model, example, found, values=merges.found_on == "values"))
    edits = {merge.index: watcher.edit(merge) for merge in merges if merge.reachable}
    with (
        as_it_was(model),
        torch.inference_mode(False),
        torch.no_grad(),
        watcher,
        acting(model, merges, edits),
        watcher.macs,
    ):
        try:
            forward(model, own(example))
        except UsageError as error:
            raise UsageError(f"{type(model).__name__} does not run with its residual connections disabled, so its "
                             f"blocks cannot be measured: {first_line(error)}") from error  # fmt: skip
    return watcher.seen, watcher.macs.total


class Watcher:
    """Hooks on the candidates and on the modules in them."""

    def __init__(self, model: nn.Module, found: Sequence[Candidate], left: Mapping[str, list[Remaining]]) -> None:
        self.model = model
        self.seen = {each.module: Seen(left=left[each.module]) for each in found}
        self.doubtful = {each.module for each in found if each.remaining or left[each.module]}
        self.doubtful |= {each.module for each in found if any(merge.kind != "identity" for merge in each.merges)}
        self.owner = {merge.index: each.module for each in found for merge in each.merges}
        self.running: dict[str, Running] = {}
        self.macs, self.clock = Macs(), 0
        self.trying = False  # while what stays of a block is run once more
        self.handles: list[Any] = []

    def __enter__(self) -> "Watcher":
        names: dict[nn.Module, list[str]] = {}
        for path, module in self.model.named_modules(remove_duplicate=False):
            names.setdefault(module, []).append(path)
        for module, paths in names.items():
            if path := next((path for path in paths if path in self.seen), ""):
                self.hook(module, Outer(self, path))
            elif inside := [(path, home) for path in paths for home in self.seen if path.startswith(f"{home}.")]:
                self.hook(module, Inner(self, module, inside))
        return self

    def hook(self, module: nn.Module, hooks: "Outer | Inner") -> None:
        self.handles.append(module.register_forward_pre_hook(hooks.enter, with_kwargs=True))
        self.handles.append(module.register_forward_hook(hooks.leave, with_kwargs=True))

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Inside, calls are not noted."""
        self.trying, total = True, self.macs.total
        try:
            yield
        finally:
            self.trying, self.macs.total = False, total

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def edit(self, merge: Merge) -> Edit:
        """Disable a residual connection, and note its skip and when it was added."""
        home, site = self.owner.get(merge.index, ""), merge.out

        def skip(value: Tensor) -> None:
            if (now := self.running.get(home)) is not None:
                now.skip = value

        def out(value: Tensor) -> Tensor:
            if (now := self.running.get(home)) is not None and site is not None:
                now.added = now.additions[site] = self.tick()
            return value

        return Edit(seen=skip, branch=zeros, out=out)


class Outer:
    """The hooks of a candidate."""

    def __init__(self, watcher: Watcher, path: str) -> None:
        self.watcher, self.path = watcher, path

    def enter(self, _module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        self.watcher.seen[self.path].times += 1
        x = first_of([*args, *kwargs.values()])
        copy = None if x is None else x.clone()  # the block may write into it
        self.watcher.running[self.path] = Running(x, copy, args, kwargs)

    def leave(self, _module: nn.Module, _args: tuple, _kwargs: dict[str, Any], output: Any) -> None:
        run, seen = self.watcher.running.pop(self.path, None), self.watcher.seen[self.path]
        out = first_of(output)
        if run is None or out is None or run.copy is None:
            return
        seen.shapes = tuple(run.copy.shape), tuple(out.shape)
        seen.same = close(run.copy, out) and self.path not in self.watcher.doubtful
        seen.returns = form(output, out, run.args, run.kwargs)
        seen.parts = parts_in(self.watcher.model, run)
        after = [call for call in run.calls if call.began > run.added >= 0]
        seen.matrices_after = any(has_matrices(self.watcher.model, call.path) for call in after)
        if not seen.same and out is output:
            with self.watcher.aside():
                seen.keeps = what_stays(self.watcher.model, run, after, out, seen.left)


class Inner:
    """The hooks of a module inside candidates."""

    def __init__(self, watcher: Watcher, module: nn.Module, inside: list[tuple[str, str]]) -> None:
        self.watcher, self.inside = watcher, inside
        self.weights = next(module.parameters(), None) is not None

    def enter(self, _module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if self.watcher.trying:
            return
        for path, home in self.inside:
            run = self.watcher.running.get(home)
            if run is not None:
                run.began.append(self.watcher.tick())
            elif self.weights:
                self.watcher.seen[home].outside = path

    def leave(self, _module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
        for path, home in self.inside:
            run = self.watcher.running.get(home)
            if run is not None and run.began:
                before, after = first_of([*args, *kwargs.values()]), first_of(output)
                returns = None if after is None else form(output, after, args, kwargs)
                run.calls.append(Call(path, run.began.pop(), self.watcher.tick(), before, after, returns))
