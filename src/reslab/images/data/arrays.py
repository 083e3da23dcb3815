"""Images that are arrays in memory, as a data set."""

from typing import Any

import numpy as np
import torch

from reslab.errors import UsageError
from reslab.images.data.images import ImageData, Pixels, fingerprint
from reslab.train.split import fixed_split

WORD = "arrays in memory"  # the data's word in a run folder: no file holds them


def of_arrays(
    images: Any, classes: Any, test_images: Any = None, test_classes: Any = None, *, name: str = "arrays"
) -> ImageData:
    """A data set of images uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3) and their classes (N,), numbers or texts.

    Without test images a fixed fifth of every class is held out. Classes are named by their values, sorted. Raises
    UsageError for other shapes or types.
    """
    pixels, given = _pixels(images, "images"), _classes(classes, "classes", n=len(images))
    names = sorted(set(given))
    known = tuple(map(str, names))
    if test_images is None:
        labels = _numbers(given, names)
        everything = Pixels(pixels=pixels, labels=labels)
        train, test = (everything.subset(rows) for rows in fixed_split(labels, classes=known))
        how = "fixed 80/20 split within each class"
    else:
        tested = _pixels(test_images, "test images")
        of_test = _classes(test_classes, "test classes", n=len(tested))
        if unknown := [one for one in of_test if one not in set(names)]:
            raise UsageError(f"there are test images of class {unknown[0]!r}, but no training images")
        train = Pixels(pixels=pixels, labels=_numbers(given, names))
        test = Pixels(pixels=tested, labels=_numbers(of_test, names))
        if train.shape != test.shape:
            raise UsageError(
                f"training and test images must have one shape (C, H, W), got {train.shape} and {test.shape}"
            )
        how = "with their own test part"
    return ImageData(
        name=name, train=train, test=test, classes=known, shape=train.shape, split=test_images is None,
        fingerprint=fingerprint(train, test, classes=known), about=f"Arrays given in Python, {how}.",
    )  # fmt: skip


def _pixels(given: Any, name: str) -> torch.Tensor:
    """uint8 (N, C, H, W)."""
    x = np.asarray(given)
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in (1, 3)) or 0 in x.shape:
        raise UsageError(f"{name} must be uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), got {x.dtype} {x.shape}")
    x = x[..., None] if x.ndim == 3 else x
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)).copy())


def _classes(given: Any, name: str, *, n: int) -> list[Any]:
    """Whole numbers or texts, n of them."""
    y = np.asarray(given)
    if y.ndim != 1 or len(y) != n or y.dtype.kind not in "iuUSO" or len(y) == 0:
        raise UsageError(f"{name} must be {n} whole numbers or texts, one for each image, got {y.dtype} {y.shape}")
    values: list[Any] = y.tolist()
    if len({type(one) for one in values}) > 1 or type(values[0]) not in (int, str):
        raise UsageError(f"{name} must be all whole numbers or all texts, got {values[0]!r} and others")
    return values


def _numbers(given: list[Any], names: list[Any]) -> torch.Tensor:
    number = {name: k for k, name in enumerate(names)}
    return torch.tensor([number[one] for one in given], dtype=torch.int64)
