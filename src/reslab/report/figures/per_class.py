"""Precision, recall and F1 of each class, with intervals, as a table."""

from collections.abc import Sequence

from reslab.errors import one_line
from reslab.report.figures import classes
from reslab.report.folder import Facts, Run, items
from reslab.statistics import Interval, f1, f1_interval, wilson

Counts = tuple[str, int, int, int, str]
"""A class: its name, right, false and missed examples, and what it is most often mistaken for."""


def table(run: Run) -> Facts | None:
    """The rows, the lowest F1 first, and the means over all classes of them; None if nothing was counted.

    In the means, the precision of a class never predicted and the recall of one without images count 0, so that all
    three are over the same classes (as scikit-learn's zero_division=0 does).

    With more than LISTED classes, only the WORST are listed.
    """
    found = [one for one in counts(run) if sum(one[1:4])]
    if not found:
        return None
    ranked = sorted(found, key=lambda one: (f1(*one[1:4]), one[0]))
    shown = ranked[: classes.WORST] if len(ranked) > classes.LISTED else ranked
    precisions = [right / (right + false) if right + false else 0.0 for _, right, false, _, _ in found]
    recalls = [right / (right + missed) if right + missed else 0.0 for _, right, _, missed, _ in found]
    return {
        "rows": [row(*one) for one in shown],
        "of": len(found),
        "precision": mean(precisions),
        "recall": mean(recalls),
        "f1": mean([f1(*one[1:4]) for one in found]),
        "undefined": any(not right + false or not right + missed for _, right, false, missed, _ in found),
        "taken": any(one[4] for one in shown),
    }


def row(name: str, right: int, false: int, missed: int, taken: str) -> Facts:
    """One class: each share in percent with its interval, None where it is not defined."""
    return {
        "name": one_line(name),
        "n": right + missed,
        "precision": share(right / (right + false), wilson(right, right + false)) if right + false else None,
        "recall": share(right / (right + missed), wilson(right, right + missed)) if right + missed else None,
        "f1": share(f1(right, false, missed), f1_interval(right, false, missed)),
        "taken": one_line(taken),
    }


def share(value: float, around: Interval) -> Facts:
    return {"value": 100 * value, "low": 100 * around.low, "high": 100 * around.high}


def mean(values: Sequence[float]) -> float:
    """In percent."""
    return 100 * sum(values) / len(values)


def counts(run: Run) -> list[Counts]:
    """The counts of each class: of several labels an image as they were stored, else from the confusion matrix."""
    if run.pictures.get("several"):
        names = items(run.pictures.get("classes"))
        stored = [one for one in items(run.pictures.get("counts")) if isinstance(one, list) and len(one) == 3]
        return [(name, *one, "") for name, one in zip(names, stored, strict=False)]
    names, rows = classes.counts_of(run)
    predicted = [sum(column) for column in zip(*rows, strict=True)] if rows else []
    return [(names[i], row[i], predicted[i] - row[i], sum(row) - row[i], classes.taken(names, row, i))
            for i, row in enumerate(rows)]  # fmt: skip
