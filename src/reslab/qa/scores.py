"""Exact match and F1 of predictions by a rule; predictions in the official format."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import UsageError
from reslab.qa.data.question import Question
from reslab.qa.no_answer import probability_of
from reslab.qa.rules import EMPTY, rule_of, score
from reslab.statistics import bootstrap, wilson
from reslab.stored.files import MissingFile
from reslab.stored.read import read_json
from reslab.stored.write import write_aside


@dataclass(frozen=True, kw_only=True)
class Part:
    """Exact match and F1 (%) over n questions."""

    exact: float
    f1: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores of predictions, in %.

    `has_answer`, `no_answer`: for these questions only, if the rule scores "no answer".

    `intervals`: 95 %, over questions; Wilson's for "exact", the bootstrap's for "f1".
    """

    rule: str
    exact: float
    f1: float
    n: int
    intervals: dict[str, tuple[float, float]]
    missing: int  # questions without a prediction: they score 0
    threshold: float | None  # the prediction is "" if the probability of no answer is above it
    has_answer: Part | None
    no_answer: Part | None


def evaluate(
    questions: Sequence[Question], predictions: Mapping[str, str], *, rule: str,
    no_answer: Mapping[str, float] | None = None, threshold: float | None = None,
) -> Evaluation:  # fmt: skip
    """The scores of `predictions`, {id: text}, equal to the official scripts'.

    If the rule scores "no answer", `no_answer` is {id: its probability}; above `threshold` the prediction becomes "".
    Use the threshold that `best_threshold` found on a dev part. Without a threshold the predictions are scored as
    given, and "" means no answer. A question without a prediction scores 0 (SQuAD 2's script fails there). Raises
    UsageError if there are no questions, for an unknown rule, or for a threshold without probabilities.
    """
    if not questions:
        raise UsageError("there are no questions to evaluate")
    if threshold is not None and (no_answer is None or not rule_of(rule).empty):
        raise UsageError(f"a threshold needs the probabilities of no answer and the rule {' or '.join(EMPTY)}")
    found = np.zeros((len(questions), 2))
    for row, question in enumerate(questions):
        if question.id not in predictions:
            continue
        if threshold is not None and probability_of(no_answer, question) > threshold:
            found[row] = float(not question.answers)
        else:
            found[row] = score(question, predictions[question.id], rule=rule)
    answered = np.array([bool(question.answers) for question in questions])
    whole = _part(found)
    return Evaluation(
        rule=rule, exact=whole.exact, f1=whole.f1, n=whole.n, intervals=_intervals(found), threshold=threshold,
        missing=sum(question.id not in predictions for question in questions),
        has_answer=_part(found[answered]) if rule_of(rule).empty and answered.any() else None,
        no_answer=_part(found[~answered]) if rule_of(rule).empty and not answered.all() else None,
    )  # fmt: skip


def _part(found: np.ndarray) -> Part:
    exact, f1 = (100 * found.mean(axis=0)).tolist()
    return Part(exact=exact, f1=f1, n=len(found))


def _intervals(found: np.ndarray) -> dict[str, tuple[float, float]]:
    exact = wilson(round(found[:, 0].sum()), len(found))
    f1 = bootstrap(lambda rows: {"f1": found[rows, 1].mean()}, len(found))["f1"]
    return {name: (100 * each.low, 100 * each.high) for name, each in (("exact", exact), ("f1", f1))}


def write_predictions(path: Path, values: Mapping[str, str] | Mapping[str, float]) -> Path:
    """Write {id: text} or {id: probability of no answer} in the format of the official scripts."""
    text = json.dumps(dict(values), ensure_ascii=False, indent=1) + "\n"
    whole = text.encode(errors="backslashreplace")  # half characters of an id, as JSON spells them
    return write_aside(path, lambda file: file.write(whole))


def read_predictions(path: Path) -> dict[str, str]:
    """The predictions of a file in the official format. Raises UsageError for another one, ReslabError if damaged."""
    found = by_id(path, "predictions")
    if not all(isinstance(text, str) for text in found.values()):
        raise UsageError(f"{path} holds no predictions: they are one object, {{question id: answer text}}")
    return found


def read_no_answer(path: Path) -> dict[str, float]:
    """The probabilities of no answer, {id: number}, of a file in the official format (--na-prob-file).

    Raises UsageError for another one, ReslabError if damaged. SQuAD 2's script takes any number (scores that are no
    probabilities, too), and so does this.
    """
    found = by_id(path, "probabilities of no answer")
    for id, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UsageError(f"{path}: the probability of no answer of question {id} must be a number, got {value!r}")
    return {id: float(value) for id, value in found.items()}


def by_id(path: Path, what: str) -> dict[str, Any]:
    """A JSON object, {question id: value}."""
    try:
        found = read_json(path, object)
    except MissingFile as error:
        raise UsageError(f"{path}: no such file of {what}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no {what}: they are one object, {{question id: value}}")
    return found
