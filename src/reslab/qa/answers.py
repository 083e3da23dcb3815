"""From scores to answers: the best spans of each window, merged over windows and documents, with probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reslab.errors import ReslabError, UsageError
from reslab.qa.data.question import Question

BEST = 20  # candidates per window, and per question after merging, as in BERT's run_squad
MAX_TOKENS = 30  # in an answer, as in run_squad; training raises it to its longest answer


@dataclass(frozen=True, kw_only=True)
class Spans:
    """The k best spans of each of W windows, best first; score -inf if a window has fewer."""

    question: np.ndarray  # (W,) int64
    start: np.ndarray  # (W, k) int64: characters of the question's context, [start, end)
    end: np.ndarray  # (W, k) int64
    score: np.ndarray  # (W, k) float64: start logit plus end logit
    null: np.ndarray  # (W,) float64: the same sum at token 0, [CLS]: no answer in this window
    answerable: np.ndarray | None  # (W,) float64: logit of the answerability output

    @staticmethod
    def join(parts: Sequence["Spans"]) -> "Spans":
        """The windows of all `parts`, concatenated."""
        widest = max(part.score.shape[1] for part in parts)

        def column(name: str, empty: float) -> np.ndarray:
            rows = [getattr(part, name) for part in parts]
            return np.concatenate([np.pad(row, ((0, 0), (0, widest - row.shape[1])), constant_values=empty)
                                   if row.ndim == 2 else row for row in rows])  # fmt: skip

        return Spans(
            question=column("question", 0), start=column("start", 0), end=column("end", 0),
            score=column("score", -np.inf), null=column("null", 0),
            answerable=None if parts[0].answerable is None else column("answerable", 0),
        )  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A possible answer: questions[question].context[start:end]."""

    question: int
    start: int
    end: int
    score: float
    probability: float


@dataclass(frozen=True)
class Ranked:
    """The candidates for one question, best first; their probabilities and `no_answer` sum to 1."""

    candidates: tuple[Candidate, ...]
    null: float  # the score of "no answer", comparable to the candidates'; -inf if not allowed
    no_answer: float  # its probability

    def decided(self, threshold: float | None) -> Candidate | None:
        """The reader's answer: the best candidate, or None for "no answer".

        None if P("no answer") is above `threshold`; without a threshold, if it is above the best candidate's.
        """
        first = self.candidates[0] if self.candidates else None
        if first is None:
            return None
        return None if self.no_answer > (first.probability if threshold is None else threshold) else first


