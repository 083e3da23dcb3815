"""Scores of a net's answers on the test part, with threshold and temperature fitted on the dev part."""

from collections.abc import Sequence
from dataclasses import dataclass

from reslab.qa.answers import Spans, predictions, rank
from reslab.qa.calibrate import Temperature, fit, outcomes
from reslab.qa.data.question import Question
from reslab.qa.scores import RULES, Evaluation, best_threshold, evaluate
from reslab.statistics import Reliability, reliability


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """The answers to some questions, and their scores."""

    evaluation: Evaluation
    reliability: Reliability
    predictions: dict[str, str]  # "" above the threshold; the official scripts give the same scores
    no_answer: dict[str, float]  # probabilities


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Scores of the test part, and of the dev part on which threshold and temperature were fitted."""

    evaluation: Evaluation
    dev: Evaluation
    temperature: Temperature
    before: Reliability  # of the test part at temperature 1
    after: Reliability
    predictions: dict[str, str]  # of the test part; "" above the threshold
    no_answer: dict[str, float]


def weigh(
    questions: Sequence[Question], spans: Spans, *, rule: str, temperature: float, threshold: float | None
) -> Weighed:
    """Score the answers. With squad2 and no threshold, "no answer" is predicted if it is the most probable."""
    empty = RULES[rule].empty
    ranked = rank(spans, len(questions), no_answer=empty, temperature=temperature)
    texts, null = predictions(questions, ranked)
    if empty and threshold is None:
        given = {id: text if one.best else "" for (id, text), one in zip(texts.items(), ranked, strict=True)}
    else:
        given = {id: "" if threshold is not None and null[id] > threshold else text for id, text in texts.items()}
    found = evaluate(questions, given if threshold is None else texts, rule=rule,
                     no_answer=None if threshold is None else null, threshold=threshold)  # fmt: skip
    sure = reliability(*outcomes(questions, ranked, rule=rule))
    return Weighed(evaluation=found, reliability=sure, predictions=given, no_answer=null)


def judge(
    dev: Sequence[Question], dev_spans: Spans, test: Sequence[Question], test_spans: Spans, *, rule: str
) -> Judged:
    """Fit the temperature (with squad2 also the "no answer" threshold) on dev, then score the test part once."""
    empty = RULES[rule].empty
    fitted = fit(dev, rank(dev_spans, len(dev), no_answer=empty), rule=rule)
    T, threshold = fitted.temperature, None
    if empty:
        threshold = best_threshold(
            dev, *predictions(dev, rank(dev_spans, len(dev), no_answer=empty, temperature=T))
        ).threshold
    found = weigh(test, test_spans, rule=rule, temperature=T, threshold=threshold)
    return Judged(
        evaluation=found.evaluation, predictions=found.predictions, no_answer=found.no_answer, after=found.reliability,
        before=weigh(test, test_spans, rule=rule, temperature=1.0, threshold=None).reliability, temperature=fitted,
        dev=weigh(dev, dev_spans, rule=rule, temperature=T, threshold=threshold).evaluation,
    )  # fmt: skip
