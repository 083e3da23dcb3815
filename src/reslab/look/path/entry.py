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
from reslab.look.graph.ops import has_numbers
from reslab.look.graph.passes import call


class Entry:
    """The tensor at which the gradient is read; `module` is the path of the module that returns it; None: the input."""

    def __init__(self, model: nn.Module, merges: Sequence[Merge], example: Example) -> None:
        self.model, self.module = model, None
        args, kwargs = arguments(example)
        if not any(has_numbers(t) for t in tensors([*args, *kwargs.values()])):
            self.module = embedding(model, merges[0], example)

    @property
    def name(self) -> str:
        return "input" if self.module is None else self.module

    @contextlib.contextmanager
    def watched(self, example: Example) -> Iterator[tuple[Any, list[Tensor]]]:
        """(a copy of the example to run, a list that will contain the tensor to differentiate by after the pass)."""
        held: list[Tensor] = []

        def leaf(value: Tensor) -> Tensor:
            if held or not has_numbers(value):
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
    """The last module whose output is the first merge's skip, else the last of that shape from which it is computed.

    Of the second kind are the embeddings of a model that adds positions itself.
    """
    seen: list[tuple[str, Tensor]] = []
    found: list[str] = []

    def note(path: str) -> Any:
        def hook(_module: nn.Module, _args: Any, out: Any) -> Any:
            if not isinstance(out, Tensor) or not out.is_floating_point():
                return out
            if not out.requires_grad:
                out = out.detach().requires_grad_().clone()  # the model may write into it
            seen.append((path, out))
            return out

        return hook

    def enter(skip: Tensor) -> Tensor:
        if found:
            return skip
        like = [(path, out) for path, out in seen if out.shape == skip.shape]
        exact = [path for path, out in like if out is skip]
        above: Sequence[Tensor | None] = [None] * len(like)
        if like and skip.requires_grad:
            above = torch.autograd.grad(skip.sum(), [out for _, out in like], allow_unused=True, retain_graph=True)
        found.extend(exact or [path for (path, _), part in zip(like, above, strict=True) if part is not None] or [""])
        return skip

    handles = [module.register_forward_hook(note(path)) for path, module in model.named_modules() if path]
    try:
        with torch.enable_grad(), acting(model, [merge], {merge.index: Edit(skip=enter)}):
            call(model, example)
    finally:
        for handle in handles:
            handle.remove()
    if not found or not found[-1]:
        raise UsageError(
            "the example has no floating-point input, and no module returns the input of the first residual connection"
        )
    return found[-1]
