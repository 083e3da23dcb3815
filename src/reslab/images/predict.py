"""Predict many images: decoded by workers, run in batches, in order; broken ones are reported, memory stays bounded."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from reslab.errors import BrokenImage
from reslab.images.calibrate import probabilities
from reslab.images.evaluate import log_scores
from reslab.images.inputs import Source, stack
from reslab.images.preprocess import Preprocess
from reslab.nets.modes import evaluating
from reslab.train.tune import Choice
from reslab.train.workers import in_order, usable_cores

MOST_WORKERS = 8
WORTH_BYTES = 10 * 2**20  # of encoded images: starting workers takes about as long as decoding this much


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the images in order: those predicted, and those that could not be read."""

    index: list[int]  # of the images predicted
    values: np.ndarray  # float64 (B, K): probabilities
    broken: list[tuple[int, str]]  # (index, reason)
    remarks: Counter[str]  # see preprocess.REMARKS
    done: int  # images so far


class Decoded(Dataset[Any]):
    """Step k: images [k * batch, (k+1) * batch) as uint8 (B, C, H, W), their indices, the broken ones, the remarks."""

    def __init__(self, sources: Sequence[Source], preprocess: Preprocess, batch: int) -> None:
        self.sources, self.preprocess, self.batch = sources, preprocess, batch

    def __len__(self) -> int:
        return -(-len(self.sources) // self.batch)

    def __getitem__(self, k: int) -> tuple[Tensor, list[int], list[tuple[int, str]], list[str]]:
        pixels, kept, broken, remarks = [], [], [], []
        for i in range(k * self.batch, min(len(self.sources), (k + 1) * self.batch)):
            try:
                one, said = self.preprocess.pixels(self.sources[i])
            except BrokenImage as error:  # returned as a value: an exception from a worker loses its class
                broken.append((i, error.reason))
                continue
            pixels.append(one)
            kept.append(i)
            remarks += said
        return stack(pixels, self.preprocess.shape), kept, broken, remarks


@torch.no_grad()
def stream(
    net: nn.Module, sources: Sequence[Source], preprocess: Preprocess, *, device: torch.device, batch: int,
    workers: int, choice: Choice, temperature: float = 1.0, several: bool = False, flip: bool = False,
) -> Iterator[Part]:  # fmt: skip
    """The probabilities of all images, a batch at a time, in eval mode.

    `flip`: the mean probability of each image and its mirror image.
    """
    preprocess, steps = preprocess.to(device), Decoded(sources, preprocess, batch)
    done = 0
    with evaluating(net):
        for pixels, kept, broken, remarks in in_order(steps, range(len(steps)), workers=workers):
            values = np.empty((0, 0))
            if kept:
                x = preprocess.normalize(pixels.to(device))
                views = [x, x.flip(3)] if flip else [x]
                scores = (log_scores(net, [view], choice, device, several=several) for view in views)
                each = [probabilities(one, temperature, several=several) for one in scores]
                values = torch.stack(each).mean(dim=0).numpy()
            done += len(kept) + len(broken)
            yield Part(index=list(kept), values=values, broken=list(broken), remarks=Counter(remarks), done=done)


def workers_for(sources: Sequence[Source]) -> int:
    """Number of decoding workers: one per usable core up to 8, or 0 if there is too little to decode."""
    some = [sources[i] for i in range(0, len(sources), max(1, len(sources) // 100))]
    sizes = [size for source in some if isinstance(source, Path) and (size := length(source)) > 0]
    mean = sum(sizes) / len(sizes) if sizes else 0
    return min(usable_cores(), MOST_WORKERS) if mean * len(sources) >= WORTH_BYTES else 0


def length(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0
