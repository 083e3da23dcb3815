"""What images and their classes are called on a page, in a bounded length."""

from collections.abc import Sequence

from torch import Tensor

LONGEST = 160  # characters of an image's name; its end tells images apart


def clipped(name: str) -> str:
    """The end of a long name."""
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"


def classes_of(classes: Sequence[str], label: Tensor) -> str:
    """The name of a class, a scalar, or of several labels (K,) of 0 and 1."""
    if label.dim() == 0:
        return clipped(classes[int(label)])
    return clipped(", ".join(name for name, given in zip(classes, label.tolist(), strict=True) if given) or "no label")
