"""From rows to predictions: what a model in torch and an exported one have in common. No torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from reslab.errors import UsageError
from reslab.progress import Progress, silent
from reslab.tables.calibrate import Calibration, mean_of
from reslab.tables.data.alone import read_alone
from reslab.tables.data.format import Format
from reslab.tables.data.frame import Frame, Report, read_frame
from reslab.tables.data.target import Target


class RowPredictor:
    """Predicts a target from the columns it was trained on; a subclass computes the scores of each of its members.

    Every member has an `encoder`, which turns a Frame into what `of_table` takes.
    """

    def __init__(self, members: Sequence[Any], target: Target, calibration: Calibration | None) -> None:
        self.members, self.target, self.calibration = tuple(members), target, calibration

    @property
    def format(self) -> Format:
        """What a table for this model is known to be."""
        encoder = self.members[0].encoder
        spelling = encoder.table.spelling
        return Format(
            decimal=spelling.decimal, missing=spelling.missing, names=tuple(encoder.kinds), only=encoder.needed
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that it uses."""
        return self.members[0].encoder.needed

    def predict(self, data: Any, *, report: Report | None = None) -> np.ndarray:
        """The class of each row, (N,); its labels as 0 and 1, (N, K); or its numbers, (N,) or (N, K).

        `data`: a path, a pandas, polars or pyarrow table, an array, or a mapping of columns. Unseen categories and
        the like go to `report`, or are warned about without it. Raises UsageError for missing columns, naming them.
        """
        own = Report()
        found = self.target.decode(self.scores(data, report=own if report is None else report))
        own.warn(stacklevel=3)
        return found

    def predict_proba(self, data: Any, *, report: Report | None = None) -> np.ndarray:
        """The probability of each class or label, (N, K). Raises UsageError for a target of numbers."""
        if self.target.kind == "numbers":
            raise UsageError("a target of numbers has no probabilities; use predict")
        own = Report()
        found = self.scores(data, report=own if report is None else report)
        own.warn(stacklevel=3)
        return found

    def scores(self, data: Any, *, report: Report | None = None, progress: Progress = silent) -> np.ndarray:
        """Float64 (N, K): probabilities, or numbers in the target's unit; the members' mean."""
        frame = data if isinstance(data, Frame) else read_frame(data, report=report, how=self.format)
        return self.of_tables(self.tables(frame, report, progress))

    def tables(self, frame: Frame, report: Report | None = None, progress: Progress = silent) -> list[Any]:
        """The frame encoded for each member."""
        made: dict[int, Any] = {}
        for member in self.members:
            if id(member.encoder) not in made:
                table = member.encoder.transform(frame, report=None if made else report, progress=progress)
                made[id(member.encoder)] = table
        return [made[id(member.encoder)] for member in self.members]

    def tables_alone(self, rows: Sequence[Mapping[str, Any]], report: Report) -> list[Any]:
        """Rows of plain values encoded for each member, each row as if it were sent alone (see alone.py)."""
        made: dict[int, Any] = {}
        for member in self.members:
            if id(member.encoder) not in made:
                own = report if not made else Report()
                frame = read_alone(rows, member.encoder.table, own)
                made[id(member.encoder)] = member.encoder.transform(frame, report=own)
        return [made[id(member.encoder)] for member in self.members]

    def of_tables(self, tables: Sequence[Any]) -> np.ndarray:
        """The members' mean scores of the tables that `tables` made, calibrated if the model is."""
        return self.combined([self.of_table(member, table) for member, table in zip(self.members, tables, strict=True)])

    def combined(self, each: Sequence[np.ndarray]) -> np.ndarray:
        """The members' mean of their scores (N, K), calibrated if the model is."""
        if self.calibration is not None:
            return self.calibration.apply(mean_of(each, self.target.kind), self.target)
        found: np.ndarray = np.mean(each, axis=0)
        return found

    def of_table(self, member: Any, table: Any) -> np.ndarray:
        """One member's scores (N, K), not calibrated, of a table that its encoder made."""
        raise NotImplementedError


def activated(out: np.ndarray, target: Target) -> np.ndarray:
    """A net's outputs (N, K) as probabilities, or as numbers in the target's unit, float64."""
    out = out.astype(np.float64)
    if target.kind == "numbers":
        return target.unscaled(out)
    return np.asarray(softmax(out, axis=1) if target.kind == "classes" else expit(out))
