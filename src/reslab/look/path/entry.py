"""Where the gradient is taken: at the example if it is floating-point, else at the embeddings of its ids."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.edit.edits import Edit
from reslab.look.edit.intervene import acting
from reslab.look.graph.copies import each, own
from reslab.look.graph.example import Example, arguments, tensors
from reslab.look.graph.merges import Merge
from reslab.look.graph.passes import call


class Entry:
    """The tensor at which the gradient is read; `module` is the path of the module that returns it; None: the input."""

    def __init__(self, model: nn.Module, merges: Sequence[Merge], example: Example) -> None:
        self.model, self.module = model, None
        args, kwargs = arguments(example)
        if not any(t.is_floating_point() for t in tensors([*args, *kwargs.values()])):
            self.module = embedding(model, merges[0], example)

    @property
    def name(self) -> str:
        return "input" if self.module is None else self.module

    @contextlib.contextmanager
    def watched(self, example: Example) -> Iterator[tuple[Any, list[Tensor]]]:
        """(a copy of the example to run, a list that will contain the tensor to differentiate by after the pass)."""
        held: list[Tensor] = []

        def leaf(value: Tensor) -> Tensor:
            if held or not value.is_floating_point():
                return value.clone()
            held.append(value.detach().requires_grad_())
            return held[0].clone()  # the model may write into it

        if self.module is None:
            yield each(example, leaf), held
            return
        handle = self.model.get_submodule(self.module).register_forward_hook(lambda _m, _i, out: leaf(out))
        try:
            yield own(example), held
        finally:
            handle.remove()


def embedding(model: nn.Module, merge: Merge, example: Example) -> str:
    """The last module whose output is the first merge's skip, else the first with that shape (it may add constants)."""
    seen: list[tuple[str, Tensor]] = []
    entering: list[tuple[int, Tensor]] = []

    def note(path: str) -> Any:
        return lambda _m, _i, out: seen.append((path, out)) if isinstance(out, Tensor) else None

    def enter(value: Tensor) -> Tensor:
        entering.append((len(seen), value))
        return value

    handles = [module.register_forward_hook(note(path)) for path, module in model.named_modules() if path]
    try:
        with torch.no_grad(), acting(model, [merge], {merge.index: Edit(skip=enter)}):
            call(model, example)
    finally:
        for handle in handles:
            handle.remove()
    _, start = entering[0]
    exact = [path for path, out in seen if out is start]
    like = [path for path, out in seen if out.is_floating_point() and out.shape == start.shape]
    if not exact and not like:
        raise UsageError(
            "the example has no floating-point input, and no module returns the input of the first residual connection"
        )
    return exact[-1] if exact else like[0]
