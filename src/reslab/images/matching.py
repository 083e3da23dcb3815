"""The images of a data set with the classes that a net learned."""

import warnings
from typing import Any

from reslab.errors import UsageError
from reslab.images.data import ImageData


def fitted(spec: Any, images: ImageData, trained: list[str] | None, *, several: bool | None = None) -> ImageData:
    """The images with the classes that the net learned, matched by name where all names are known.

    `trained`: the names of the net's classes, None if they are unknown. Where no name is known, or each shared name
    has the same number, classes are matched by order, with a warning. Raises UsageError for images that the net cannot
    take, and where a shared name would count as another class. `several`: whether it learned several labels an image;
    then the names must be the same, as an image without a word on a label is no image without the label.
    """
    channels, classes = images.shape[0], list(images.classes)
    if several is not None and several != images.several:
        how = {True: "several labels per image", False: "one class per image"}
        raise UsageError(f"{spec.name} was trained on {how[several]}, but {images.name} has {how[images.several]}")
    if several and trained and (other := sorted({*classes} ^ {*trained})):
        raise UsageError(f"the labels of {images.name} are not those of {spec.name}: {other[0]!r} is only in "
                         f"{'the net' if other[0] in trained else 'the data'}")  # fmt: skip
    if channels != spec.channels:
        raise UsageError(f"{spec.name} was trained on images with {spec.channels} channels, but {images.name} "
                         f"has {channels}")  # fmt: skip
    if trained and classes != trained and set(classes) <= set(trained) and len(trained) == spec.classes:
        return images.relabeled(tuple(trained))
    if len(classes) != spec.classes:
        raise UsageError(f"{spec.name} has {spec.classes} classes, but {images.name} has {len(classes)}")
    unlike = [(a, b) for a, b in zip(trained or classes, classes, strict=False) if a != b]
    if moved := [b for _, b in unlike if b in (trained or ())]:
        lacking = next(name for name in classes if name not in (trained or ()))
        raise UsageError(f"the classes of {images.name} are not those of {spec.name}: {lacking!r} is none of them, so "
                         f"{moved[0]!r} cannot be matched by order; rename or remove {lacking!r}")  # fmt: skip
    if unlike:
        warnings.warn(f"class names differ, so classes are matched by order: {unlike[0][1]!r} in "
                      f"{images.name} counts as {unlike[0][0]!r}", stacklevel=2)  # fmt: skip
    return images
