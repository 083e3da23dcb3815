"""One pass with all residual connections disabled: what each candidate then still does to its input."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from reslab.look.edit.edits import Edit, zeros
from reslab.look.edit.intervene import acting
from reslab.look.graph.copies import own
from reslab.look.graph.example import Example, first_of
from reslab.look.graph.merges import Merge
from reslab.look.graph.ops import count_macs
from reslab.look.graph.passes import as_it_was, forward
from reslab.slim.candidates import Candidate

CLOSE = 2.0**-18  # 4e-6: what is left of a pass through a block that passes its input on, relative to the largest value


@dataclass
class Seen:
    """What one candidate did in the pass."""

    times: int = 0  # how often it was called
    outside: str = ""  # a module in it that was called while it was not running
    same: bool = False  # its output equals its input, for any input
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())  # of its input and its output
    returns: str | None = None  # see Block.returns; None: a form that is not recognized
    keeps: tuple[str, ...] | None = None  # what computes its output without its branch; None: not recognized
    matrices_after: bool = False  # whether a module that runs after its last addition has more than vectors


@dataclass
class Call:
    """One call of a module inside a candidate."""

    path: str
    began: int
    ended: int
    before: Tensor | None
    after: Tensor | None


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


class Macs(TorchDispatchMode):
    """Counts the multiply-adds of a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.total += count_macs(func, args, kwargs or {}, out)
        return out


def watch(
    model: nn.Module, example: Example, merges: Sequence[Merge], found: Sequence[Candidate]
) -> tuple[dict[str, Seen], int]:
    """(what each candidate did, the multiply-adds of the whole pass), with every residual connection disabled."""
    watcher = Watcher(model, found)
    edits = {merge.index: watcher.edit(merge.index) for merge in merges if merge.reachable}
    with (
        as_it_was(model),
        torch.inference_mode(False),
        torch.no_grad(),
        watcher,
        acting(model, merges, edits),
        watcher.macs,
    ):
        forward(model, own(example))
    return watcher.seen, watcher.macs.total


class Watcher:
    """Hooks on the candidates and on the modules in them."""

    def __init__(self, model: nn.Module, found: Sequence[Candidate]) -> None:
        self.model = model
        self.seen = {each.module: Seen() for each in found}
        self.doubtful = {each.module for each in found if each.remaining}
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
        self.handles.append(module.register_forward_hook(hooks.leave))

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

    def edit(self, index: int) -> Edit:
        """Disable a residual connection, and note its skip and when it was added."""
        run = lambda: self.running.get(self.owner.get(index, ""))  # noqa: E731

        def skip(value: Tensor) -> None:
            if (now := run()) is not None:
                now.skip = value

        def out(value: Tensor) -> Tensor:
            if (now := run()) is not None:
                now.added = self.tick()
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

    def leave(self, _module: nn.Module, _args: tuple, output: Any) -> None:
        run, seen = self.watcher.running.pop(self.path), self.watcher.seen[self.path]
        out = first_of(output)
        if out is None or run.copy is None:
            return
        seen.shapes = tuple(run.copy.shape), tuple(out.shape)
        seen.same = close(run.copy, out) and self.path not in self.watcher.doubtful
        seen.returns = form(output, out, run)
        after = [call for call in run.calls if call.began > run.added >= 0]
        seen.matrices_after = any(has_matrices(self.watcher.model, call.path) for call in after)
        if not seen.same and out is output:
            with self.watcher.aside():
                seen.keeps = what_stays(self.watcher.model, run, after, out)


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

    def leave(self, _module: nn.Module, args: tuple, output: Any) -> None:
        for path, home in self.inside:
            run = self.watcher.running.get(home)
            if run is not None and run.began:
                call = Call(path, run.began.pop(), self.watcher.tick(), first_of(list(args)), first_of(output))
                run.calls.append(call)


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal up to rounding."""
    if a.shape != b.shape or not a.numel():
        return False
    size = a.abs().nan_to_num().max()
    return torch.allclose(a, b, rtol=0, atol=float(size) * CLOSE, equal_nan=True)


def form(output: Any, out: Tensor, run: Running) -> str | None:
    """How the module returns its result, as in Block.returns; None for a form that is not recognized."""
    if output is out:
        return "x"
    if type(output) not in (tuple, list) or sum(item is out for item in output) != 1:
        return None
    inputs = {id(value): name for name, value in [*enumerate(run.args), *run.kwargs.items()] if value is not None}
    names = ["x" if item is out else str(inputs.get(id(item))) for item in output]
    return f"({', '.join(names)}{',' * (len(names) == 1)})"


def what_stays(model: nn.Module, run: Running, after: list[Call], out: Tensor) -> tuple[str, ...] | None:
    """The modules that compute the output from the input without the branch: a shortcut, then an activation.

    The answer is checked by running them; None if it is not right.
    """
    before = shortcut(run)
    if before is None or run.copy is None:
        return None
    tail = [call.path for call in after if not any(o.began < call.began and call.ended < o.ended for o in after)]
    for names in ([*before, *tail], [*before, "relu"]):
        names = [name for name in names if name == "relu" or not isinstance(model.get_submodule(name), nn.Identity)]
        value = run.copy.clone()
        try:
            for name in names:
                value = torch.relu(value) if name == "relu" else model.get_submodule(name)(value)
        except Exception:  # a module that takes more than one tensor
            continue
        if isinstance(value, Tensor) and close(value, out):
            return tuple(names)
    return None


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


def has_matrices(model: nn.Module, path: str) -> bool:
    return any(p.dim() > 1 for p in model.get_submodule(path).parameters())
