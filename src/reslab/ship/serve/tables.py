"""A model of a table's rows that is served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from reslab.ship.folder import is_exported
from reslab.ship.serve.refused import Refused, no_such, shown
from reslab.ship.serve.servable import About, Place
from reslab.ship.serve.settings import Settings
from reslab.ship.serve.versions import SHORT, version
from reslab.tables.fields import fields_of

MOST_ROWS = 10_000
MOST_NAMED = 10  # columns in a sentence
PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True, eq=False)
class Item:
    """The rows of one request, encoded: each row alone, so that no row's answer depends on its neighbors."""

    tables: Any
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Predicted:
    """decoded: the classes (N,), labels 0 and 1 (N, K) or numbers of the rows; scores float64 (N, K)."""

    decoded: np.ndarray
    scores: np.ndarray
    notes: tuple[str, ...]


class Tables:
    """See servable.Servable."""

    def __init__(self, about: About, model: Any) -> None:
        self.about, self.model = about, model
        self.report: Any = import_module("reslab.tables.data.report").Report

    def prepare(self, payload: Any, options: Mapping[str, Any]) -> Item:
        rows = checked(payload, self.model.columns)
        report = self.report()
        for sentence in absent(payload, self.model.columns):
            report.say("absent", sentence)
        tables = self.model.tables_alone(rows, report)
        return Item(tables, tuple(dict.fromkeys(map(str, report.lines()))))

    def run(self, items: Sequence[Item]) -> list[Predicted]:
        found = []
        for item in items:
            scores = self.model.of_tables(item.tables)
            found.append(Predicted(self.model.target.decode(scores), scores, item.notes))
        return found

    def warm(self, batch: int) -> None:
        self.run([self.prepare([dict.fromkeys(self.model.columns)], {})])

    def close(self) -> None:
        self.model = None


def checked(payload: Any, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a request. Raises Refused for what is no table, a column that is not the model's, or no value."""
    if not isinstance(payload, list) or not payload or not all(isinstance(row, dict) and row for row in payload):
        raise Refused(422, 'rows must be a list of objects, such as [{"column": value}]')
    if len(payload) > MOST_ROWS:
        raise Refused(413, f"a request may hold at most {MOST_ROWS:,} rows, got {len(payload):,}")
    known = set(columns)
    for row in payload:
        for name, value in row.items():
            if name not in known:
                raise Refused(422, f"the model has no column {no_such(name, columns)}")
            plain = isinstance(value, PLAIN) or (isinstance(value, list) and all(isinstance(v, PLAIN) for v in value))
            if not plain:
                raise Refused(
                    422, f"column {shown(name)} must hold a text, a number, true, false, null or a list of these"
                )
            if isinstance(value, int) and abs(value) > 10**300:
                raise Refused(422, f"column {shown(name)} holds a number that is too large")
    return payload


def absent(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """Sentences about columns that rows do not name, by how many rows."""
    found: dict[int, list[str]] = {}
    for name in columns:
        if n := sum(name not in row for row in rows):
            found.setdefault(n, []).append(name)
    return [f"{n:,} of {len(rows):,} rows {'has' if n == 1 else 'have'} no {', '.join(map(shown, names[:MOST_NAMED]))}"
            f"{f' and {len(names) - MOST_NAMED} other columns' if names[MOST_NAMED:] else ''}: read as missing"
            for n, names in found.items()]  # fmt: skip


def load(where: Place, *, threads: int = 0, max_pixels: int = Settings.max_pixels) -> Tables:
    """The model of a folder. Raises UsageError or ReslabError."""
    exported = is_exported(where.folder)
    mark = "" if exported else version(where.folder)
    model: Any = import_module("reslab.ship.predict").predict(where.folder, threads=threads)
    config, target = model.config if exported else None, model.target
    classes = None if target.classes is None else [str(one) for one in target.classes.tolist()]
    fields = fields_of(model.members[0].encoder.table)
    about = About(
        name=where.name, kind="tables", version=model.version[:SHORT] if config else mark,
        engine=config.engine if config else "torch", precision=config.precision if config else "fp32",
        details={"fields": fields, "target": target.kind, "classes": classes, "outputs": target.outputs},
    )  # fmt: skip
    return Tables(about, model)


def by_row(found: Predicted, target: str, classes: Sequence[str] | None) -> list[dict[str, Any]]:
    """The predictions for JSON: of each row what is predicted, and the probability of each class or label."""
    rows = []
    for decoded, scores in zip(found.decoded, found.scores, strict=True):
        if target == "numbers":
            value: Any = plain(decoded)
            rows.append({"predicted": value, "probabilities": {}})
            continue
        names = list(classes) if classes else [str(k) for k in range(len(scores))]
        if target == "labels":
            predicted: Any = [name for name, yes in zip(names, np.atleast_1d(decoded), strict=True) if yes]
        else:
            predicted = plain(decoded)
        rows.append({"predicted": predicted, "probabilities": dict(zip(names, map(float, scores), strict=True))})
    return rows


def plain(value: Any) -> Any:
    """A value of an array as JSON has it."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
