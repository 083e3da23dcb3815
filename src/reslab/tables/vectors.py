"""Texts as frozen vectors of a pretrained encoder, and a table encoder that adds them to its columns.

A text's vector is the mean of the last layer over its tokens, normalized to length 1 (Reimers and Gurevych 2019,
"Sentence-BERT", arXiv 1908.10084, section 3). The bags of words are kept: rare words often distinguish rows.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from reslab.errors import ReslabError, UsageError
from reslab.extras import need
from reslab.nets.hub import loading, quiet
from reslab.progress import Progress, in_phase, silent
from reslab.qa.net.pretrained import pretrained
from reslab.tables.data.convert import as_strings
from reslab.tables.data.encoder import TableEncoder
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.table import Table
from reslab.train.tune import native_bf16

LENGTH = 256  # tokens: longer texts are truncated
CHUNK = 2048  # texts per tokenizer call
TOKENS = {"cpu": 4096, "cuda": 131072}  # per batch
REMEMBERED = 50_000  # texts: 75 MB for vectors of 384 numbers
CPU = torch.device("cpu")
FILES = ("*.safetensors", "*.json", "*.txt", "*.model")  # of an encoder: weights, configuration, vocabulary


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The text encoder and the columns it encodes; plain data, stored in encoder.json."""

    folder: str
    fingerprint: str  # of the folder's files
    columns: tuple[str, ...]
    width: int


@dataclass(frozen=True, eq=False)
class Encoder:
    """A TableEncoder, plus vectors of its texts if a text encoder was given; the same interface."""

    table: TableEncoder
    texts: Texts | None = None
    device: torch.device = CPU  # where the text encoder runs

    @classmethod
    def fit(
        cls, frame: Frame, kinds: Mapping[str, str] | None = None, *, text: str | Path | None = None,
        device: torch.device | None = None, report: Report | None = None, missing: Sequence[str] | None = None,
        decimal: str | None = None,
    ) -> "Encoder":  # fmt: skip
        """Fit on a training frame; `text`: folder of a transformers encoder, for all columns of texts.

        Raises UsageError if no column holds texts or the folder does not exist, and the errors of TableEncoder.fit.
        """
        table = TableEncoder.fit(frame, kinds, report=report, missing=missing, decimal=decimal)
        device = device or CPU
        if text is None:
            return cls(table, None, device)
        columns = tuple(name for name, kind in table.kinds.items() if kind == "text")
        if not columns:
            raise UsageError(f"text names the encoder {text}, and no column holds texts: leave it out, or say which "
                             "does by its kind, 'text'")  # fmt: skip
        folder = Path(os.path.expanduser(text)).resolve()
        if not folder.is_dir():
            raise UsageError(f"no such folder: {text} (text encoder)")
        mark = fingerprint_of(str(folder))
        width = reader(str(folder), mark, str(device)).width
        return cls(table, Texts(folder=str(folder), fingerprint=mark, columns=columns, width=width), device)

    @property
    def kinds(self) -> Mapping[str, str]:
        return self.table.kinds

    @property
    def needed(self) -> tuple[str, ...]:
        return self.table.needed

    def transform(
        self, frame: Frame, *, report: Report | None = None, progress: Progress = silent, reading: bool = True
    ) -> Table:
        """The frame as a Table. Without `reading` all vectors of texts are missing.

        Raises UsageError if the text encoder is missing, ReslabError if it is a different one.
        """
        table, about = self.table.transform(frame, report=report), self.texts
        if about is None:
            return table
        vectors = {name: np.full((len(frame), about.width), np.nan, np.float32) for name in about.columns}
        if reading:
            read, frame = reader(about.folder, about.fingerprint, str(self.device)), self.table.cleaned(frame)
            vectors = {name: read.vectors(as_strings(frame[name]), progress) for name in about.columns}
        return table.with_vectors(vectors)

    def to_dict(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        about, arrays = self.table.to_dict()
        return about if self.texts is None else {**about, "texts": asdict(self.texts)}, arrays

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], arrays: Mapping[str, np.ndarray], device: torch.device | None = None
    ) -> "Encoder":
        """The encoder that `to_dict` wrote. Raises ReslabError for damaged data."""
        table, texts = TableEncoder.from_dict(data, arrays), None
        try:
            if "texts" in data:
                texts = Texts(**{**data["texts"], "columns": tuple(data["texts"]["columns"])})
        except (KeyError, TypeError) as error:
            raise ReslabError(f"this is no table encoder, or it is damaged: {error}") from error
        return cls(table, texts, device or CPU)


