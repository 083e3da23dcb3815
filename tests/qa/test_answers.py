"""The best spans are those that brute force over all pairs finds; merged, ranked, given probabilities."""

import math

import numpy as np
import pytest
import torch

from reslab.errors import ReslabError, UsageError
from reslab.qa.answers import Spans, best_spans, predictions, rank
from reslab.qa.data.batch import WindowBatch
from reslab.qa.data.question import Answer, Question


def batch(context: list[list[int]], offsets: list[list[list[int]]] | None = None) -> WindowBatch:
    """Windows with these context tokens; token j covers characters [2j, 2j + 1)."""
    mask = torch.tensor(context, dtype=torch.bool)
    B, L = mask.shape
    if offsets is None:
        places = torch.stack([2 * torch.arange(L), 2 * torch.arange(L) + 1], dim=1).expand(B, L, 2)
    else:
        places = torch.tensor(offsets)
    zero, which = torch.zeros(B, dtype=torch.int64), torch.arange(B)
    return WindowBatch(ids=mask.long(), mask=mask, types=mask.long(), context=mask, start=zero, end=zero,
                       offsets=places * mask[..., None], question=which)  # fmt: skip


def brute(span: torch.Tensor, windows: WindowBatch, top: int, most: int) -> list[list[tuple[float, int, int]]]:
    """By brute force over all pairs: the best per span of characters, then the `top` best."""
    found = []
    for w in range(len(span)):
        tokens = windows.context[w].nonzero().flatten().tolist()
        pairs = [(float(span[w, i, 0] + span[w, j, 1]), int(windows.offsets[w, i, 0]), int(windows.offsets[w, j, 1]))
                 for i in tokens for j in tokens if i <= j < i + most]  # fmt: skip
        found.append(sorted(pairs, reverse=True)[:top])
    return found


@pytest.mark.parametrize(("top", "most"), [(1, 1), (5, 4), (20, 30), (100, 3), (3, 100)])
def test_equal_to_brute_force(top: int, most: int) -> None:
    generator = torch.Generator().manual_seed(top)
    for L in (1, 5, 24):
        context = (torch.rand(6, L, generator=generator) > 0.2).int()
        context[0] = 0  # a window without context
        windows = batch(context.tolist())
        span = torch.randn(6, L, 2, generator=generator)
        found = best_spans(span, windows, top=top, most=most)
        for w, expected in enumerate(brute(span, windows, top, most)):
            kept = np.isfinite(found.score[w])
            ours = list(zip(found.score[w][kept], found.start[w][kept], found.end[w][kept], strict=True))
            assert [one[1:] for one in ours] == [one[1:] for one in expected]
            assert [one[0] for one in ours] == pytest.approx([one[0] for one in expected], abs=1e-6)


def test_by_hand() -> None:
    span = torch.zeros(1, 5, 2)
    span[0, :, 0] = torch.tensor([9.0, 1.0, 3.0, 0.0, 8.0])
    span[0, :, 1] = torch.tensor([9.0, 2.0, 0.0, 4.0, -9.0])
    found = best_spans(span, batch([[0, 1, 1, 1, 0]]), top=3, most=2)
    # pairs of at most two tokens among 1, 2, 3: (2, 3) 3 + 4, (3, 3) 0 + 4, then (1, 1) 1 + 2 and (2, 2) 3 + 0
    assert found.score[0].tolist() == [7, 4, 3]
    assert (found.start[0, 0], found.end[0, 0]) == (4, 7)
    assert found.null.tolist() == [18]  # [CLS]: 9 + 9


def test_tokens_of_one_character_give_one_span() -> None:
    """Three tokens are the bytes of one sign: the first begins it and the last ends it, as in the targets."""
    windows = batch([[0, 1, 1, 1, 1]], [[[0, 0], [0, 1], [0, 1], [0, 1], [1, 4]]])
    found = best_spans(torch.randn(1, 5, 2, generator=torch.Generator().manual_seed(1)), windows)
    kept = np.isfinite(found.score[0])
    spans = sorted(zip(found.start[0][kept].tolist(), found.end[0][kept].tolist(), strict=True))
    assert spans == [(0, 1), (0, 4), (1, 4)]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_diverged_scores_are_refused(value: float) -> None:
    span = torch.zeros(1, 3, 2)
    span[0, 1, 0] = value
    with pytest.raises(ReslabError, match="NaN or infinite"):
        best_spans(span, batch([[0, 1, 1]]))
    span[0, 1, 0] = -math.inf
    assert np.isfinite(best_spans(span, batch([[0, 1, 1]])).score).sum() == 1
    with pytest.raises(UsageError, match="top and most must be positive, got 0 and 30"):
        best_spans(span, batch([[0, 1, 1]]), top=0)


