"""Test images that are in the training part, too: to the pixel, or nearly."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from reslab.errors import BrokenImage
from reslab.images.account import content, name_of, same_content
from reslab.images.data.images import Encoded, ImageData, Part, to_tensor
from reslab.images.pictures.names import classes_of, clipped
from reslab.images.pictures.thumbnails import thumbnail
from reslab.progress import Steps, silent
from reslab.train.workers import decoding_workers, in_order

PAIRS = 12  # shown
COMPARED, READ = 10**9, 50_000  # pairs of images that are compared, and images that are read for it, at most
FINE, COARSE = 16, 8  # pixels of the versions that are compared: the coarse ones find candidates
NEAR = 0.95  # correlation from which two images may be nearly the same
NEARER = 8  # times less unlike than the usual nearest training image, or all images of the set are alike
LEAST = 32  # pixels of the shorter side: smaller images are alike too often, such as digits
CHUNK = 256


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A test image beside the training image that it repeats."""

    train: str
    test: str
    train_class: str
    test_class: str
    exact: bool  # the same pixels
    correlation: float
    train_thumbnail: str | None
    test_thumbnail: str | None


def gather(data: ImageData, *, progress: Steps = silent) -> dict[str, Any]:
    """For results/duplicates.json: how many test images repeat a training image, and the first PAIRS of them.

    Exact: the decoded pixels are equal (those the net sees, if the images are in memory). Near: the correlation of
    versions of 16 x 16 pixels, with and without each channel's mean, is at least NEAR, and 1 - correlation is at most
    1 / NEARER of its median over the test images that have no such neighbor; only for images of at least LEAST pixels.
    Nothing is compared if that would take long (COMPARED, READ).
    """
    encoded = sum(len(part) for part in (data.train, data.test) if isinstance(part, Encoded))
    about: dict[str, Any] = {"train": len(data.train), "test": len(data.test)}
    if len(data.train) * len(data.test) > COMPARED or encoded > READ:
        return {**about, "compared": False, "exact": 0, "near": 0, "elsewhere": 0, "pairs": []}
    total = len(data.train) + len(data.test)
    small = [versions(data.train, progress, total, 0), versions(data.test, progress, total, len(data.train))]
    nearest, likeness = neighbors(*small)
    exact = {i: j for j, i in _equal(data, small, nearest, likeness)}
    near = {}
    if min(data.shape[1:]) >= LEAST:
        bar = threshold(likeness[[i not in exact for i in range(len(likeness))]])
        near = {i: int(nearest[i]) for i in torch.nonzero(likeness >= bar)[:, 0].tolist() if i not in exact}
    found = {**exact, **near}
    unlike = {i for i, j in found.items() if not torch.equal(data.train.labels[j], data.test.labels[i])}
    order = sorted(found, key=lambda i: (i not in unlike, i not in exact, -float(likeness[i]), i))
    pairs = [asdict(_pair(data, found[i], i, i in exact, float(likeness[i]))) for i in order[:PAIRS]]
    return {**about, "compared": True, "exact": len(exact), "near": len(near), "elsewhere": len(unlike), "pairs": pairs}


def _pair(data: ImageData, j: int, i: int, exact: bool, likeness: float) -> Pair:
    names = (clipped(name_of(data.train, j)), clipped(name_of(data.test, i)))
    kinds = [classes_of(data.classes, part.labels[k]) for part, k in ((data.train, j), (data.test, i))]
    return Pair(
        train=names[0], test=names[1], train_class=kinds[0], test_class=kinds[1], exact=exact,
        correlation=1.0 if exact else likeness, train_thumbnail=thumbnail(data.train, j),
        test_thumbnail=thumbnail(data.test, i),
    )  # fmt: skip


def threshold(likeness: Tensor) -> float:
    """The correlation from which a pair counts as nearly the same, from those of all test images (N,)."""
    usual = likeness[likeness < NEAR]
    return max(NEAR, 1 - (1 - float(usual.median())) / NEARER) if len(usual) else NEAR


