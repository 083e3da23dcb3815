"""What every predictor of images does when it is called, whatever computes its probabilities; no torch."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from reslab.errors import BrokenImage, Sentence, UsageError, arg
from reslab.images.decoding import Part
from reslab.images.inputs import Source, listed, source_of
from reslab.images.pixels import remarked
from reslab.nets.predictions import Prediction, Predictions

NO_VALIDATION = Sentence("not calibrated: no validation part (set ", arg("validation", 0.1), ")")
TO_CLIENTS = "not calibrated: the model was trained without a validation part"  # the same, for who cannot set it


class Naming(Protocol):
    """A predictor of images, as far as its answers show it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class, in the net's order."""

    @property
    def calibration(self) -> str:
        """How the probabilities are calibrated, or why they are not."""

    @property
    def several(self) -> bool:
        """Whether an image may have several labels."""


def answer(model: Naming, images: Any, stream: Callable[[list[Source]], Iterator[Part]]) -> Any:
    """The Prediction of one image, or the Predictions of several, of which `stream` gives the probabilities.

    Raises UsageError for what is no image, BrokenImage for a file that cannot be read.
    """
    given, alone = listed(images)
    sources = [source_of(one) for one in given]
    found, remarks, names = list[Prediction](), Counter[str](), [name_of(source) for source in sources]
    for part in stream(sources):
        if part.broken:
            i, why = part.broken[0]
            raise BrokenImage(names[i] or f"number {i}", why)
        found += predictions(model, part, names)
        remarks += part.remarks
    return found[0] if alone else Predictions(found, calibration=model.calibration, notes=remarked(remarks))


def predictions(model: Naming, part: Part, names: Sequence[str]) -> list[Prediction]:
    """The predictions of one part of `stream`, whose images have these names."""
    return [
        Prediction(classes=model.classes, values=values, file=names[i], calibration=model.calibration,
                   several=model.several) for i, values in zip(part.index, part.values, strict=True)
    ]  # fmt: skip


def check(*, tta: str, batch: int, workers: int | None) -> None:
    """Raise UsageError for options of `stream` that cannot be."""
    if tta not in ("none", "flip"):
        raise UsageError(f"tta must be none or flip, got {tta!r}")
    if type(batch) is not int or batch < 1:
        raise UsageError(f"batch must be positive, got {batch!r}")
    if workers is not None and workers < 0:
        raise UsageError(f"workers must be zero or more, got {workers}")


def name_of(source: Source) -> str:
    return str(source) if isinstance(source, Path) else ""


def line_of(model: Naming, shape: tuple[int, int, int]) -> str:
    """The repr of a predictor."""
    C, H, W = shape
    return f"<predicts {len(model.classes)} classes of {'RGB' if C == 3 else 'gray'} {H}x{W}; {model.calibration}>"
