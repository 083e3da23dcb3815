"""A teacher beside a student: in training, the student's forward pass returns both answers."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from reslab.slim.healing.divergence import distance

Pair = tuple[str, str]  # paths of one block in the student and in the teacher


class Answers(NamedTuple):
    """What a student returns in training."""

    student: Any
    teacher: Any  # without gradient
    features: Tensor | None  # (B,): mean over the pairs of blocks of the distance of their outputs


class Beside:
    """The hooks by which `student` answers together with `teacher`, until `remove`.

    The teacher is a copy in eval mode without gradients: it shares no state with the student, is no part of it, and is
    not in its state_dict. It sees the very inputs of the student, augmented and mixed, under the same autocast (Beyer
    et al. 2022, "consistent"). Hooks are functions, so copies of the student (an average of weights, a net that is
    timed) have the same teacher. They do nothing in eval mode and without gradients.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, *, pairs: Sequence[Pair] = ()) -> None:
        self.teacher = frozen(teacher).to(next(student.parameters()).device)
        seen: dict[str, Tensor] = {}
        known: dict[str, Tensor] = {}
        self.handles = []
        for ours, theirs in pairs:
            self.handles.append(student.get_submodule(ours).register_forward_hook(keeper(seen, ours, learning)))
            self.teacher.get_submodule(theirs).register_forward_hook(keeper(known, ours, lambda: True))
        asked = asker(self.teacher, seen, known)
        self.handles.append(student.register_forward_hook(asked, with_kwargs=True))

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


def frozen(teacher: nn.Module) -> nn.Module:
    """A copy that shares nothing, in eval mode, without gradients."""
    made = copy.deepcopy(teacher).eval()
    return made.requires_grad_(False)


def learning() -> bool:
    return torch.is_grad_enabled()


def keeper(store: dict[str, Tensor], name: str, on: Callable[[], bool]) -> Callable[..., None]:
    """A forward hook that keeps a block's output, the first tensor of a tuple."""

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        if on():
            found = output if isinstance(output, Tensor) else output[0]
            store[name] = found.clone()  # what follows may write into it: an in-place ReLU

    return keep


def asker(teacher: nn.Module, seen: dict[str, Tensor], known: dict[str, Tensor]) -> Callable[..., Any]:
    """A forward hook of the student: its output with the teacher's, and how far their blocks' outputs are apart."""

    def ask(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        if not (module.training and learning()):
            return output
        with torch.no_grad():
            given = teacher(*args, **kwargs)
        apart = [distance(seen[name], known[name]) for name in seen if name in known and
                 seen[name].shape == known[name].shape]  # fmt: skip
        features = torch.stack(apart).mean(dim=0) if apart else None
        seen.clear()
        known.clear()
        return Answers(output, given, features)

    return ask