def spans(*rows: tuple[int, list[tuple[int, int, float]], float], answerable: list[float] | None = None) -> Spans:
    """(question, [(start, end, score)], null) of each window."""
    k = max(len(found) for _, found, _ in rows)
    full = [found + [(0, 0, -math.inf)] * (k - len(found)) for _, found, _ in rows]
    return Spans(
        question=np.array([q for q, _, _ in rows]), null=np.array([null for *_, null in rows]),
        start=np.array([[one[0] for one in found] for found in full]).reshape(len(rows), k),
        end=np.array([[one[1] for one in found] for found in full]).reshape(len(rows), k),
        score=np.array([[one[2] for one in found] for found in full]).reshape(len(rows), k),
        answerable=None if answerable is None else np.array(answerable),
    )  # fmt: skip


def test_the_same_characters_count_once_with_the_better_score() -> None:
    found = spans((0, [(3, 5, 1.0), (0, 2, 0.0)], 0.0), (0, [(3, 5, math.log(6)), (7, 9, math.log(3))], 0.0))
    (one,) = rank(found, 1)
    assert [(c.start, c.end) for c in one.candidates] == [(3, 5), (7, 9), (0, 2)]
    # softmax of log 6, log 3, log 1
    assert [c.probability for c in one.candidates] == pytest.approx([0.6, 0.3, 0.1])
    assert (one.no_answer, one.null) == (0.0, -math.inf)


def test_documents_compete_and_stay_apart() -> None:
    """One question put to two documents: equal characters of different documents are two candidates."""
    found = spans((0, [(3, 5, 0.0)], 0.0), (1, [(3, 5, math.log(3))], 0.0), (2, [(1, 2, 5.0)], 0.0))
    first, second = rank(found, 2, group=[0, 0, 1])
    assert [(c.question, c.probability) for c in first.candidates] == [
        (1, pytest.approx(0.75)),
        (0, pytest.approx(0.25)),
    ]
    assert [(c.question, c.probability) for c in second.candidates] == [(2, 1.0)]


def test_no_answer_by_cls_is_the_lowest() -> None:
    found = spans((0, [(0, 1, 0.0)], 5.0), (0, [(2, 3, math.log(2))], 0.0))
    (one,) = rank(found, 1, no_answer=True)
    # a window that holds an answer is enough: null is 0, not 5. Softmax of log 2, 0, 0
    assert (one.null, one.no_answer) == (0.0, pytest.approx(0.25))
    assert sum(c.probability for c in one.candidates) + one.no_answer == pytest.approx(1)
    assert one.decided(None) == one.candidates[0]
    (surer,) = rank(spans((0, [(0, 1, 0.0)], 1.0)), 1, no_answer=True)
    assert surer.decided(None) is None
    assert surer.no_answer == pytest.approx(math.e / (math.e + 1))


def test_no_answer_by_the_answerability_output() -> None:
    found = spans((0, [(0, 1, 3.0)], 9.0), (0, [(2, 3, 3.0)], 9.0), answerable=[-5.0, math.log(3)])
    (one,) = rank(found, 1, no_answer=True)
    # the highest counts: sigmoid(log 3) = 3/4 that there is an answer, shared by the two
    assert one.no_answer == pytest.approx(0.25)
    assert [c.probability for c in one.candidates] == pytest.approx([0.375, 0.375])


def test_temperature_flattens() -> None:
    found = spans((0, [(0, 1, 2 * math.log(4)), (2, 3, 0.0)], 0.0))
    assert [c.probability for c in rank(found, 1, temperature=2.0)[0].candidates] == pytest.approx([0.8, 0.2])
    with pytest.raises(UsageError, match="temperature must be positive, got 0"):
        rank(found, 1, temperature=0)


def test_only_the_best_are_kept_and_questions_may_have_none() -> None:
    found = spans((0, [(k, k + 1, float(-k)) for k in range(30)], 0.0), (1, [], 0.0), (2, [(0, 1, 1.0)], 0.0))
    first, second, third = rank(found, 3, best=5, no_answer=True)
    assert [c.start for c in first.candidates] == [0, 1, 2, 3, 4]
    assert (second.candidates, second.no_answer, second.decided(None)) == ((), 1.0, None)
    assert len(third.candidates) == 1
    assert rank(spans((0, [], 0.0)), 1)[0].no_answer == 1.0


def test_joined_batches_rank_as_one() -> None:
    parts = [spans((0, [(0, 1, 1.0), (4, 5, 0.5)], 0.0)), spans((0, [(2, 3, 2.0)], -1.0), answerable=None)]
    joined = Spans.join(parts)
    assert joined.score.shape == (2, 2)
    assert [c.start for c in rank(joined, 1)[0].candidates] == [2, 0, 4]
    both = Spans.join([spans((0, [(0, 1, 1.0)], 0.0), answerable=[1.0])] * 2)
    assert both.answerable is not None
    assert both.answerable.tolist() == [1.0, 1.0]


def test_predictions_are_texts() -> None:
    questions = [
        Question(id="q", question="?", context="ab cd", answers=(Answer("cd", 3),)),
        Question(id="r", question="?", context=" "),
    ]
    texts, null = predictions(questions, rank(spans((0, [(3, 5, 0.0)], 0.0), (1, [], 0.0)), 2, no_answer=True))
    assert texts == {"q": "cd", "r": ""}
    assert null == {"q": pytest.approx(0.5), "r": 1.0}