def neighbors(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """(the nearest training image of each test image (N,), their correlation (N,)) from versions (.., C, 16, 16).

    Gray versions of 8 x 8 pixels name three candidates, of which the versions in color choose. Their correlation is the
    smaller of two: of all numbers, and of each channel around its own mean, as two images of one hue are no copies. An
    image of one color has no correlation: 0.
    """
    coarse = [unit(F.avg_pool2d(part.float().mean(dim=1, keepdim=True), FINE // COARSE)) for part in (train, test)]
    found, likeness = [], []
    for start in range(0, len(test), CHUNK):
        here = slice(start, start + CHUNK)
        candidates = (coarse[1][here] @ coarse[0].T).topk(min(3, len(train)), dim=1).indices  # (B, 3)
        shape = (*candidates.shape, -1)
        both = [(one(train[candidates.flatten()]).view(shape) * one(test[here])[:, None]).sum(dim=2)
                for one in (unit, pattern)]  # fmt: skip
        best, which = torch.minimum(*both).max(dim=1)
        found.append(candidates.gather(1, which[:, None])[:, 0])
        likeness.append(best)
    return torch.cat(found), torch.cat(likeness)


def unit(x: Tensor) -> Tensor:
    """Each image of x (N, ...) as a vector (N, D) of mean 0 and length 1; of length 0 if it has one color."""
    flat = x.flatten(1).float()
    centered = flat - flat.mean(dim=1, keepdim=True)
    length = centered.norm(dim=1, keepdim=True)
    return torch.where(length > 1, centered / length.clamp(min=1e-9), torch.zeros_like(centered))


def pattern(x: Tensor) -> Tensor:
    """`unit` of each image of x (N, C, ...) without its mean color."""
    return unit(x.float() - x.float().mean(dim=(2, 3), keepdim=True))


class Versions(Dataset[Any]):
    """Step k: uint8 (B, C, 16, 16) of images [k * CHUNK, (k+1) * CHUNK) of an encoded part; a broken image is black."""

    def __init__(self, part: Encoded) -> None:
        self.part = part

    def __len__(self) -> int:
        return -(-len(self.part) // CHUNK)

    def __getitem__(self, k: int) -> Tensor:
        rows = range(k * CHUNK, min(len(self.part), (k + 1) * CHUNK))
        out = torch.zeros((len(rows), self.part.shape[0], FINE, FINE), dtype=torch.uint8)
        for place, i in enumerate(rows):
            try:
                image = self.part.image(i, near=2 * FINE)
            except BrokenImage:
                continue
            out[place] = to_tensor(image.resize((FINE, FINE), Image.Resampling.BOX))
        return out


def versions(part: Part, progress: Steps, total: int, before: int) -> Tensor:
    """uint8 (N, C, 16, 16): each image whole, without its aspect."""
    if isinstance(part, Encoded):
        steps, found = Versions(part), []
        for one in in_order(steps, range(len(steps)), workers=decoding_workers(len(part))):
            found.append(one)
            before += len(one)
            progress(before, total)
        return torch.cat(found)
    small = [F.adaptive_avg_pool2d(part.pixels[start : start + CHUNK].float(), FINE)
             for start in range(0, len(part), CHUNK)]  # fmt: skip
    return torch.cat(small).round().to(torch.uint8)


def _equal(data: ImageData, small: list[Tensor], nearest: Tensor, likeness: Tensor) -> Iterable[tuple[int, int]]:
    """(training image, test image) of equal pixels. Images in memory are all hashed; of others, those that may be."""
    wanted = [range(len(data.train)), range(len(data.test))]
    if isinstance(data.train, Encoded) or isinstance(data.test, Encoded):
        flat = [torch.nonzero(unit(part).abs().sum(dim=1) == 0)[:, 0].tolist() for part in small]
        close = torch.nonzero(likeness > 0.999)[:, 0]
        wanted = [{*flat[0], *nearest[close].tolist()}, {*flat[1], *close.tolist()}]  # type: ignore[list-item]
    train, test = (_hashes(part, rows) for part, rows in zip((data.train, data.test), wanted, strict=True))
    return same_content(train, test, (data.train.labels, data.test.labels))


def _hashes(part: Part, rows: Iterable[int]) -> dict[int, bytes]:
    found = {}
    for i in rows:
        try:
            found[i] = content(part, i)
        except BrokenImage:
            continue
    return found
