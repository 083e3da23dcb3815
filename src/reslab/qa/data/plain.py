"""Load texts from a file and cut them into windows of tokens."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reslab.errors import ReslabError, Sentence, UsageError, arg, first_line
from reslab.extras import need
from reslab.stored.files import CORRECT, parse_json
from reslab.train.order import shuffled

FORMS = Sentence(".txt (paragraphs), .json (as SQuAD's), .jsonl (a text in each line), .parquet (", arg("column"), ")")
IGNORED = -100  # label of positions without a target
SHARE = 0.15  # of the tokens that are masked for a masked language model (BERT, section 3.1)


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The texts of one file, none empty."""

    name: str
    texts: tuple[str, ...]
    fingerprint: str  # sha256, hex, of all texts in order

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "texts": len(self.texts), "fingerprint": self.fingerprint}


def load_texts(path: Path | str, *, column: str | None = None) -> Texts:
    """The paragraphs of a .txt, contexts of a .json in SQuAD's format, texts of a .jsonl, a column of a .parquet.

    `column` (default "text") is the key of a .jsonl and the column of a .parquet. Raises UsageError for a file that
    is missing, of another format or without texts, ReslabError for a damaged one.
    """
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        raise UsageError(f"no such file of texts: {path}; supported types: ", FORMS)
    readers: dict[str, Callable[[Path, str], Iterable[Any]]] = {
        ".txt": paragraphs, ".md": paragraphs, ".json": contexts, ".jsonl": lines, ".parquet": cells,
    }  # fmt: skip
    if path.suffix.lower() not in readers:
        raise UsageError(f"unsupported type of text file: {path}; supported types: ", FORMS)
    try:
        found = [text.strip() for text in readers[path.suffix.lower()](path, column or "text") if text]
    except UnicodeDecodeError as error:
        raise ReslabError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise ReslabError(f"cannot read {path}: {error.strerror or error}") from error
    texts = tuple(text for text in found if text)
    if not texts:
        raise UsageError(f"{path} holds no text")
    digest = hashlib.sha256("\0".join(texts).encode(errors="replace"))
    return Texts(name=path.name, texts=texts, fingerprint=digest.hexdigest())


def paragraphs(path: Path, column: str) -> Iterator[str]:
    """Paragraphs separated by empty lines; without empty lines, every line."""
    whole = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    parts = [part for part in whole.split("\n\n") if part.strip()]
    yield from parts if len(parts) > 1 else whole.split("\n")


def contexts(path: Path, column: str) -> Iterator[str]:
    """The contexts in SQuAD's format: {"data": [{"paragraphs": [{"context": ...}]}]}."""
    whole = parse_json(path.read_text(encoding="utf-8"), f"{path}", cure=CORRECT)
    try:
        articles = whole["data"]
        yield from [paragraph["context"].strip() for article in articles for paragraph in article["paragraphs"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not in SQuAD's format: data with paragraphs, each with a context") from error


def lines(path: Path, column: str) -> Iterator[str]:
    """The texts under the key `column` of JSON lines."""
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        record = parse_json(line, f"{path}, line {number}", cure=CORRECT)
        try:
            text = record[column]
        except (KeyError, TypeError) as error:
            raise UsageError(f'{path}, line {number} has no "{column}"; name its key with ', arg("column")) from error
        if not isinstance(text, str):
            raise UsageError(f'{path}, line {number}: "{column}" must be a string, got {type(text).__name__}')
        yield text


def cells(path: Path, column: str) -> Iterator[str]:
    """One column of strings of a parquet file."""
    pa, pq = (need(name, extra="data", why="reading parquet files") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        schema = pq.read_schema(path)
        if column not in schema.names:
            raise UsageError(
                f"{path} has no column {column!r}; name one of {', '.join(schema.names)} with ", arg("column")
            )
        kind = schema.field(column).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UsageError(f"column {column!r} of {path} holds {kind}, not text; name another with ", arg("column"))
        yield from pq.read_table(path, columns=[column])[column].to_pylist()
    except (pa.ArrowException, OSError) as error:  # Arrow's own OSErrors have no number
        if isinstance(error, OSError) and error.errno:
            raise
        raise ReslabError(f"{path} is damaged: {first_line(error)}") from error


def windows(
    texts: Sequence[str], encode: Callable[[str], list[int]], *, length: int, count: int, seed: int,
    before: Sequence[int] = (), after: Sequence[int] = (), between: Sequence[int] = (),
) -> Tensor:  # fmt: skip
    """Up to `count` windows of `length` tokens, int64 (n, length), none padded.

    The texts are shuffled with `seed`, joined by the tokens `between`, and cut into pieces that get the tokens `before`
    and `after`. Only as many texts are encoded as needed. Raises UsageError if they do not fill a window.
    """
    room = length - len(before) - len(after)
    if room < 2:
        raise UsageError(f"length must leave room for two tokens and {length - room} special ones, got {length}")
    if count < 1:
        raise UsageError(f"samples must be positive, got {count}")
    found: list[list[int]] = []
    rest: list[int] = []
    for row in shuffled(len(texts), seed).tolist():
        rest += [*between, *encode(texts[row])] if rest or found else encode(texts[row])
        while len(rest) >= room and len(found) < count:
            found.append([*before, *rest[:room], *after])
            rest = rest[room:]
        if len(found) == count:
            break
    if not found:
        raise UsageError(
            f"the texts have {len(rest)} tokens, too few for one window of {length}; use a smaller ", arg("length")
        )
    return torch.tensor(found, dtype=torch.int64)


def next_tokens(ids: Tensor) -> Tensor:
    """The labels of a causal language model, (N, L): the next token at each position, none at the last."""
    return torch.cat([ids[:, 1:], torch.full_like(ids[:, :1], IGNORED)], dim=1)


def hidden(ids: Tensor, *, mask: int, special: Sequence[int], seed: int, share: float = SHARE) -> tuple[Tensor, Tensor]:
    """(ids with a share of the tokens replaced by `mask`, labels with the original tokens), for masked language models.

    Every window has the same number of masked tokens, at least one, sampled with `seed`; special tokens are kept.
    """
    plain = ~torch.isin(ids, torch.tensor(list(special), dtype=ids.dtype))
    draw = torch.rand(ids.shape, generator=torch.Generator().manual_seed(seed)).masked_fill(~plain, 2.0)
    many = (plain.sum(dim=1, keepdim=True) * share).round().clamp_min(1)
    chosen = (draw.argsort(dim=1).argsort(dim=1) < many) & plain
    return ids.masked_fill(chosen, mask), ids.masked_fill(~chosen, IGNORED)
