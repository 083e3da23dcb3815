"""Windows of tokens over long contexts, [CLS] question [SEP] context [SEP], stored packed and unpacked by batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reslab.errors import ReslabError, UsageError
from reslab.qa.data.question import Question, Report
from reslab.qa.data.tokens import Tokens, TokenTemplate, encode

if TYPE_CHECKING:
    import torch

    from reslab.qa.data.batch import WindowBatch

CPU_TOKENS = 2048  # per batch: they fit in the cache; four times as many took 1.4 times as long in bf16
GPU_TOKENS = 32768
MAX_QUESTION = 64  # longest question in tokens, as in BERT's run_squad


@dataclass(frozen=True, kw_only=True)
class WindowArrays:
    """B windows padded to L tokens; `batch.WindowBatch` has the same columns as tensors."""

    ids: np.ndarray  # (B, L) int64
    mask: np.ndarray  # (B, L) bool: not padding
    types: np.ndarray  # (B, L) int64: token types, as the tokenizer numbers them
    context: np.ndarray  # (B, L) bool: tokens of the context with any text, which may start or end an answer
    offsets: np.ndarray  # (B, L, 2) int64: [a, b) in characters of the context; 0 outside it
    start: np.ndarray  # (B,) int64: the answer's first token; 0 if the window does not hold the whole answer
    end: np.ndarray  # (B,) int64: its last token, or 0
    question: np.ndarray  # (B,) int64: index of the question


class Span(NamedTuple):
    """A part of a context: context[start:end] == text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Windows:
    """W windows. The tokens of each question and each context are stored once (int32), not in every window."""

    questions: tuple[Question, ...]
    length: int
    template: TokenTemplate
    asked: Tokens  # the distinct questions, truncated
    contexts: Tokens  # the distinct contexts
    asked_of: np.ndarray  # (Q,) int32: row of `asked` of each question
    context_of: np.ndarray  # (Q,) int32: row of `contexts` of each question
    question: np.ndarray  # (W,) int32: the question of each window; windows of a question are adjacent, in order
    first: np.ndarray  # (W,) int32: first token of the context in the window
    count: np.ndarray  # (W,) int32: number of context tokens in the window
    start: np.ndarray  # (W,) int32: target, as a token of the window; 0 if it does not hold the whole answer
    end: np.ndarray  # (W,) int32
    known: np.ndarray  # (W,) bool: False if the question has an answer that no window holds: not for training

    def __len__(self) -> int:
        return len(self.question)

    def arrays(self, rows: Sequence[int] | np.ndarray, *, length: int | None = None, multiple: int = 8) -> WindowArrays:
        """The windows `rows`, padded to `length`, or by default to the longest one, rounded up to `multiple`.

        Raises UsageError if one is longer than `length`.
        """
        rows = np.asarray(rows, dtype=np.int64)
        used = self.sizes(rows)
        longest = int(used.max(initial=1))
        if length is not None and longest > length:
            raise UsageError(f"a window of {longest} tokens does not fit into length {length}")
        L = length or min(self.length, -(-longest // multiple) * multiple)
        ids = np.full((len(rows), L), self.template.pad, dtype=np.int64)
        types, context = np.zeros((len(rows), L), dtype=np.int64), np.zeros((len(rows), L), dtype=bool)
        offsets = np.zeros((len(rows), L, 2), dtype=np.int64)
        before, between, after = self.template.before, self.template.between, self.template.after
        for b, w in enumerate(rows):
            q = self.question[w]
            asked = self.asked.ids_of(self.asked_of[q])
            a = self.contexts.bounds[self.context_of[q]] + self.first[w]
            shown = slice(a, a + self.count[w])
            ids[b, : used[b]] = np.concatenate([before, asked, between, self.contexts.ids[shown], after])
            head = len(before) + len(asked) + len(between)
            here = slice(head, head + self.count[w])
            types[b, : used[b]] = self.template.types(len(asked), self.count[w])
            offsets[b, here] = self.contexts.offsets[shown]
            context[b, here] = offsets[b, here, 1] > offsets[b, here, 0]
        mask = np.arange(L) < used[:, None]
        start, end, question = (column[rows].astype(np.int64) for column in (self.start, self.end, self.question))
        whole = {"ids": ids, "mask": mask, "types": types, "context": context, "offsets": offsets,
                 "start": start, "end": end, "question": question}  # fmt: skip
        return WindowArrays(**whole)

    def batch(self, rows: Sequence[int] | np.ndarray, *, length: int | None = None, multiple: int = 8) -> "WindowBatch":
        """`arrays` as tensors on the CPU."""
        from reslab.qa.data.batch import WindowBatch

        return WindowBatch.of(vars(self.arrays(rows, length=length, multiple=multiple)))

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        """Number of tokens of each window in `rows`, with special ones, int64."""
        asked = self.asked.counts[self.asked_of[self.question[rows]]]
        return asked + self.count[rows] + self.template.special

    def highest_token(self) -> int:
        """The largest id of all tokens, with the special ones."""
        template = self.template
        used = (self.asked.ids, self.contexts.ids, template.before, template.between, template.after)
        return max(template.pad, *(int(ids.max(initial=0)) for ids in used))

    def answer_sizes(self) -> np.ndarray:
        """Number of tokens of each question's target answer, int64 (Q,); 0 if no window holds one."""
        found = np.zeros(len(self.questions), dtype=np.int64)
        np.maximum.at(found, self.question, np.where(self.start > 0, self.end.astype(np.int64) - self.start + 1, 0))
        return found

    def groups(self, device: "torch.device") -> list[np.ndarray]:
        """Groups of windows for inference on the device, of the size that is fastest there."""
        return self.grouped(CPU_TOKENS if device.type == "cpu" else GPU_TOKENS)

    def grouped(self, tokens: int = CPU_TOKENS) -> list[np.ndarray]:
        """Groups of windows of up to `tokens` tokens with padding, sorted by length; the longest come first, so that
        memory runs out at once or not at all.
        """
        sizes = self.sizes(np.arange(len(self)))
        order, found = np.argsort(-sizes, kind="stable"), []
        while len(order):
            many = max(1, tokens // int(sizes[order[0]]))
            found.append(order[:many])
            order = order[many:]
        return found

    def span(self, row: int, start: int, end: int) -> Span:
        """The text of the context from token `start` to token `end` (inclusive) of window `row`.

        Raises IndexError for a token outside the context.
        """
        q = int(self.question[row])
        head = self.head(q)
        if not head <= start <= end < head + self.count[row]:
            raise IndexError(f"tokens {start} to {end} are outside the context in window {row}")
        base = self.contexts.bounds[self.context_of[q]] + self.first[row] - head
        a, b = int(self.contexts.offsets[base + start, 0]), int(self.contexts.offsets[base + end, 1])
        return Span(self.questions[q].context[a:b], a, b)

    def head(self, question: int) -> int:
        """Number of tokens before the context in every window of a question."""
        return len(self.template.before) + len(self.template.between) + int(self.asked.counts[self.asked_of[question]])


def windows(
    questions: Sequence[Question], tokenizer: Any, *, length: int = 384, stride: int = 128,
    max_question: int = MAX_QUESTION, report: Report | None = None,
) -> Windows:  # fmt: skip
    """Cut every context into windows of at most `length` tokens that start with the question.

    Neighboring windows share `stride` tokens of the context (as in transformers, unlike BERT's step). `tokenizer`:
    a fast tokenizer of transformers, or a tokenizers.Tokenizer. Reported: "long question" (truncated to `max_question`
    tokens), "answer in no window" (it fits in no window, nor in the overlap of two), "answer without tokens", "inexact"
    (no tokens give its exact text; the nearest that cover it are the target). Raises UsageError if `length` leaves no
    room for the context.
    """
    report = Report() if report is None else report
    asked, asked_of, contexts, context_of, template = encode(questions, tokenizer, max_question, report)
    rooms = length - template.special - asked.counts[asked_of]  # (Q,): tokens of context in a window
    tightest = int(rooms.min(initial=length))
    if tightest <= stride or stride < 0:
        raise UsageError(
            f"stride must be at least 0 and less than the {max(tightest, 0)} context tokens that length {length} "
            f"leaves with the longest question, got {stride}"
        )
    tokens = contexts.counts[context_of]
    steps = rooms - stride
    many = 1 + np.maximum(0, -(-(tokens - rooms) // steps))  # (Q,): windows of each question
    question = np.repeat(np.arange(len(questions)), many)
    within = np.arange(len(question)) - np.repeat(np.cumsum(many) - many, many)
    first = within * steps[question]
    count = np.minimum(rooms[question], tokens[question] - first)

    found = [cover(one, contexts, c, report) for one, c in zip(questions, context_of, strict=True)]
    covering = np.array(found, dtype=np.int64).reshape(-1, 2)
    a, b = covering[question].T  # (W,): the answer's first and last token in the context, or -1
    holds = (a >= first) & (b < first + count) & (a >= 0)
    has_window = np.bincount(question[holds], minlength=len(questions)) > 0
    impossible = np.array([not one.answers for one in questions], dtype=bool)
    placed = covering[:, 0] >= 0
    for q in np.flatnonzero(placed & ~has_window).tolist():
        size = int(covering[q, 1] - covering[q, 0]) + 1
        report.add("answer in no window", questions[q].id, f"its answer of {size} tokens is complete in no window "
                   f"of {int(rooms[q])} context tokens that share {stride}; not used for training")  # fmt: skip
    heads = len(template.before) + len(template.between) + asked.counts[asked_of][question]
    packed = {
        "asked_of": asked_of, "context_of": context_of, "question": question, "first": first, "count": count,
        "start": np.where(holds, a - first + heads, 0), "end": np.where(holds, b - first + heads, 0),
    }  # fmt: skip
    return Windows(questions=tuple(questions), length=length, template=template, asked=asked, contexts=contexts,
                   known=(impossible | has_window)[question],
                   **{name: column.astype(np.int32) for name, column in packed.items()})  # fmt: skip


def refuse_tokens(windows: Windows, known: int) -> None:
    """Raise ReslabError for tokens beyond the `known` ones that an encoder has vectors for."""
    if (highest := windows.highest_token()) >= known:
        raise ReslabError(f"the tokenizer does not match the encoder: it gives token {highest}, but the encoder has "
                          f"only {known} tokens")  # fmt: skip


def cover(question: Question, contexts: Tokens, row: int, report: Report) -> tuple[int, int]:
    """(first, last) context token that cover the answer; (-1, -1) if there is no answer or no such tokens.

    Of several gold answers: the first that tokens give exactly, otherwise the first that they cover.
    """
    placed = [answer for answer in question.answers if answer.start >= 0]
    offsets = contexts.offsets_of(row)
    loose = None
    for answer in placed:
        lead = len(answer.text) - len(answer.text.lstrip())  # no token ends in white space
        a, b = answer.start + lead, answer.start + len(answer.text.rstrip())
        first = int(np.searchsorted(offsets[:, 1], a, side="right"))  # the first token that ends after a
        last = int(np.searchsorted(offsets[:, 0], b, side="left")) - 1  # the last one that begins before b
        if first <= last:
            found = question.context[offsets[first, 0] : offsets[last, 1]]
            if found == answer.text.strip():
                return first, last
            loose = loose or (first, last, f"tokens give {found!r} for the answer {answer.text!r}")
    if loose:
        report.add("inexact", question.id, loose[2])
        return loose[:2]
    if placed:
        report.add("answer without tokens", question.id, f"no token covers {placed[0].text!r}; not used for training")
    return -1, -1
