"""What a net's answers are worth on the test part, with threshold and temperature found on the dev part."""

from collections.abc import Sequence
from dataclasses import dataclass

from reslab.data.question import Question
from reslab.qa.answers import Spans, predictions, rank
from reslab.qa.calibrate import Reliability, Temperature, fit_temperature, outcomes, reliability, rows
from reslab.qa.scores import RULES, Evaluation, best_threshold, evaluate


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Scores of the test part, and of the dev part, on which threshold and temperature were fitted."""

    evaluation: Evaluation
    dev: Evaluation
    temperature: Temperature
    before: Reliability  # of the test part at temperature 1
    after: Reliability
    predictions: dict[str, str]  # of the test part; "" above the threshold
    no_answer: dict[str, float]


def judge(
    dev: Sequence[Question], dev_spans: Spans, test: Sequence[Question], test_spans: Spans, *, rule: str
) -> Judged:
    """Fit the temperature on dev, and by squad2 the threshold of "no answer"; then score the test part once."""
    empty = RULES[rule].empty
    plain = rank(dev_spans, len(dev), no_answer=empty)
    temperature = fit_temperature(*rows(dev, plain, rule=rule))
    T = temperature.temperature
    texts, null = predictions(dev, rank(dev_spans, len(dev), no_answer=empty, temperature=T))
    threshold = best_threshold(dev, texts, null).threshold if empty else None

    def score(questions: Sequence[Question], texts: dict[str, str], null: dict[str, float]) -> Evaluation:
        return evaluate(questions, texts, rule=rule, no_answer=null if empty else None, threshold=threshold)

    warm = rank(test_spans, len(test), no_answer=empty, temperature=T)
    test_texts, test_null = predictions(test, warm)
    said = {id: "" if threshold is not None and test_null[id] > threshold else text for id, text in test_texts.items()}
    cold = rank(test_spans, len(test), no_answer=empty)
    return Judged(
        evaluation=score(test, test_texts, test_null), dev=score(dev, texts, null), temperature=temperature,
        before=reliability(*outcomes(test, cold, rule=rule)), after=reliability(*outcomes(test, warm, rule=rule)),
        predictions=said, no_answer=test_null,
    )  # fmt: skip
