"""Texts of a table as weighted bags of hashed n-grams: the same on every machine, without downloads."""

import re
import unicodedata
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import chain

import numpy as np

from reslab.tables.data.bags import Bags, rows_of

# Scripts without spaces between words (Han, kana, Thai, Lao, Burmese, Khmer), and Hangul, whose endings join the word.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
UNSPACED += "\U00020000-\U0003ffff"
WORD = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}]+")
LONG = re.compile(rf"[{UNSPACED}]{{2,}}")
MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))  # odd numbers of splitmix64


def tokens(text: str) -> list[str]:
    """The words of a text in lower case; runs of a script without spaces give pairs of characters.

    "Nice dress!" -> nice, dress; "日本語" -> 日本, 本語.
    """
    words = WORD.findall(unicodedata.normalize("NFKC", text).lower())
    if not LONG.search(text) and not LONG.search("".join(words)):
        return words
    return [piece for word in words for piece in (_pairs(word) if LONG.match(word) else (word,))]


def _pairs(run: str) -> list[str]:
    return [run[k : k + 2] for k in range(len(run) - 1)]


def count_words(text: str) -> int:
    """Number of words in a text; two characters of a script without spaces count as one."""
    return sum(-(-len(word) // 2) if LONG.match(word) else 1 for word in WORD.findall(text))


@dataclass(frozen=True, kw_only=True, eq=False)
class TextCode:
    """n-grams of 1 .. `ngrams` tokens, each hashed into one of `buckets`; those in at least `rare` rows are kept.

    A bag's weights are (1 + ln count) * idf, of length 1; idf = 1 + ln((1 + n) / (1 + df)) of the n training texts.
    Index 0 is "none": a missing text, or one without known n-grams. In scripts without spaces a 2-gram is three
    characters. Buckets that did not occur in training have no index and take no memory in the net.
    """

    buckets: int
    ngrams: int
    slot: np.ndarray  # int32 (buckets,): the index of each bucket, 0 if it was rare in training
    idf: np.ndarray  # float32 (size,)

    @classmethod
    def fit(cls, column: np.ndarray, *, buckets: int, ngrams: int, rare: int) -> "TextCode":
        counts = Counter(text for text in column if text is not None)
        rows = np.fromiter(counts.values(), np.int64, len(counts))
        owner, bucket, _ = _grams(list(counts), buckets, ngrams)
        df = np.bincount(bucket, weights=rows[owner], minlength=buckets)
        kept = df >= rare
        slot = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
        idf = 1 + np.log((1 + rows.sum()) / (1 + df[kept]))
        return cls(buckets=buckets, ngrams=ngrams, slot=slot, idf=np.concatenate([[0.0], idf]).astype(np.float32))

    @property
    def size(self) -> int:
        return len(self.idf)

    def encode(self, column: np.ndarray) -> tuple[np.ndarray, Bags]:
        """Index of each row's bag (N,), and the bags of the distinct texts."""
        row, distinct = rows_of(column)
        owner, bucket, count = _grams(["" if text is None else text for text in distinct], self.buckets, self.ngrams)
        index = self.slot[bucket]
        owner, index, count = owner[index > 0], index[index > 0], count[index > 0]
        weight = (1 + np.log(count)) * self.idf[index]
        norm = np.sqrt(np.bincount(owner, weights=weight**2, minlength=len(distinct)))
        bare = np.flatnonzero(norm == 0)  # these get the index 0
        owner = np.concatenate([owner, bare])
        order = np.argsort(owner, kind="stable")
        ids = np.concatenate([index, np.zeros(len(bare), np.int32)])[order]
        weight = np.concatenate([weight / norm[owner[: len(weight)]], np.ones(len(bare))])[order]
        return row, Bags.of(ids, weight, np.bincount(owner, minlength=len(distinct)))


def _grams(texts: list[str], buckets: int, ngrams: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct (text, bucket) pairs of all texts, sorted, and their counts: three arrays of equal length."""
    words = [tokens(text) for text in texts]
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    known = {word: zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in set(chain.from_iterable(words))}
    word = np.fromiter(map(known.__getitem__, chain.from_iterable(words)), np.uint64, int(lengths.sum()))
    text = np.repeat(np.arange(len(words)), lengths)
    code, keys = np.zeros(len(word), np.uint64), []
    for n in range(1, ngrams + 1):  # code[k]: the n words from k on
        last = len(word) - n + 1
        if last <= 0:
            break
        code = _mixed(code[:last] + word[n - 1 :])
        inside = text[:last] == text[n - 1 :]
        keys.append(text[:last][inside] * buckets + (code[inside] % np.uint64(buckets)).astype(np.int64))
    key, count = np.unique(np.concatenate([*keys, np.empty(0, np.int64)]), return_counts=True)
    return key // buckets, key % buckets, count


def _mixed(code: np.ndarray) -> np.ndarray:
    """Numbers whose every bit depends on all bits of `code` (uint64, which wraps around)."""
    code = (code ^ (code >> np.uint64(30))) * MIX[1] + MIX[0]
    return code ^ (code >> np.uint64(31))
