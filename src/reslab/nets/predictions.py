"""What a trained net predicts of images, and the type of its `predict`, for editors; images/model.py makes both."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

import numpy as np
from PIL import Image

from reslab.errors import UsageError, one_line
from reslab.extras import frame_of

if TYPE_CHECKING:
    from torch import Tensor

LINES = 12  # rows of a text
SHOWN = 3  # classes in a line
YES = 0.5  # probability from which an image has a label

Preprocess = Callable[[Any], "Tensor"]
"""An image as the net was trained on: any image -> float32 (C, H, W), normalized."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """The classes of one image by probability. Of several labels an image, each has a probability of its own."""

    classes: tuple[str, ...]  # every class of the net, in its order
    values: np.ndarray = field(repr=False)  # float64 (K,): their probabilities
    file: str = ""  # the image's file, if it came from one
    calibration: str = ""  # how the probabilities are calibrated, or why they are not
    several: bool = False  # whether an image may have several labels

    @property
    def class_name(self) -> str:
        """The most probable class."""
        return self.classes[int(self.values.argmax())]

    @property
    def probability(self) -> float:
        """Its probability, 0 to 1."""
        return float(self.values.max())

    @property
    def probabilities(self) -> dict[str, float]:
        """The probability of each class, in the net's order."""
        return dict(zip(self.classes, self.values.tolist(), strict=True))

    @property
    def labels(self) -> tuple[str, ...]:
        """Of several labels an image: those with a probability of at least a half; otherwise the most probable class.

        The most probable first.
        """
        if not self.several:
            return (self.class_name,)
        return tuple(name for name, probability in self.top(len(self.classes)) if probability >= YES)

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable classes with their probabilities, the most probable first."""
        if k < 1:
            raise UsageError(f"top must be at least 1, got {k}")
        order = np.argsort(-self.values, kind="stable")[:k]
        return [(self.classes[i], float(self.values[i])) for i in order]

    def __repr__(self) -> str:
        return f"<{self.line()}; {self.calibration}>"

    def line(self) -> str:
        """`a.jpg: cat 98.1 %, dog 1.2 %, ant 0.4 %`."""
        start = f"{one_line(self.file)}: " if self.file else ""
        shown = ", ".join(f"{one_line(name)} {100 * p:.1f} %" for name, p in self.top(SHOWN))
        return f"{start}{shown}"


class Predictions(list[Prediction]):
    """Predictions of several images in their order. `frame()` is a table, a row per image."""

    def __init__(self, found: Iterable[Prediction] = (), *, calibration: str = "", notes: tuple[str, ...] = ()) -> None:
        super().__init__(found)
        self.calibration = calibration  # how the probabilities are calibrated, or why they are not
        self.notes = notes  # what was changed or assumed while the images were read

    def rows(self) -> list[dict[str, Any]]:
        """A dict for each image: file, class, probability, and the probability of each class as p(NAME)."""
        return [
            {"file": one.file, "class": "|".join(one.labels), "probability": one.probability,
             **{f"p({name})": value for name, value in one.probabilities.items()}} for one in self
        ]  # fmt: skip

    def frame(self) -> Any:
        """The rows as a pandas.DataFrame. Raises UsageError if pandas is not installed."""
        return frame_of(self.rows())

    def __repr__(self) -> str:
        lines = [f"{len(self)} prediction{'s' * (len(self) != 1)}; {self.calibration}", *self.notes]
        lines += [f"  {one.line()}" for one in self[:LINES]]
        return "\n".join(lines + [f"  ... {len(self) - LINES} more; frame() has them all"] * (len(self) > LINES))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


Precision = Literal["auto", "fp32", "bf16"]
Mirror = Literal["none", "flip"]


class Predict(Protocol):
    """`net.predict` of a net that `reslab.load` read from a run: images to predictions; see `images.model.Predictor`.

    images: a file's path, a PIL image, an array or tensor: one Prediction; a list of them, or a batch (N, H, W, C) as
    an array or (N, C, H, W) as a tensor: Predictions.
    """

    @overload
    def __call__(
        self, images: str | bytes | PathLike[str] | Image.Image, *, tta: Mirror = ..., batch: int = ...,
        workers: int | None = ..., precision: Precision = ...,
    ) -> Prediction: ...  # fmt: skip

    @overload
    def __call__(
        self, images: list[Any] | tuple[Any, ...], *, tta: Mirror = ..., batch: int = ..., workers: int | None = ...,
        precision: Precision = ...,
    ) -> Predictions: ...  # fmt: skip

    @overload
    def __call__(
        self, images: Any, *, tta: Mirror = ..., batch: int = ..., workers: int | None = ...,
        precision: Precision = ...,
    ) -> Any: ...  # fmt: skip

    def __call__(
        self, images: Any, *, tta: Mirror = "none", batch: int = 64, workers: int | None = None,
        precision: Precision = "fp32",
    ) -> Any: ...  # fmt: skip
