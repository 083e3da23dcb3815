"""Remove blocks from a model for good: a smaller model, in the form that loads without reslab where there is one.

Each form is asked in turn, the most readable first. Whatever it makes must have the outputs of the intact model with
those blocks disabled; otherwise there is no cut.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from reslab.errors import ReslabError, UsageError, first_line
from reslab.look.edit.edits import silence
from reslab.look.edit.intervene import acting
from reslab.look.graph.example import Example, scores
from reslab.look.graph.merges import plain
from reslab.look.graph.passes import as_it_was, call
from reslab.slim.block import Block, Blocks
from reslab.slim.cutting import files, ours, readers, timm, transformers
from reslab.slim.cutting.forms import Form, Given, Made, NotExpressed, at, run
from reslab.slim.cutting.merging import merge
from reslab.slim.finding import find_blocks
from reslab.slim.record import Plan
from reslab.slim.surgery import outermost

What = Plan | Block | int | str | Sequence[Block | int | str]
FORMS: tuple[Callable[[Given], Made | None], ...] = (
    ours.express,
    readers.express,
    transformers.express,
    timm.express,
    files.express,
)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A model without some blocks, equal to the intact one with those blocks disabled."""

    model: nn.Module  # runs and trains; the intact model is left unchanged
    removed: tuple[Block, ...]
    form: Form
    difference: float  # from the intact model with the blocks disabled: the largest, of the scores
    loads: str  # the line that loads it; FOLDER stands for where it is saved
    notes: tuple[str, ...]
    made: Made = field(repr=False)
    given: Given = field(repr=False)

    def fold(self, model: nn.Module | None = None) -> "Cut":
        """The same with layers folded that are linear together, of this model or the healed one (see `merge`).

        What was folded, or why nothing was, stands in the notes.
        """
        merged = merge(self.model if model is None else model, self.given.example)
        if not merged.statements:
            return replace(self, notes=(*self.notes, *merged.notes))
        made = files.express(self.given, fold=True)
        difference = self.given.apart(merged.model) if model is None else merged.difference
        return replace(self, model=merged.model, form=made.form, difference=difference, loads=made.loads,
                       notes=(*self.notes, *made.notes), made=made)  # fmt: skip

    def save(self, folder: Path | str, *, model: nn.Module | None = None) -> "Saved":
        """Write the model, or another one of its shape (healed), and load it again to compare: difference 0.0.

        Raises ReslabError, and leaves no half folder, if it cannot be written or the loaded model differs.
        """
        folder = Path(folder).expanduser()
        notes = self.made.save(self.model if model is None else model, folder)
        return Saved(folder=folder, loads=at(self.loads, folder), notes=notes)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Where a cut model was written, and the line that loads it from there."""

    folder: Path
    loads: str
    notes: tuple[str, ...]
    difference: float = 0.0  # between the outputs of the loaded and the saved model: saving refuses any other


def cut(
    model: nn.Module, what: What, *, example: Example, word: str = "", blocks: Blocks | None = None,
    method: Literal["remove", "merge"] = "remove",
) -> Cut:  # fmt: skip
    """`model` without some blocks: a plan's, or blocks by themselves, their indices or modules.

    cut(model, plan, example=x); cut(model, [3, "layer2.1"], example=x). `word`: the one by which the model was loaded
    ("timm:resnet18", "mine.py:make"), if it is known; `blocks`: those of `find_blocks`, if they are. `method`: "merge"
    also folds layers between which nothing nonlinear is left, where that is exact (see `merge`; not before healing).
    The intact model is left unchanged. Raises UsageError for blocks that do not exist, cannot be removed, or would
    leave a list empty; ReslabError if the result is not equal to the model with those blocks disabled.
    """
    model = plain(model)
    known = blocks or find_blocks(model, example, parts=wants_parts(what))
    removed = chosen(known, what)
    edits = {i: silence() for block in removed for i in block.merges}
    with as_it_was(model), torch.inference_mode(False), torch.no_grad(), acting(model, known.merges, edits):
        wanted = scores(call(model, example))
    given = Given(model=model, removed=removed, total=len(known), example=example, wanted=wanted, word=word)
    made, notes = expressed(given)
    difference = given.apart(made.model)
    if difference > given.allowed:
        raise ReslabError(f"{type(model).__name__} without {listed(removed)} differs by {difference:.2g} from the "
                          "model with the same blocks disabled, so nothing was cut")  # fmt: skip
    if torch.equal(run(model, example), wanted):
        notes.append("the scores of the example are the same without these blocks, so comparing them proves nothing; "
                     "are the weights those of a trained model?")  # fmt: skip
    found = Cut(model=made.model, removed=removed, form=made.form, difference=difference, loads=made.loads,
                notes=(*notes, *made.notes), made=made, given=given)  # fmt: skip
    return found.fold() if method == "merge" else found


def expressed(given: Given) -> tuple[Made, list[str]]:
    """The first form that expresses what is left, and why others do not."""
    notes = []
    for form in FORMS:
        try:
            made = form(given)
        except NotExpressed as error:
            notes.append(first_line(error))
            continue
        if made is not None:
            return made, notes
    raise ReslabError(f"{type(given.model).__name__} without {listed(given.removed)} cannot be expressed")


def wants_parts(what: What) -> bool:
    """Whether a part of a block may be meant: those are looked for only then."""
    given = what.removed if isinstance(what, Plan) else [what] if isinstance(what, Block | int | str) else what
    return any(not isinstance(one, Block) or one.kind == "part" for one in given)


def chosen(blocks: Blocks, what: What) -> tuple[Block, ...]:
    """The blocks meant, in forward order; each as it is found in this model."""
    given = what.removed if isinstance(what, Plan) else [what] if isinstance(what, Block | int | str) else list(what)
    if isinstance(what, Plan) and what.model != blocks.model:
        raise UsageError(f"the plan is for a {what.model}, and the model is a {blocks.model}")
    found = dict.fromkeys(one_of(blocks, one) for one in given)
    if not found:
        raise UsageError("no block was chosen, so there is nothing to remove")
    removed = sorted(found, key=lambda block: block.index)
    for block in removed:
        if not block.removable:
            raise UsageError(f"block {block.index} ({block.module}) cannot be removed: {block.why}")
    refuse_empty(removed)
    return tuple(outermost(removed))


def one_of(blocks: Blocks, one: Block | int | str) -> Block:
    """A block of the model. Raises UsageError if it has no such block."""
    if isinstance(one, bool) or not isinstance(one, Block | int | str):
        raise UsageError(f"a block is named by its index or its module, such as 3 or 'layer1.0', got {one!r}")
    if isinstance(one, int):
        if not 0 <= one < len(blocks):
            some = f"blocks 0 to {len(blocks) - 1}" if len(blocks) else "no blocks"
            raise UsageError(f"{blocks.model} has no block {one}: it has {some}")
        return blocks[one]
    if isinstance(one, str):
        return blocks[one]
    same = [block for block in blocks if (block.module, block.kind) == (one.module, one.kind)]
    if not same:
        raise UsageError(f"{blocks.model} has no block {one.module!r}: the plan was made for another model")
    return same[0]


def refuse_empty(removed: Sequence[Block]) -> None:
    """Raise UsageError if every entry of a list would go."""
    for container in dict.fromkeys(block.container for block in removed if block.empties):
        some = [block for block in removed if block.empties and block.container == container]
        if len(some) >= some[0].entries:
            raise UsageError(f"removing {listed(some)} would leave {container} empty: keep at least one of them")


def listed(blocks: Sequence[Block]) -> str:
    names = [block.module for block in blocks]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
