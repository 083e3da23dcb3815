"""Tokenize questions and contexts, each distinct text once, with the exact characters of each token."""

import contextlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reslab.errors import UsageError
from reslab.qa.data.question import Question, Report

CHUNK = 2048  # texts per tokenizer call: its objects take hundreds of bytes per token
JOINED = re.compile(
    "[\u200d\ufe0e\ufe0f\u1160-\u11ff\ud7b0-\ud7ff]"
)  # zero width joiner, variants; jamo after the first


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of N texts, concatenated."""

    ids: np.ndarray  # (T,) int32
    offsets: np.ndarray  # (T, 2) int32: characters [a, b) of its text, without surrounding white space
    bounds: np.ndarray  # (N + 1,) int64: text k has tokens bounds[k] to bounds[k + 1]

    @property
    def counts(self) -> np.ndarray:
        return np.diff(self.bounds)

    def ids_of(self, k: int) -> np.ndarray:
        return self.ids[self.bounds[k] : self.bounds[k + 1]]

    def offsets_of(self, k: int) -> np.ndarray:
        return self.offsets[self.bounds[k] : self.bounds[k + 1]]


@dataclass(frozen=True, kw_only=True)
class TokenTemplate:
    """The special tokens around a pair of texts, and the type of every token."""

    before: np.ndarray  # (n,) int32: [CLS]
    between: np.ndarray  # [SEP]; RoBERTa has two
    after: np.ndarray  # [SEP]
    kinds: np.ndarray  # (5,): types of before, the first text, between, the second, after
    pad: int

    @property
    def special(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)

    def types(self, first: int, second: int) -> np.ndarray:
        """The types of a pair with `first` and `second` tokens, int32."""
        return np.repeat(self.kinds, [len(self.before), first, len(self.between), second, len(self.after)])


def encode(
    questions: Sequence[Question], tokenizer: Any, max_question: int, report: Report
) -> tuple[Tokens, np.ndarray, Tokens, np.ndarray, TokenTemplate]:
    """(distinct questions, row of each question, distinct contexts, row of each context, template).

    Raises UsageError for a tokenizer without character offsets.
    """
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(backend, "encode_batch") or not hasattr(backend, "post_processor"):
        raise UsageError(f"{type(tokenizer).__name__} gives no character offsets; use a fast tokenizer")
    asked_rows: dict[str, int] = {}
    context_rows: dict[str, int] = {}
    asked_of = np.array([asked_rows.setdefault(one.question, len(asked_rows)) for one in questions], dtype=np.int32)
    context_of = np.array([context_rows.setdefault(one.context, len(context_rows)) for one in questions], np.int32)
    pad = pad_of(backend, tokenizer)
    with whole(backend):
        contexts = tokens(list(context_rows), backend)
        asked = tokens(list(asked_rows), backend)
        template = template_of(backend, pad)
    for q in np.flatnonzero(asked.counts[asked_of] > max_question).tolist():
        many = int(asked.counts[asked_of[q]])
        report.add("long question", questions[q].id, f"it has {many} tokens; truncated to the first {max_question}")
    return shortened(asked, max_question), asked_of, contexts, context_of, template


@contextlib.contextmanager
def whole(backend: Any) -> Iterator[None]:
    """Inside, the tokenizer's truncation and padding are off; they are restored afterwards."""
    truncation, padding = backend.truncation, backend.padding
    backend.no_truncation()
    backend.no_padding()
    try:
        yield
    finally:
        if truncation is not None:
            backend.enable_truncation(**truncation)
        if padding is not None:
            backend.enable_padding(**padding)


def tokens(texts: list[str], backend: Any) -> Tokens:
    ids, offsets, counts = [np.zeros(0, np.int32)], [np.zeros((0, 2), np.int32)], [0]
    for k in range(0, len(texts), CHUNK):
        chunk = texts[k : k + CHUNK]
        for text, found in zip(chunk, backend.encode_batch(chunk, add_special_tokens=False), strict=True):
            ids.append(np.array(found.ids, dtype=np.int32))
            offsets.append(tight(text, np.array(found.offsets, dtype=np.int32).reshape(-1, 2)))
            counts.append(len(ids[-1]))
    return Tokens(ids=np.concatenate(ids), offsets=np.concatenate(offsets), bounds=np.cumsum(counts))


def tight(text: str, offsets: np.ndarray) -> np.ndarray:
    """Offsets without surrounding white space, and with the combining marks of a token's last character.

    Byte-level and SentencePiece tokens include the space before a word; BERT's drop the accent of a decomposed letter,
    and for a letter that is composed first (NFC) `tokenizers` reports only the first character.
    """
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    found = set(text)
    white = np.isin(codes, [ord(c) for c in found if c.isspace()])
    a, b = offsets[:, 0].copy(), offsets[:, 1].copy()
    while (loose := (a < b) & white[np.minimum(a, len(codes) - 1)]).any():
        a += loose
    while (loose := (a < b) & white[b - 1]).any():
        b -= loose
    marks = [] if text.isascii() else [ord(c) for c in found if unicodedata.combining(c) or JOINED.match(c)]
    if marks and len(a):
        mark = np.append(np.isin(codes, marks), False)
        after = np.append(a[1:], len(codes))  # at most up to the next token
        while (short := (a < b) & (b < after) & mark[b]).any():
            b += short
    return np.stack([a, b], axis=1)


def shortened(encoded: Tokens, most: int) -> Tokens:
    """Every text truncated to its first `most` tokens."""
    counts = encoded.counts
    place = np.arange(len(encoded.ids)) - np.repeat(encoded.bounds[:-1], counts)
    kept = place < most
    bounds = np.concatenate([[0], np.cumsum(np.minimum(counts, most))])
    return Tokens(ids=encoded.ids[kept], offsets=encoded.offsets[kept], bounds=bounds)


def template_of(backend: Any, pad: int) -> TokenTemplate:
    """The template, from the tokens of a sample pair."""
    found = backend.encode("a", "b")
    owner = np.array([2 if s is None else s for s in found.sequence_ids])
    ids, types = np.array(found.ids, dtype=np.int32), np.array(found.type_ids, dtype=np.int32)
    one, two = np.flatnonzero(owner == 0), np.flatnonzero(owner == 1)
    if not len(one) or not len(two) or one[-1] > two[0]:
        raise UsageError("the tokenizer does not put the first text of a pair before the second")
    pieces = [slice(0, one[0]), slice(one[0], one[-1] + 1), slice(one[-1] + 1, two[0]),
              slice(two[0], two[-1] + 1), slice(two[-1] + 1, len(ids))]  # fmt: skip
    kinds = np.array([types[piece][0] if len(types[piece]) else 0 for piece in pieces], dtype=np.int32)
    return TokenTemplate(before=ids[pieces[0]], between=ids[pieces[2]], after=ids[pieces[4]], kinds=kinds, pad=pad)


def pad_of(backend: Any, tokenizer: Any) -> int:
    """The padding token's id; 0 if the tokenizer has none, since padding is masked anyway."""
    known = getattr(tokenizer, "pad_token_id", None)
    if known is None and backend.padding is not None:
        known = backend.padding["pad_id"]
    return next((id for id in (known, backend.token_to_id("[PAD]"), backend.token_to_id("<pad>")) if id is not None), 0)
