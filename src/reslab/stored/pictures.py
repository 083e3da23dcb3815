"""Keys and types of results/pictures.json and results/duplicates.json in a run folder, as in folders.py."""

from typing import Required, TypedDict

from reslab.stored.numbers import Count, Number, Real
from reslab.stored.results import Reliability


class Picture(TypedDict, total=False):
    """An image: of one class (true, predicted), or of several labels (labels, said, and the falsest label)."""

    name: Required[str]
    thumbnail: Required[str | None]  # a JPEG in a data URL; null where the image could not be read
    true: Count
    predicted: Count
    labels: list[Count]
    said: list[Count]
    label: Count
    confidence: Real
    own: Real  # the probability of the true class, or of the truth of the falsest label


class Doubts(TypedDict, total=False):
    """Labels that may be wrong; `images` are numbers in the list of pictures, `likely` classes."""

    n: Required[Count]
    images: Required[list[Count]]
    likely: Required[list[Count]]
    probability: Required[list[Real]]


class Confusion(TypedDict):
    """The cells of the confusion matrix that are not zero."""

    true: list[Count]
    predicted: list[Count]
    n: list[Count]


class Cell(TypedDict):
    true: Count
    predicted: Count
    images: list[Count]


class Held(TypedDict, total=False):
    """Of the validation part."""

    n: Required[Count]
    doubts: Required[Doubts]
    images: Required[list[Picture]]


class Pictures(TypedDict, total=False):
    part: str
    n: Required[Count]
    several: bool
    size: list[Count]  # height and width as the net sees them
    classes: Required[list[str]]
    views: str
    precision: str
    temperature: Number
    error: Number
    balanced: Number
    majority: Number
    confusion: Confusion
    counts: list[list[Count]]  # for each label: right positives, false positives, missed ones
    worst: list[Count]
    uncertain: list[Count]
    cells: list[Cell]
    doubts: Doubts
    images: Required[list[Picture]]
    reliability: Reliability
    reliability_before: Reliability
    validation: Held | None


class Pair(TypedDict, total=False):
    """A test image beside the training image that it repeats."""

    train: Required[str]
    test: Required[str]
    train_class: str
    test_class: str
    exact: bool
    correlation: Real
    train_thumbnail: str | None
    test_thumbnail: str | None


class Duplicates(TypedDict, total=False):
    train: Count
    test: Count
    compared: Required[bool]
    exact: Count
    near: Count
    elsewhere: Count
    pairs: list[Pair]


class Sample(TypedDict):
    """A training image as it was augmented; shares: [class, share] pairs, or [label, share]."""

    thumbnail: str
    shares: list[list[Number]]


class Samples(TypedDict, total=False):
    """results/samples.json."""

    pictures: Required[list[Sample]]
    repeats: Count
