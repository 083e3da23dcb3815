"""The output of a frozen encoder, computed once; training a head on it is many times faster."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from reslab.nets.modes import evaluating
from reslab.progress import Steps
from reslab.qa.data.windows import Windows, refuse_tokens
from reslab.qa.net.encoder import Encoder
from reslab.qa.net.pretrained import Pretrained
from reslab.train.exchange import spread
from reslab.train.tune import Choice
from reslab.train.world import ALONE, World


@dataclass(frozen=True)
class Features:
    """The encoder's vectors of all windows' tokens, concatenated, in bfloat16: (T, hidden)."""

    values: Tensor
    bounds: np.ndarray  # (W + 1,) int64

    def batch(self, rows: Sequence[int] | np.ndarray, length: int) -> Tensor:
        """(B, length, hidden), zeros in the padding."""
        out = self.values.new_zeros(len(rows), length, self.values.shape[1])
        for b, row in enumerate(rows):
            here = self.values[self.bounds[row] : self.bounds[row + 1]]
            out[b, : len(here)] = here
        return out


def compute(
    encoder: Encoder | Pretrained,
    windows: Windows,
    *,
    device: torch.device,
    choice: Choice,
    progress: Steps | None = None,
    world: World = ALONE,
) -> Features:
    """The features of all windows, in bfloat16: the head starts with a matrix product that rounds as much.

    `world`: processes that all call this; each computes some of the groups of windows, and all get all, to the bit
    those of one process.
    """
    fits(encoder, windows)
    sizes, bounds = windows.sizes(np.arange(len(windows))), bounds_of(windows)
    values = torch.empty(int(bounds[-1]), encoder.hidden, dtype=torch.bfloat16)
    groups = windows.groups(device)

    def fill() -> None:
        done, own = 0, [groups[k] for k in world.part(len(groups))]
        total = sum(map(len, own))
        with torch.inference_mode(), choice.autocast(device):
            for rows in own:
                found = windows.batch(rows).to(device)
                out = encoder(found.ids, found.mask, found.types).to("cpu", torch.bfloat16)
                for row, vectors in zip(rows, out, strict=True):
                    values[bounds[row] : bounds[row + 1]] = vectors[: sizes[row]]
                done += len(rows)
                if progress:
                    progress(done, total)

    with evaluating(encoder):
        world.agreed(fill)
    if not world.alone:
        exchange([values[bounds[row] : bounds[row + 1]] for group in groups for row in group], groups, world)
    return Features(values, bounds)


def exchange(pieces: Sequence[Tensor], groups: Sequence[np.ndarray], world: World) -> None:
    """Fill the pieces of all windows, in the order of the groups, with those of the process that computed them."""
    starts = np.concatenate([[0], np.cumsum([len(group) for group in groups])])
    for rank in range(world.size):
        part = replace(world, rank=rank).part(len(groups))
        some = pieces[starts[part.start] : starts[part.stop]]
        if not some:
            continue
        found = spread(torch.cat(list(some)), rank)
        for piece, vectors in zip(some, found.split([len(one) for one in some]), strict=True):
            piece.copy_(vectors)


def fits(encoder: Encoder | Pretrained, windows: Windows) -> None:
    """Raise ReslabError for tokens that the encoder has no vector for: the tokenizer does not match it."""
    table = encoder.model.get_input_embeddings() if isinstance(encoder, Pretrained) else encoder.tokens
    refuse_tokens(windows, table.num_embeddings)


def bounds_of(windows: Windows) -> np.ndarray:
    """Where each window's tokens start in the concatenation, and the total: (W + 1,)."""
    return np.concatenate([[0], np.cumsum(windows.sizes(np.arange(len(windows))))])
