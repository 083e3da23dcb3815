"""The columns of a table as fields of a form: what a person may type or choose. No torch."""

from collections.abc import Sequence
from typing import Literal, TypedDict, cast

import numpy as np

from reslab.tables.data.categories import ListCode, Vocabulary
from reslab.tables.data.encoder import Coded, TableEncoder
from reslab.tables.data.numbers import NumberCode

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
        knots = first.knots
        found = (knots[0], knots[-1], np.interp(0, first.gauss, knots))
        places = [date(one) if kind == "date" else float(one) for one in found]  # type: ignore[misc]
    return cast(Field, {"name": name, "kind": kind, "values": values,
                        **dict(zip(("low", "high", "middle"), places, strict=True))})  # fmt: skip


def date(days: float) -> str:
    """Days since 1970 as an ISO date."""
    return str(np.datetime64(0, "D") + np.timedelta64(int(np.floor(days)), "D"))
