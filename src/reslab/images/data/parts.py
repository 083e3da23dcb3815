"""Which images of a data set are measured: a part, or all of them."""

from dataclasses import replace

import torch

from reslab.errors import UsageError, arg
from reslab.images.data.images import Encoded, ImageData, Part, Pixels
from reslab.stored.shards import Name


def part_of(images: ImageData, asked: Name | None, *, trained_on: str | None) -> tuple[Part, str]:
    """The part that was asked for, and its name; by default the test part, or "all" images of data that have none.

    Data without a test part are split for training; a model that was trained elsewhere may be measured on all of them.
    `trained_on`: the fingerprint of the data that the model was trained on, if known; those keep their test part.
    Of "validation" it is the data's own; images.train.validation_part also knows those that a run's recipe set aside.
    """
    if asked == "validation":
        if images.validation is None:
            raise UsageError(f"{images.name} has no validation part; choose ", arg("part", "test"))
        return images.validation, asked
    if asked is None and images.split and images.fingerprint != trained_on:
        return joined(images.train, images.test), "all"
    return (images.train if asked == "train" else images.test), asked or "test"


def joined(train: Part, test: Part) -> Part:
    """Both parts of one split, the training part first."""
    labels = torch.cat([train.labels, test.labels])
    if isinstance(train, Pixels) and isinstance(test, Pixels):
        files = joined(train.files, test.files) if train.files is not None and test.files is not None else None
        assert not isinstance(files, Pixels)
        return Pixels(pixels=torch.cat([train.pixels, test.pixels]), labels=labels, files=files)
    assert isinstance(train, Encoded)
    assert isinstance(test, Encoded)
    return replace(train, rows=torch.cat([train.rows, test.rows]), labels=labels)


def described(part: str, n: int, of: int, name: str) -> str:
    """`200 of 1,000 test images of photos`; `all 2,000 images of photos, which has no test part`."""
    some = f"all {of:,}" if n == of else f"{n:,} of {of:,}"
    images = {"all": "images", "train": "training images"}.get(part, f"{part} images")
    whole = ", which has no test part" if part == "all" else ""
    return f"{some} {images} of {name}{whole}"
