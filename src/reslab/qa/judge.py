"""Scores of a net's answers on the test part, with threshold and temperature fitted on the dev part."""

from collections.abc import Sequence
from dataclasses import dataclass

from reslab.errors import UsageError
from reslab.qa.answers import Spans, predictions, rank
from reslab.qa.calibrate import Temperature, fit, outcomes
from reslab.qa.data.question import Question
from reslab.qa.no_answer import best_threshold
from reslab.qa.rules import RULES
from reslab.qa.scores import Evaluation, evaluate
from reslab.statistics import Reliability, reliability


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """The answers to some questions, and their scores. Questions with hidden answers are answered, not scored."""

    evaluation: Evaluation | None  # None if all answers are hidden
    reliability: Reliability | None  # of the same answers that `evaluation` scores
    predictions: dict[str, str]  # "" for no answer; the official scripts give the same scores
    texts: dict[str, str]  # each question's best text, however improbable
    no_answer: dict[str, float]  # probabilities


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Scores of the test part, and of the dev part on which threshold and temperature were fitted."""

    evaluation: Evaluation
    dev: Evaluation
    temperature: Temperature
    before: Reliability  # of the test part's answers, with their probabilities at temperature 1
    after: Reliability
    predictions: dict[str, str]  # of the test part; "" above the threshold
    no_answer: dict[str, float]


def weigh(
    questions: Sequence[Question], spans: Spans, *, rule: str, temperature: float, threshold: float | None
) -> Weighed:
    """Answer the questions and score the answers.

    If the rule knows questions without an answer and there is no threshold, "no answer" is predicted where it is the
    most probable. The calibration error is that of these answers.
    """
    empty = RULES[rule].empty
    ranked = rank(spans, len(questions), no_answer=empty, temperature=temperature)
    decided = [one.decided(threshold if empty else None) for one in ranked]
    texts, null = predictions(questions, ranked)
    given = {id: text if answer else "" for (id, text), answer in zip(texts.items(), decided, strict=True)}
    open_ = [row for row, question in enumerate(questions) if not question.hidden]
    if not open_:
        return Weighed(evaluation=None, reliability=None, predictions=given, texts=texts, no_answer=null)
    asked, found = [questions[row] for row in open_], [ranked[row] for row in open_]
    scored = evaluate(asked, given if threshold is None else texts, rule=rule,
                      no_answer=None if threshold is None else null, threshold=threshold)  # fmt: skip
    sure = reliability(*outcomes(asked, found, rule=rule, decided=[decided[row] for row in open_]))
    return Weighed(evaluation=scored, reliability=sure, predictions=given, texts=texts, no_answer=null)


def judge(
    dev: Sequence[Question], dev_spans: Spans, test: Sequence[Question], test_spans: Spans, *, rule: str
) -> Judged:
    """Fit the temperature (with "no answer" also its threshold) on dev, then score the test part once."""
    empty = RULES[rule].empty
    fitted = fit(dev, rank(dev_spans, len(dev), no_answer=empty), rule=rule)
    T, threshold = fitted.temperature, None
    if empty:
        ranked = rank(dev_spans, len(dev), no_answer=empty, temperature=T)
        threshold = best_threshold(dev, *predictions(dev, ranked), rule=rule).threshold
    found = weigh(test, test_spans, rule=rule, temperature=T, threshold=threshold)
    own = weigh(dev, dev_spans, rule=rule, temperature=T, threshold=threshold)
    if not (found.evaluation and found.reliability and own.evaluation):
        raise UsageError("all questions of a part have hidden answers, so nothing can be fitted or scored")
    decided = [one.decided(threshold) for one in rank(test_spans, len(test), no_answer=empty, temperature=T)]
    plain = rank(test_spans, len(test), no_answer=empty)
    return Judged(
        evaluation=found.evaluation, predictions=found.predictions, no_answer=found.no_answer, after=found.reliability,
        before=reliability(*outcomes(test, plain, rule=rule, decided=decided)), temperature=fitted, dev=own.evaluation,
    )  # fmt: skip
