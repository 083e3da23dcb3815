"""The columns of a table as fields of a form: what a person may type or choose. No torch."""

from collections.abc import Sequence
from typing import Literal, TypedDict, cast

import numpy as np
from scipy.special import ndtr

from reslab.tables.data.categories import ListCode, Vocabulary
from reslab.tables.data.encoder import Coded, TableEncoder
from reslab.tables.data.numbers import NumberCode

NEAR = 1e-9  # shares of rows that are closer are equal
SHOWN = 200  # values of a category, the most frequent ones


class Field(TypedDict):
    """One column. `low`, `high`, `middle`: of training, ISO dates for a date; None where there is no order."""

    name: str
    kind: Literal["number", "category", "categories", "text", "date"]
    values: list[str]  # the most frequent first, at most SHOWN
    low: float | str | None
    high: float | str | None
    middle: float | str | None


def fields_of(encoder: TableEncoder) -> list[Field]:
    """The columns that a row needs, in the order of the training table."""
    return [field(name, encoder.kinds[name], [one for one in encoder.columns if one.owner == name])
            for name in encoder.needed]  # fmt: skip


def field(name: str, kind: str, columns: Sequence[Coded]) -> Field:
    """The field of one column, from what it was coded as."""
    first = columns[0].code if columns else None
    values = list(first.values[:SHOWN]) if isinstance(first, Vocabulary | ListCode) and kind != "date" else []
    places = [None, None, None]
    if isinstance(first, NumberCode):
        found = (float(first.knots[0]), float(first.knots[-1]), median(first))
        short = bool((first.knots.astype(np.float32) == first.knots).all())  # the column had 32 bits, or whole numbers
        places = [date(one) if kind == "date" else plain(one, short) for one in found]  # type: ignore[misc]
    return cast(Field, {"name": name, "kind": kind, "values": values,
                        **dict(zip(("low", "high", "middle"), places, strict=True))})  # fmt: skip


def median(code: NumberCode) -> float:
    """The training value in the middle, or nearest to it: one that occurs, not one between two that do."""
    rank = ndtr(code.gauss)  # the share of values below each knot, plus half of its own
    edges = np.concatenate([[0.0], rank, [1.0]])
    half = np.minimum(np.diff(edges)[:-1], np.diff(edges)[1:])  # at most; exact beside knots of many equal values
    ends = np.empty(len(rank))  # the shares up to each knot, exact if every value is a knot
    upto = 0.0
    for k, one in enumerate(rank):
        upto = ends[k] = 2 * one - upto
    if abs(upto - 1) < NEAR and (np.diff(ends) > -NEAR).all():
        return float(code.knots[np.argmax(ends >= 0.5 - NEAR)])
    off = np.abs(rank - 0.5)
    return float(code.knots[np.argmin(np.where(off <= half, off - 1, off))])


def plain(value: float, short: bool) -> float:
    """A number as it was written: of a column of 32 bits, without the digits that 64 bits add."""
    return float(str(np.float32(value))) if short else value


def date(days: float) -> str:
    """Days since 1970 as an ISO date."""
    return str(np.datetime64(0, "D") + np.timedelta64(int(np.floor(days)), "D"))
