"""Training batches: iteration t depends only on (seed, t), so a run can start anywhere in the stream."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from reslab.errors import BrokenImage, ReslabError, UsageError, arg
from reslab.images.data.augment import Augment, to_mirror
from reslab.images.data.augmented import augmented, mixed
from reslab.images.data.boxes import UNITS
from reslab.images.data.chance import AREA, Chance, below
from reslab.images.data.crops import Boxed, boxed, random_box, resized_box
from reslab.images.data.decode import Edges, resized
from reslab.images.data.images import Encoded, Part, Pixels
from reslab.images.data.normalize import Normalize
from reslab.images.data.views import view_batches
from reslab.train.batch import Batch
from reslab.train.order import CROP, Order, batch_indices, draws
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
    classes: int = 0,
    order: Order | None = None,
    share: range | None = None,
) -> Iterator[Batch]:
    """The batches of iterations start .. stop-1, bit-identical for any `start` and any number of workers.

    Iteration t covers positions [t*batch, (t+1)*batch) of an endless stream of epochs, each with a new permutation, or
    the rows of `order`; every batch is full, across epoch ends. Broken images are skipped and listed in
    `Batch.skipped`; an iteration without a readable image gives no batch. `workers` decode Encoded parts only.
    mixup and cutmix need the number of `classes`; the labels are then shares of classes, float32 (B, classes).

    `share`: only these neighboring positions of each batch, as one of several processes takes them. Its examples are
    the same as in the whole batch, also mixed ones; every iteration gives a batch, if need be an empty one.

    Raises UsageError if `augment` does not apply to the part, ReslabError if no image can be read.
    """
    _check(part, batch=batch, seed=seed, augment=augment)
    if augment.mixes and part.labels.dim() == 1 and classes < 1:
        raise UsageError("mixup and cutmix need the number of classes")
    normalize = normalize.to(device)
    stream: dict[str, Any] = {"batch": batch, "seed": seed}
    order = order or Order(n=len(part), **stream)
    places = Places(own=range(batch) if share is None else share, batch=batch,
                    partners=order.repeats if augment.mixes else 0)  # fmt: skip
    if isinstance(part, Pixels):
        raw = _from_memory(part, range(start, stop), order=order, places=places, device=device)
    else:
        steps = Decoded(part, augment=augment, order=order, places=places)
        raw = in_order(steps, range(start, stop), workers=workers, pin=torch.device(device).type == "cuda")
    skipped: tuple[str, ...] = ()
    failed = 0  # images since the last readable one
    for t, (pixels, kept, beside, broken) in zip(range(start, stop), raw, strict=True):
        skipped += tuple(broken)  # pinning memory makes lists of tuples
        failed = failed + len(broken) if len(kept) == beside else 0
        if len(kept) == beside:
            if failed >= len(part):
                raise ReslabError(f"no training image can be read (first: {skipped[0]})")
            if share is not None:
                yield empty(part, t, classes=classes if augment.mixes else 0, device=device, skipped=skipped)
                skipped = ()
            continue
        facing = order.facing(t) if augment.alternate else None
        chance = Chance.of(drawn(len(part), iteration=t, **stream), kept=kept, facing=facing)
        x = pixels.to(device, non_blocking=True)
        encoded = isinstance(part, Encoded)  # then the workers crop, and mirror where they can
        x = augmented(x, chance, augment=augment, normalize=normalize,
                      boxed=augment.kind == "resized-crop" and not encoded,
                      mirrored=augment.mirrors_first and encoded)  # fmt: skip
        index = order.rows(t)[kept]
        y = part.labels[index].to(device)
        x, y = mixed(x, y, chance, augment=augment, classes=classes, step=order.repeats)
        yield Batch(x=x[beside:], y=y[beside:], index=index[beside:], iteration=t, skipped=skipped)
        skipped = ()


def empty(
    part: Part, iteration: int, *, classes: int, device: torch.device | str, skipped: tuple[str, ...]
) -> Batch:  # fmt: skip
    """A batch without images, whose labels are as those of others; `classes`: of mixed images."""
    none = torch.empty(0, dtype=torch.int64)
    y = torch.empty(0, classes) if classes else part.labels[none]
    return Batch(x=torch.empty((0, *part.shape), device=device), y=y.to(device), index=none, iteration=iteration,
                 skipped=skipped)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Places:
    """Which positions of a batch are read: `own`, and before them the `partners` that their images are mixed with.

    The partner of an image is one of the readable images before it, counted around the batch.
    """

    own: range
    batch: int
    partners: int = 0

    def before(self) -> Iterator[int]:
        """Positions before `own`, backwards around the batch up to its end; none if it is the whole batch."""
        others = self.batch - len(self.own) if self.partners else 0
        return ((self.own.start - 1 - k) % self.batch for k in range(others))


def drawn(n: int, *, batch: int, iteration: int, seed: int) -> Callable[[int], np.ndarray]:
    """The random words of an iteration by stream, for `Chance`."""
    return lambda stream: draws(n, batch=batch, iteration=iteration, seed=seed, stream=stream)


class Decoded(Dataset[Any]):
    """Step t decodes iteration t: uint8 (B, C, H, W), their positions in the batch, and the broken images.

    With "scale", each image is resized to a random size and randomly cropped; with "resized-crop", a random box of it
    is resized; otherwise the image as a whole is.
    """

    def __init__(self, part: Encoded, *, order: Order, augment: Augment, places: "Places") -> None:
        self.part, self.order, self.augment, self.places = part, order, augment, places

    def __getitem__(self, t: int) -> tuple[Tensor, list[int], int, tuple[str, ...]]:
        order = self.order
        rows = order.rows(t).tolist()
        draw = drawn(len(self.part), batch=order.batch, iteration=t, seed=order.seed)
        facing = order.facing(t) if self.augment.alternate else None
        chance = Chance.of(draw, kept=list(range(order.batch)), facing=facing)
        units = chance.units(AREA, UNITS) if self.augment.kind == "resized-crop" else np.empty((order.batch, 0))
        words = chance.moves(CROP)
        decoded, kept, broken = [], [], []
        for k in self.places.own:
            try:
                decoded.append(self.decoded(rows[k], words[k], units[k]))
                kept.append(k)
            except BrokenImage as error:
                broken.append(f"{error.name}: {error.reason}")
        partners: list[Boxed | Tensor] = []
        places: list[int] = []
        for k in self.places.before():
            if len(partners) == self.places.partners or not kept:
                break
            with contextlib.suppress(BrokenImage):  # the process whose own it is reports it
                partners.append(self.decoded(rows[k], words[k], units[k]))
                places.append(k)
        # One after the other, not image by image: the processor then keeps the code of each at hand.
        placed = [*places[::-1], *kept]
        turned = (to_mirror(words) if self.augment.mirrors_first else np.zeros(order.batch)).tolist()
        images = [self.finished(each, turned[k]) for each, k in zip([*partners[::-1], *decoded], placed, strict=True)]
        C, H, W = self.part.shape
        stacked = torch.stack(images) if images else torch.empty((0, H, W, C), dtype=torch.uint8)
        return stacked.permute(0, 3, 1, 2), placed, len(partners), tuple(dict.fromkeys(broken))

    def decoded(self, i: int, words: np.ndarray, units: np.ndarray) -> Boxed | Tensor:
        """What row i shows in its random box, or the whole image, uint8 (C, H, W). Raises BrokenImage."""
        augment = self.augment
        if augment.kind == "resized-crop":
            return random_box(self.part, i, units, area=augment.area, aspect=augment.aspect)
        return self._scaled(i, words) if augment.kind == "scale" else self.part.pixels(i)

    def finished(self, found: Boxed | Tensor, turned: float) -> Tensor:
        """The image resized, and mirrored if it is `turned`: uint8 (H, W, C)."""
        x = (found if isinstance(found, Tensor) else resized_box(found, part=self.part)).permute(1, 2, 0)
        return x.flip(1) if turned else x

    def _scaled(self, i: int, words: np.ndarray) -> Boxed:
        _, H, W = self.part.shape
        low, high = self.augment.scale
        size = low + int(below(words[3], high - low + 1))

        def choose(w: int, h: int) -> Edges:
            width, height = resized((w, h), size)
            top, left = int(below(words[0], height - H + 1)), int(below(words[1], width - W + 1))
            x, y = w / width, h / height  # back to the image's own pixels
            return left * x, top * y, (left + W) * x, (top + H) * y

        return boxed(self.part, i, choose)


def _from_memory(
    part: Pixels, iterations: range, *, order: Order, places: Places, device: torch.device | str
) -> Iterator[tuple[Tensor, list[int], int, tuple[str, ...]]]:
    pixels = part.pixels.to(device)  # uint8, moved once: an epoch then transfers only indices
    partners = list(itertools.islice(places.before(), places.partners))[::-1]
    everything = [*partners, *places.own]
    for t in iterations:
        rows = order.rows(t)
        rows = rows if len(everything) == order.batch and not partners else rows[everything]
        yield pixels.index_select(0, rows.to(device)), everything, len(partners), ()  # [rows] is slower


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