class Reader:
    """Computes vectors of texts and caches the last ones, so that repeated or shuffled texts are encoded once."""

    def __init__(self, folder: str, device: torch.device) -> None:
        self.net = pretrained(Path(folder)).eval().requires_grad_(False).to(device)
        transformers = need("transformers", extra="text", why=f"the encoder {folder}")
        with loading(folder, f"the encoder {folder}"), quiet(transformers):
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.device, self.width = device, self.net.hidden
        self.length = min(LENGTH, self.net.longest or LENGTH)
        self.known: dict[str, np.ndarray] = {}

    def vectors(self, texts: Iterable[str | None], progress: Progress = silent) -> np.ndarray:
        """Vectors of length 1, float32 (N, width); NaN for missing texts."""
        texts = list(texts)
        found = {text: self.known[text] for text in texts if text in self.known}
        new = [text for text in dict.fromkeys(texts) if text is not None and text not in found]
        ids = [one for k in range(0, len(new), CHUNK) for one in self.tokens(new[k : k + CHUNK])]
        order = sorted(
            range(len(new)), key=lambda k: -len(ids[k])
        )  # the longest first: too long for the memory, it shows
        reading = in_phase(progress, "reading texts")
        start, most = 0, TOKENS.get(self.device.type, TOKENS["cpu"])
        while start < len(order):
            rows = order[start : start + max(1, most // max(1, len(ids[order[start]])))]
            read = self.batch([ids[k] for k in rows])
            found |= {new[k]: vector for k, vector in zip(rows, read, strict=True)}
            start += len(rows)
            reading(start, len(order))
        self.known |= {text: found[text] for text in new}
        for text in list(self.known)[: max(0, len(self.known) - REMEMBERED)]:
            del self.known[text]
        empty = np.full(self.width, np.nan, np.float32)
        return np.stack([empty if text is None else found[text] for text in texts])

    def tokens(self, texts: list[str]) -> list[list[int]]:
        asked = {"truncation": True, "max_length": self.length, "padding": False}
        found: list[list[int]] = self.tokenizer(texts, **asked)["input_ids"]
        return found

    @torch.inference_mode()
    def batch(self, ids: list[list[int]]) -> np.ndarray:
        """Vectors of one batch of tokenized texts; 0 for a text without tokens."""
        lengths = torch.tensor([len(one) for one in ids])
        padded = torch.full((len(ids), max(1, int(lengths.max()))), self.tokenizer.pad_token_id or 0)
        for row, one in zip(padded, ids, strict=True):
            row[: len(one)] = torch.tensor(one, dtype=torch.long)
        mask = (torch.arange(padded.shape[1]) < lengths.clamp(min=1)[:, None]).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=native_bf16(self.device)):
            h = self.net(padded.to(self.device), mask).float()
        mean = (h * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        vectors: np.ndarray = (F.normalize(mean, dim=1).cpu() * (lengths > 0)[:, None]).numpy()
        return vectors


@lru_cache(maxsize=1)
def reader(folder: str, fingerprint: str, device: str) -> Reader:
    """The encoder in a folder. Raises UsageError if it is missing, ReslabError if its fingerprint differs."""
    if not Path(folder).is_dir():
        raise UsageError(f"the text encoder {folder} is missing; restore it there, or write its new path to "
                         "encoder.json and remove its key 'digest'")  # fmt: skip
    if fingerprint_of(folder) != fingerprint:
        raise ReslabError(f"{folder} holds a different text encoder than the one used in training; restore that one")
    return Reader(folder, torch.device(device))


def fingerprint_of(folder: str) -> str:
    """SHA-256 (hex) of the names and contents of an encoder's files."""
    digest = hashlib.sha256()
    for path in sorted({path for kind in FILES for path in Path(folder).glob(kind)}):
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
