"""What a form of a cut model is made from, and what it gives: ours, the library's own, or a Python file."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.graph.example import Example, scores
from reslab.look.graph.passes import as_it_was, call
from reslab.slim.block import Block

Form = Literal["spec", "transformers", "timm", "file", "module"]
FOLDER = "FOLDER"  # in a line that loads a model: where it was saved


class NotExpressed(UsageError):  # noqa: N818 - what it says
    """The library has no form for what would be left: the sentence states the reason."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is cut: the intact model, and the blocks that go."""

    model: nn.Module
    removed: tuple[Block, ...]  # in forward order, none inside another
    total: int  # blocks of the model
    example: Example
    wanted: Tensor  # the scores of the intact model with these blocks disabled
    word: str  # by which the model was loaded; "" if it is not known

    @property
    def allowed(self) -> float:
        """The largest difference that rounding explains."""
        return 1e-10 if self.wanted.dtype == torch.float64 else 1e-5

    def apart(self, model: nn.Module) -> float:
        """How far the scores of `model` are from the wanted ones."""
        return apart(run(model, self.example), self.wanted)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A model without the blocks, in the form in which it is saved."""

    form: Form
    model: nn.Module
    loads: str  # the line that loads it, with FOLDER
    save: Callable[[nn.Module, Path], tuple[str, ...]]  # write such a model, load it again, compare; what was checked
    notes: tuple[str, ...] = ()


def at(loads: str, folder: Path) -> str:
    """The line that loads a model from `folder`: Python, whatever the folder is called."""
    return re.sub(rf'"([^"]*)\b{FOLDER}\b([^"]*)"', lambda found: quoted(f"{found[1]}{folder}{found[2]}"), loads)


def quoted(text: str) -> str:
    """A text as Python, in double quotes where nothing in it needs others."""
    return f'"{text}"' if text.isprintable() and not set(text) & set('"\\') else repr(text)


def run(model: nn.Module, example: Example) -> Tensor:
    """The scores of a pass in eval mode, after which the model is as it was."""
    with as_it_was(model), torch.inference_mode(False), torch.no_grad():
        return scores(call(model, example))


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest score of `theirs`; inf for another shape or NaN in one only."""
    if ours.shape != theirs.shape:
        return float("inf")
    if torch.equal(ours, theirs):
        return 0.0
    a, b = (t.cpu().double() for t in (ours, theirs))
    far = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs()).max()
    sizes = b[b.isfinite()].abs()
    size = float(sizes.max()) if len(sizes) else 0.0
    return float(far) / (size or 1.0) if bool(far.isfinite()) else float("inf")
