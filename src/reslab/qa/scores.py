"""Exact match and F1 by the rules of SQuAD 1.1, SQuAD 2.0 and KorQuAD 1.0; predictions in their official format."""

import json
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reslab.errors import UsageError, nearest
from reslab.qa.data.question import Question
from reslab.run import write_aside
from reslab.statistics import bootstrap, wilson
from reslab.stored.files import MissingFile
from reslab.stored.read import read_json

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)  # ASCII only, as in the official scripts
KOREAN_SIGNS = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))  # each becomes a space


def normalize_english(text: str) -> str:
    """Lower case, without punctuation and articles, single spaces (Rajpurkar et al. 2016, section 6.1)."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def normalize_korean(text: str) -> str:
    """KorQuAD 1.0: signs to spaces, lower case, without punctuation, single spaces; articles are kept."""
    return " ".join(text.translate(KOREAN_SIGNS).lower().translate(PUNCTUATION).split())


def words(text: str) -> list[str]:
    return text.split()


def characters(text: str) -> list[str]:
    return list(text.replace(" ", ""))


@dataclass(frozen=True)
class Rule:
    """How two answers are compared. `empty`: if there is no non-empty gold answer, "" is correct."""

    normalize: Callable[[str], str]
    units: Callable[[str], list[str]]  # the units of a normalized text that F1 counts
    empty: bool


RULES = {
    "squad1": Rule(normalize_english, words, empty=False),
    "squad2": Rule(normalize_english, words, empty=True),
    "korquad": Rule(normalize_korean, characters, empty=False),
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """Exact match and F1 (%) over n questions."""

    exact: float
    f1: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores of predictions, in %. `has_answer`, `no_answer`: for these questions only, with squad2.

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


def rule_of(name: str) -> Rule:
    if name not in RULES:
        raise UsageError(f"no rule named {name!r}; available: {', '.join(RULES)}{nearest(name, RULES)}")
    return RULES[name]


def exact(prediction: str, gold: str, *, rule: str) -> float:
    """1.0 if both are equal after normalization, otherwise 0.0."""
    normalize = rule_of(rule).normalize
    return float(normalize(prediction) == normalize(gold))


def f1(prediction: str, gold: str, *, rule: str) -> float:
    """2PR / (P + R) over the multiset of words (KorQuAD: characters) that both share.

    0 without common words; two empty answers give 1 with squad2 and 0 with the others, as in their scripts.
    """
    how = rule_of(rule)
    ours, theirs = how.units(how.normalize(prediction)), how.units(how.normalize(gold))
    if how.empty and not (ours and theirs):
        return float(ours == theirs)
    same = (Counter(ours) & Counter(theirs)).total()
    if not same:
        return 0.0
    precision, recall = same / len(ours), same / len(theirs)
    return 2 * precision * recall / (precision + recall)


def score(question: Question, prediction: str, *, rule: str) -> tuple[float, float]:
    """(exact, F1), 0 to 1, the best over the gold answers. Raises UsageError if the rule needs one and has none."""
    how = rule_of(rule)
    gold = [answer.text for answer in question.answers if not how.empty or how.normalize(answer.text)]
    if not gold and not how.empty:
        raise UsageError(f"question {question.id} has no answer, which {rule} cannot score; use squad2")
    gold = list(dict.fromkeys(gold)) or [""]
    return max(exact(prediction, one, rule=rule) for one in gold), max(f1(prediction, one, rule=rule) for one in gold)


def evaluate(
    questions: Sequence[Question], predictions: Mapping[str, str], *, rule: str,
    no_answer: Mapping[str, float] | None = None, threshold: float | None = None,
) -> Evaluation:  # fmt: skip
    """The scores of `predictions`, {id: text}, equal to the official scripts'.

    With squad2, `no_answer` is {id: probability of no answer}; above `threshold` the prediction becomes "". Use the
    threshold that `best_threshold` found on a dev part. Without a threshold the predictions are scored as given, and ""
    means no answer. A question without a prediction scores 0 (SQuAD 2's script fails there). Raises UsageError if there
    are no questions, for an unknown rule, or for a threshold without probabilities.
    """
    if not questions:
        raise UsageError("there are no questions to evaluate")
    if threshold is not None and (no_answer is None or not rule_of(rule).empty):
        raise UsageError("a threshold needs the probabilities of no answer and the rule squad2")
    found = np.zeros((len(questions), 2))
    for row, question in enumerate(questions):
        if question.id not in predictions:
            continue
        if threshold is not None and _probability(no_answer, question) > threshold:
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


def _probability(no_answer: Mapping[str, float] | None, question: Question) -> float:
    if no_answer is None or question.id not in no_answer:
        raise UsageError(f"the probability of no answer is missing for question {question.id}")
    return no_answer[question.id]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The threshold with the best score, and that score (%) on the same questions."""

    threshold: float
    score: float
    by: str
    n: int


def best_threshold(
    questions: Sequence[Question], predictions: Mapping[str, str], no_answer: Mapping[str, float], *, by: str = "f1"
) -> Threshold:
    """The "no answer" threshold (squad2) with the best score on these questions; `by`: "exact" or "f1".

    `predictions` are the best answers, never "" for lack of confidence. Use a dev part: fitted on the test part, the
    score would be too good. Of equally good thresholds the lowest, as in SQuAD 2's script, which differs only if
    questions have equal probabilities: it splits them, which no threshold can.
    """
    if by not in ("exact", "f1"):
        raise UsageError(f"by must be exact or f1, got {by!r}")
    asked = [question for question in questions if question.id in predictions]
    if not asked:
        raise UsageError("there are no predictions to fit a threshold on")
    probability = np.array([_probability(no_answer, question) for question in asked])
    pick = ("exact", "f1").index(by)
    gain = np.array([score(one, predictions[one.id], rule="squad2")[pick] if one.answers  # otherwise any text is wrong
                     else -float(predictions[one.id] != "") for one in asked])  # fmt: skip
    order = np.argsort(probability, kind="stable")
    ranked = probability[order]
    none = 0.0 if ranked[0] > 0 else float(np.nextafter(ranked[0], -np.inf))  # below all of them: nothing is answered
    totals = np.concatenate([[0.0], np.cumsum(gain[order])]) + sum(not question.answers for question in asked)
    last = np.append(ranked[1:] != ranked[:-1], True)  # a threshold can only follow the last of equal values
    totals[1:][~last] = -np.inf
    best = int(np.argmax(totals.round(9)))  # the order of summation must not decide between equals
    found = float(ranked[best - 1]) if best else none
    return Threshold(threshold=found, score=100 * float(totals[best]) / len(asked), by=by, n=len(asked))


def write_predictions(path: Path, values: Mapping[str, str] | Mapping[str, float]) -> Path:
    """Write {id: text} or {id: probability of no answer} in the format of the official scripts."""
    text = json.dumps(dict(values), ensure_ascii=False, indent=1) + "\n"
    whole = text.encode(errors="backslashreplace")  # half characters of an id, as JSON spells them
    return write_aside(path, lambda file: file.write(whole))


def read_predictions(path: Path) -> dict[str, str]:
    """The predictions of a file in the official format. Raises UsageError for another one, ReslabError if damaged."""
    try:
        found: dict[str, str] = read_json(path, object)
    except MissingFile as error:
        raise UsageError(f"{path}: no such file of predictions") from error
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise UsageError(f"{path} holds no predictions: they are one object, {{question id: answer text}}")
    return found
