"""How the strings of a training table are written, to read those of other tables that could be read in two ways."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from reslab.tables.data.dates import Order, order_of
from reslab.tables.data.frame import Frame
from reslab.tables.data.written import MARKS, decimal_mark


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """missing: words that mean a missing value. decimal: the mark of numbers like 1.001; None while it is not known.
    orders: those of dates like 3/4/2024, by column. The defaults are those of runs that store none."""

    missing: tuple[str, ...] = ()
    decimal: str | None = "."
    orders: dict[str, Order] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: Frame, kinds: Mapping[str, str], words: tuple[str, ...], decimal: str | None) -> "Spelling":
        """Of a training frame; `words` are removed from it, `decimal` is the mark if that is known."""
        texts = {name: {text for text in frame[name] if text is not None} for name, kind in kinds.items()
                 if kind in ("number", "date") and frame[name].dtype == object}  # fmt: skip
        marks = [decimal_mark(texts[name], decimal) for name in texts if kinds[name] == "number"]
        commas = any(mark is not None and mark.mark == "," for mark in marks)
        orders = {name: order for name in texts if kinds[name] == "date" and (order := order_of(texts[name]))}
        return cls(missing=words, decimal=decimal or MARKS[commas], orders=orders)

    def to_dict(self) -> dict[str, Any]:
        """{"spelling": JSON-ready data}, or {} for the default."""
        return {} if self == Spelling() else {"spelling": {**asdict(self), "missing": list(self.missing)}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Spelling":
        """Raises TypeError or ValueError for damaged data."""
        found = cls(**{**data, "missing": tuple(data.get("missing", ()))})
        if found.decimal not in MARKS or not isinstance(found.orders, dict):
            raise TypeError("its spelling is of no known kind")
        if not set(found.orders.values()) <= set(get_args(Order)) or not all(
            isinstance(one, str) for one in found.missing
        ):
            raise TypeError("its spelling is of no known kind")
        return found