def best_spans(span: Any, windows: Any, *, answerable: Any = None, top: int = BEST, most: int = MAX_TOKENS) -> Spans:
    """The `top` best spans of at most `most` tokens in each window, exactly, from start and end logits (B, L, 2).

    span, answerable, and the columns of `windows` (WindowArrays, WindowBatch): arrays, or tensors on the CPU. Spans
    start and end at tokens of the context. If several tokens represent the same characters (the bytes of one
    character), a span starts at the first and ends at the last, as in the targets, so no window gives a span twice. Not
    all L x `most` pairs are sorted: each of the `top` best pairs starts at one of the `top` tokens with the best pairs.
    Raises ReslabError for scores that are NaN or +inf (-inf means that no answer is allowed there).
    """
    if top < 1 or most < 1:
        raise UsageError(f"top and most must be positive, got {top} and {most}")
    span = np.asarray(span)
    if not (span < np.inf).all():
        raise ReslabError("the net's scores are NaN or infinite; its training diverged, or its weights are damaged")
    B, L = span.shape[:2]
    context, offsets = np.asarray(windows.context), np.asarray(windows.offsets)
    begins, ends = edges(context, offsets)
    start = np.where(begins, span[..., 0], -np.inf).astype(np.float32)
    end = np.full((B, L + most - 1), -np.inf, np.float32)
    end[:, :L] = np.where(ends, span[..., 1], -np.inf)
    reach = start + highest(end, most)  # (B, L): score of the best pair that starts here
    first, row = largest(reach, min(top, L)), np.arange(B)[:, None]  # (B, k)
    last = np.lib.stride_tricks.sliding_window_view(end, most, axis=1)[row, first]  # (B, k, most)
    pairs = (start[row, first][..., None] + last).reshape(B, -1)
    where = largest(pairs, min(top, pairs.shape[1]))
    i = first[row, where // most]
    j = np.minimum(i + where % most, L - 1)  # beyond the end only where the score is -inf
    return Spans(
        question=np.asarray(windows.question),
        start=offsets[row, i, 0],
        end=offsets[row, j, 1],
        score=pairs[row, where].astype(np.float64),
        null=span[:, 0].astype(np.float64).sum(axis=1),
        answerable=None if answerable is None else np.asarray(answerable).astype(np.float64),
    )


def highest(x: np.ndarray, size: int) -> np.ndarray:
    """The maximum of each `size` neighbors of a row, (B, L) to (B, L - size + 1), by doubling."""
    width = 1
    while width < size:
        step = min(width, size - width)
        x = np.maximum(x[:, :-step], x[:, step:])
        width += step
    return x


def largest(x: np.ndarray, k: int) -> np.ndarray:
    """The places (B, k) of the k largest numbers of each row, the largest first."""
    found = np.argpartition(-x, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(x, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


def edges(context: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which tokens may start and which may end an answer, bool (B, L) each."""
    begins, ends = context.copy(), context.copy()
    begins[:, 1:] &= ~context[:, :-1] | (offsets[:, 1:, 0] != offsets[:, :-1, 0])
    ends[:, :-1] &= ~context[:, 1:] | (offsets[:, 1:, 1] != offsets[:, :-1, 1])
    return begins, ends


def rank(
    spans: Spans, count: int, *, group: Sequence[int] | None = None, no_answer: bool = False,
    temperature: float = 1.0, best: int = BEST,
) -> list[Ranked]:  # fmt: skip
    """The candidates of each of `count` questions: the `best` of all its windows, with probabilities.

    `group`: if a question is asked about several documents, each pair is one Question; `group` maps it to one of the
    `count` questions. The same characters seen in two windows are one candidate with the higher of the two scores (not
    their sum, since overlap is no evidence). `no_answer`: whether "no answer" is a candidate. Its score comes from the
    highest answerability of the windows, or without that output from the lowest [CLS] score, because one window with an
    answer is enough. Probabilities are the softmax of score / `temperature` over the candidates and "no answer".
    Without candidates "no answer" has probability 1.
    """
    if not temperature > 0:
        raise UsageError(f"temperature must be positive, got {temperature}")
    groups = np.asarray(group, dtype=np.int64) if group is not None else np.arange(count)
    of = groups[spans.question]
    order, owner = merged(spans, of, best)
    flat = {name: getattr(spans, name).reshape(-1)[order].tolist() for name in ("start", "end", "score")}
    question = np.repeat(spans.question, spans.score.shape[1])[order].tolist()
    bounds = np.searchsorted(owner, np.arange(count + 1))
    lowest, highest = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(lowest, of, spans.null)
    if spans.answerable is not None:
        np.maximum.at(highest, of, spans.answerable)
    ranked = []
    for g in range(count):
        here = slice(bounds[g], bounds[g + 1])
        scores = np.array(flat["score"][here])
        null = -np.inf
        if no_answer and len(scores):
            null = float(lowest[g] if spans.answerable is None else np.logaddexp.reduce(scores) - highest[g])
        probability = softmax(np.append(scores, null), temperature) if len(scores) else np.ones(1)
        columns = (question[here], flat["start"][here], flat["end"][here], flat["score"][here], probability.tolist())
        candidates = tuple(Candidate(*one) for one in zip(*columns, strict=False))  # the last is "no answer"
        ranked.append(Ranked(candidates, null, float(probability[-1])))
    return ranked


def merged(spans: Spans, of: np.ndarray, best: int) -> tuple[np.ndarray, np.ndarray]:
    """(flat indices into the (W, k) arrays, their groups): by group, best first, at most `best` per group."""
    k = spans.score.shape[1]
    score, start, end = spans.score.reshape(-1), spans.start.reshape(-1), spans.end.reshape(-1)
    question, owner = np.repeat(spans.question, k), np.repeat(of, k)
    order = np.lexsort((-score, end, start, question))
    order = order[np.isfinite(score[order])]
    same = np.stack([question[order], start[order], end[order]])
    order = order[np.append(True, (same[:, 1:] != same[:, :-1]).any(axis=0))[: len(order)]]  # the best of each
    order = order[np.lexsort((end[order], start[order], question[order], -score[order], owner[order]))]
    place = np.arange(len(order)) - np.searchsorted(owner[order], owner[order])
    order = order[place < best]
    return order, owner[order]


def softmax(scores: np.ndarray, temperature: float) -> np.ndarray:
    """exp(score / temperature), normalized to sum 1; 0 for a score of -inf."""
    scaled = np.exp((scores - scores.max()) / temperature)
    return scaled / scaled.sum()


def predictions(questions: Sequence[Question], ranked: Sequence[Ranked]) -> tuple[dict[str, str], dict[str, float]]:
    """The input of `scores.evaluate`: each question's best text, however improbable, and P("no answer")."""
    texts, null = {}, {}
    for question, one in zip(questions, ranked, strict=True):
        first = one.candidates[0] if one.candidates else None
        texts[question.id] = question.context[first.start : first.end] if first else ""
        null[question.id] = one.no_answer
    return texts, null
