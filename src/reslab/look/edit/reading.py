"""Read the values at a model's merges in one pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.edit.edits import keep
from reslab.look.edit.intervene import acting
from reslab.look.graph.merges import Merge, index_of
from reslab.look.graph.passes import as_it_was


@dataclass(frozen=True)
class Reading:
    """The values at one merge, as they are added: skip + branch = out; branch is the sum of its branches."""

    skip: Tensor
    branch: Tensor
    out: Tensor


class Readings(list[Reading]):
    """The values at some merges: by position, and `at` a merge."""

    def __init__(self, values: Sequence[Reading], merges: Sequence[Merge]) -> None:
        super().__init__(values)
        self.merges = merges

    def at(self, merge: int | str) -> Reading:
        """The values at the merge of this index, or added by this module. Raises UsageError if there are none."""
        index = index_of(merge, self.merges) if isinstance(merge, str) else merge
        for one, values in zip(self.merges, self, strict=True):
            if one.index == index:
                return values
        raise UsageError(f"no values were read at merge {index}: there is none, or it is not reachable")


def read(model: nn.Module, merges: Sequence[Merge], run: Callable[[], Any]) -> Readings:
    """The values at every reachable merge while `run()` runs the model once, in eval mode, without gradients.

    read(...).at(3) and .at("layer1.0") are the values at a merge, even if merges before it are not reachable.
    """
    kept: list[dict[str, Tensor]] = [{} for _ in merges]
    edits = {merge.index: keep(kept[i]) for i, merge in enumerate(merges) if merge.reachable}
    with torch.no_grad(), as_it_was(model), acting(model, merges, edits):
        run()
    found = [(merge, Reading(**each)) for merge, each in zip(merges, kept, strict=True) if each]
    return Readings([values for _, values in found], [merge for merge, _ in found])
