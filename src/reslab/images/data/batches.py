"""Training batches: iteration t depends only on (seed, t), so a run can start anywhere in the stream."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from reslab.errors import BrokenImage, ReslabError, UsageError, arg
from reslab.images.data.augment import Augment, below, crop_and_flip, shift_colors
from reslab.images.data.decode import resize_shorter, resized
from reslab.images.data.images import Encoded, Part, Pixels, to_tensor
from reslab.images.data.normalize import Normalize
from reslab.images.data.views import view_batches
from reslab.train.batch import Batch
from reslab.train.order import COLOR, CROP, batch_indices, draws
from reslab.train.workers import in_order

__all__ = ["Batch", "batch_indices", "training_batches", "view_batches"]


def training_batches(
    part: Part,
    *,
    batch: int,
    start: int,
    stop: int,
    seed: int,
    augment: Augment,
    normalize: Normalize,
    device: torch.device | str,
    workers: int = 0,
) -> Iterator[Batch]:
    """The batches of iterations start .. stop-1, bit-identical for any `start` and any number of workers.

    Iteration t covers positions [t*batch, (t+1)*batch) of an endless stream of epochs, each with a new
    permutation; every batch is full, across epoch ends. Broken images are skipped and listed in
    `Batch.skipped`; an iteration without a readable image gives no batch. `workers` decode Encoded parts only.
    Raises UsageError if `augment` does not apply to the part, ReslabError if no image can be read.
    """
    _check(part, batch=batch, seed=seed, augment=augment)
    normalize = normalize.to(device)
    stream = {"batch": batch, "seed": seed}
    if isinstance(part, Pixels):
        raw = _from_memory(part, range(start, stop), device=device, **stream)
    else:
        scale = augment.scale if augment.kind == "scale" else None
        steps = Decoded(part, scale=scale, **stream)
        raw = in_order(steps, range(start, stop), workers=workers, pin=torch.device(device).type == "cuda")
    skipped: tuple[str, ...] = ()
    for t, (pixels, kept, broken) in zip(range(start, stop), raw, strict=True):
        skipped += tuple(broken)  # pinning memory makes lists of tuples
        if len(kept) == 0:
            if len(skipped) >= len(part):
                raise ReslabError(f"no training image can be read (first: {skipped[0]})")
            continue
        x = normalize(pixels.to(device, non_blocking=True))
        if augment.kind != "none" and augment.color:
            words = draws(len(part), iteration=t, stream=COLOR, **stream)[kept]
            x = shift_colors(x, words, normalize=normalize)
        if augment.kind != "none":
            words = draws(len(part), iteration=t, stream=CROP, **stream)[kept]
            x = crop_and_flip(x, words, pad=augment.pad if augment.kind == "crop" else 0, flip=augment.flip)
        index = batch_indices(len(part), iteration=t, **stream)[kept]
        y = part.labels[index].to(device)
        yield Batch(x=x, y=y, index=index, iteration=t, skipped=skipped)
        skipped = ()


class Decoded(Dataset[Any]):
    """Step t decodes iteration t: uint8 (B, C, H, W), their positions in the batch, and the broken images.

    With `scale`, each image is resized to a random size in it and randomly cropped; otherwise the size is fixed.
    """

    def __init__(self, part: Encoded, *, batch: int, seed: int, scale: tuple[int, int] | None) -> None:
        self.part, self.batch, self.seed, self.scale = part, batch, seed, scale

    def __getitem__(self, t: int) -> tuple[Tensor, list[int], tuple[str, ...]]:
        stream: dict[str, Any] = {"batch": self.batch, "iteration": t, "seed": self.seed}
        rows = batch_indices(len(self.part), **stream).tolist()
        words = draws(len(self.part), stream=CROP, **stream)
        pixels, kept, broken = [], [], []
        for k, i in enumerate(rows):
            try:
                pixels.append(self.part.pixels(i) if self.scale is None else self._scaled(i, words[k]))
                kept.append(k)
            except BrokenImage as error:
                broken.append(f"{error.name}: {error.reason}")
        stacked = torch.stack(pixels) if pixels else torch.empty((0, *self.part.shape), dtype=torch.uint8)
        return stacked, kept, tuple(broken)

    def _scaled(self, i: int, words: np.ndarray) -> Tensor:
        assert self.scale is not None
        _, H, W = self.part.shape
        low, high = self.scale
        size = low + int(below(words[3], high - low + 1))
        image = self.part.image(i, near=size)
        width, height = resized(image, size)
        top, left = int(below(words[0], height - H + 1)), int(below(words[1], width - W + 1))
        return to_tensor(resize_shorter(image, size, box=(left, top, left + W, top + H)))


def _from_memory(
    part: Pixels, iterations: range, *, batch: int, seed: int, device: torch.device | str
) -> Iterator[tuple[Tensor, list[int], tuple[str, ...]]]:
    pixels = part.pixels.to(device)  # uint8, moved once: an epoch then transfers only indices
    everything = list(range(batch))
    for t in iterations:
        rows = batch_indices(len(part), batch=batch, iteration=t, seed=seed)
        yield pixels.index_select(0, rows.to(device)), everything, ()  # copies whole images; [rows] is slower


def _check(part: Part, *, batch: int, seed: int, augment: Augment) -> None:
    if len(part) == 0:
        raise UsageError("the training part is empty")
    if batch < 1:
        raise UsageError(f"batch must be positive, got {batch}")
    if seed < 0:
        raise UsageError(f"seed must be zero or more, got {seed}")
    if augment.kind != "scale":
        return
    _, H, W = part.shape
    if isinstance(part, Pixels):
        raise UsageError(
            f"augment 'scale' needs encoded images, but these are already in memory at {H} x {W}: "
            "use augment 'crop' (in Python, load(..., memory=0) keeps image files encoded)"
        )
    if augment.scale[0] < max(H, W):
        raise UsageError(
            f"augment 'scale' starts at {augment.scale[0]} pixels, smaller than the {H} x {W} crops: "
            "load the images with ",
            arg("size", 224),
            ", or raise ",
            arg("shortest"),
        )
