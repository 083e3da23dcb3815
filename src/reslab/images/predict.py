"""Predict many images: decoded by workers, run in batches, in order; broken ones are reported, memory stays bounded."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from reslab.images.calibrate import probabilities
from reslab.images.decoding import Part, collect, decode_one
from reslab.images.evaluate import log_scores
from reslab.images.inputs import Source
from reslab.images.pixels import PixelReader
from reslab.images.preprocess import Preprocess
from reslab.nets.modes import evaluating
from reslab.train.tune import Choice
from reslab.train.workers import in_order


class Batches(Dataset[Any]):
    """Step k: images [k * batch, (k+1) * batch) as uint8 (B, C, H, W), their indices, the broken ones, the remarks."""

    def __init__(self, sources: Sequence[Source], reader: PixelReader, batch: int) -> None:
        self.sources, self.reader, self.batch = sources, reader, batch

    def __len__(self) -> int:
        return -(-len(self.sources) // self.batch)

    def __getitem__(self, k: int) -> tuple[Tensor, list[int], list[tuple[int, str]], list[str]]:
        rows = range(k * self.batch, min(len(self.sources), (k + 1) * self.batch))
        found = collect([decode_one(self.sources[i], self.reader) for i in rows], rows.start, self.reader)
        pixels = torch.from_numpy(found.pixels).permute(0, 3, 1, 2).contiguous()
        return pixels, found.index, found.broken, found.remarks


@torch.no_grad()
def stream(
    net: nn.Module, sources: Sequence[Source], preprocess: Preprocess, *, device: torch.device, batch: int,
    workers: int, choice: Choice, temperature: float = 1.0, several: bool = False, flip: bool = False,
) -> Iterator[Part]:  # fmt: skip
    """The probabilities of all images, a batch at a time, in eval mode.

    `flip`: the mean probability of each image and its mirror image.
    """
    preprocess, steps = preprocess.to(device), Batches(sources, preprocess.reader, batch)
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
