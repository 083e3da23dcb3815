"""Edit a model's merges from outside, inside a `with`: disable, replace, detach, read; afterwards all is restored.

merges = find(model, example)
with intervene(model, merges, {3: silence()}):
    model(x)
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.edit.edits import Change, Edit, as_edits
from reslab.look.graph.example import first_of, with_tensor
from reslab.look.graph.merges import Merge, index_of, plain
from reslab.look.graph.passes import as_it_was
from reslab.look.graph.settings import slow_attention
from reslab.look.graph.sites import AddingCalls, Modules, Operand, Part, Site, combine, operands, share, target_of

Edits = Mapping[int, Edit] | Mapping[str, Edit] | Mapping[int | str, Edit]


@contextlib.contextmanager
def intervene(model: nn.Module, merges: Sequence[Merge], edits: Edits) -> Iterator[None]:
    """Every forward pass of `model` inside runs with the edits; then the model is restored.

    `edits`: by merge index, or by the module that adds the merge ("layer1.0").

    Training flags, gradients (None inside), buffers and the random number generator are restored at the end, also
    after an exception. For training, where they must not be restored, use `acting`. Raises UsageError for an impossible
    edit, and at the end if a pass did not reach an edited merge.
    """
    with as_it_was(model, evaluate=False), acting(model, merges, edits):
        yield


@contextlib.contextmanager
def acting(model: nn.Module, merges: Sequence[Merge], edits: Edits) -> Iterator["Acting"]:
    """Like `intervene`, but for training: flags, gradients, buffers and random state are not restored at the end."""
    model = plain(model)
    modules = Modules(model)
    mode = Acting(modules, merges, edits)
    with slow_attention(), modules.watched(), mode.named_modules(model), mode:
        yield mode
    mode.check()


class Acting(AddingCalls):
    """Changes the operands at the sites of merges while the model runs."""

    def __init__(self, modules: Modules, merges: Sequence[Merge], edits: Edits) -> None:
        super().__init__()
        known = {merge.index: merge for merge in merges}
        self.modules, self.done = modules, Counter[int]()
        # site -> position -> merge, branch (None: skip), operand
        self.parts: dict[Site, dict[int, tuple[int, int | None, Operand]]] = {}
        self.wholes: dict[Site, int] = {}
        self.outs: dict[Site, int] = {}
        edits = {index_of(i, merges) if isinstance(i, str) else i: edit for i, edit in as_edits(edits).items()}
        self.edits = dict(edits)
        self.merges = {i: known[i] for i in edits if i in known}
        for i, edit in edits.items():
            if i not in known:
                raise UsageError(f"there is no merge {i}: the model has merges 0 to {max(known, default=-1)}")
            self.place(known[i], edit)

    def place(self, merge: Merge, edit: Edit) -> None:
        if not merge.reachable or merge.out is None:
            raise UsageError(f"merge {merge.index} ({merge.module}) cannot be edited: {merge.why}")
        if merge.named:
            return
        sites = {operand.site for operand in (merge.skip, *merge.branches) if operand}
        if edit.whole and (len(sites) > 1 or len(merge.branches) > 1):
            raise UsageError(
                f"merge {merge.index} ({merge.module}) adds {len(merge.branches)} branches in separate calls"
            )
        assert merge.skip is not None
        for number, operand in [(None, merge.skip), *enumerate(merge.branches)]:
            self.parts.setdefault(operand.site, {})[operand.position] = (merge.index, number, operand)
        self.outs[merge.out] = merge.index
        if edit.whole:
            self.wholes[merge.skip.site] = merge.index

    def adding(self, site: Site, func: Any, name: str, args: tuple, kwargs: dict) -> Any:
        if site not in self.parts and site not in self.outs:
            return func(*args, **kwargs)
        given = operands(name, args, kwargs)
        summands = [self.changed(site, i, part, name, args, kwargs) for i, part in enumerate(given)]
        result = self.whole(site, func, summands, args, kwargs)
        if result is None and all(a is b for a, b in zip(given, summands, strict=True)):
            result = func(*args, **kwargs)
        elif result is None:
            result = combine(func, [computed(part) for part in summands], args, kwargs)
        merge = self.outs.get(site)
        if merge is not None:
            self.done[merge] += 1
            out = self.edits[merge].out
            result = out(result) if out else result
        target = target_of(name, args, kwargs)
        return result if target is None or target is result else into(target, result)

    def changed(self, site: Site, position: int, part: Any, name: str, args: tuple, kwargs: dict) -> Any:
        """One summand, changed by its merge's edit."""
        merge, number, operand = self.parts.get(site, {}).get(position, (None, None, None))
        if merge is None or operand is None:
            return part
        edit = self.edits[merge]
        change = edit.skip if number is None else branch_change(edit, number)
        if edit.seen and number is None:
            edit.seen(share(name, operand, part, args, kwargs))
        if change and edit.watches:
            change(share(name, operand, part, args, kwargs))
            return part
        return change(computed(part)) if change else part

    def whole(self, site: Site, func: Any, summands: list[Any], args: tuple, kwargs: dict) -> Tensor | None:
        merge = self.wholes.get(site)
        edit = self.edits[merge].whole if merge is not None else None
        if merge is None or edit is None:
            return None
        branch = self.merges[merge].branches[0].position

        def add(new: list[Tensor], out: Tensor | None = None) -> Tensor:
            return combine(func, new, args, kwargs, out)

        return edit([computed(p) for p in summands], branch, add)

    @contextlib.contextmanager
    def named_modules(self, model: nn.Module) -> Iterator[None]:
        """Hooks on the modules that the user named as merges: out = x + (out - x)."""
        handles = []
        try:
            for i, merge in self.merges.items():
                if merge.named:
                    module, (before, after) = model.get_submodule(merge.path), self.at_module(i)
                    handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
                    handles.append(module.register_forward_hook(after))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def at_module(self, index: int) -> tuple[Callable[..., None], Callable[..., Any]]:
        edit, held = self.edits[index], list[Tensor]()

        def before(_module: nn.Module, args: tuple, kwargs: dict) -> None:
            skip = first_of([*args, *kwargs.values()])
            held[:] = [skip.clone()] if skip is not None else []  # a fused kernel may write into it

        def after(module: nn.Module, args: tuple, output: Any) -> Any:
            with torch._C.DisableTorchFunction():  # these additions are not the model's: they count for no site
                return changed(module, args, output)

        def changed(_module: nn.Module, _args: tuple, output: Any) -> Any:
            given = out = first_of(output)
            self.done[index] += 1
            if given is None or out is None or not held:
                raise UsageError(
                    f"merge {index} (module {self.merges[index].path}) has no floating-point input or output"
                )
            pair = [held.pop(), given]
            if edit.whole and edit.skip and pair[0].shape != given.shape:
                pair[0] = edit.skip(pair[0])  # the batch grew inside the module
            pair[1] = given - pair[0]
            if edit.seen:
                edit.seen(pair[0])
            new = [(edit.skip or identity)(pair[0]), (branch_change(edit, 0) or identity)(pair[1])]
            if edit.whole:
                out = edit.whole(new, 1, lambda new, out=None: torch.add(*new, out=out))
            elif new[0] is not pair[0] or new[1] is not pair[1]:
                out = new[0] + new[1]
            return with_tensor(output, given, (edit.out or identity)(out))

        return before, after

    def check(self) -> None:
        """Raises UsageError if a pass did not reach an edited merge."""
        passes = self.modules.passes
        for i, merge in self.merges.items():
            if self.done[i] < passes:
                raise UsageError(
                    f"a pass did not reach merge {i} ({merge.module}): the model runs differently for this input than "
                    "for the example with which its merges were found; find them again with such an input"
                )


def branch_change(edit: Edit, number: int) -> Change | None:
    return edit.branch[number] if isinstance(edit.branch, tuple) else edit.branch


def identity(value: Tensor) -> Tensor:
    return value


def computed(part: Any) -> Tensor:
    return part.compute() if isinstance(part, Part) else part


def into(target: Tensor, result: Tensor) -> Tensor:
    """Finish an in-place addition: the model may use the target instead of the returned tensor."""
    if target.shape == result.shape:
        return target.copy_(result)
    if torch.is_grad_enabled() and (target.requires_grad or result.requires_grad):
        return result
    target.set_(result)  # type: ignore[call-overload]
    return target
