"""Files of a trained net's folder besides spec and weights: qa.json and the tokenizer."""

import math
from dataclasses import dataclass
from typing import Any

from reslab.errors import ReslabError, UsageError
from reslab.extras import need
from reslab.nets.specs import make
from reslab.qa.answers import MAX_TOKENS
from reslab.qa.rules import EMPTY, RULES
from reslab.run import Run, missing
from reslab.stored.digest import digest
from reslab.stored.files import read_bytes

LONGEST = 100_000  # tokens in an answer: more than any window has
WEIGHTS, TOKENIZER, SHAPE, SETTINGS = "weights.safetensors", "tokenizer", "encoder", "qa.json"
DIGESTS = "digests.json"  # in the folders TOKENIZER and SHAPE


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a net reads texts and how it is calibrated: qa.json, written by training and by `calibrate`."""

    rule: str  # a key of scores.RULES
    length: int  # tokens per window
    stride: int  # tokens that neighboring windows share
    temperature: float = 1.0
    threshold: float | None = None  # "no answer" is predicted if its probability is above it
    ece: float | None = None  # expected calibration error, on questions not used to fit the temperature
    max_answer: int = MAX_TOKENS  # tokens in an answer

    def check(self) -> None:
        """Raise UsageError for invalid values."""
        if not isinstance(self.rule, str) or self.rule not in RULES:
            raise UsageError(f"rule must be one of {', '.join(RULES)}, got {self.rule!r}")
        if not all(type(size) is int for size in (self.length, self.stride)) or not 0 <= self.stride < self.length:
            raise UsageError(f"stride must be from 0 to less than length, got {self.stride!r} of {self.length!r}")
        if type(self.max_answer) is not int or not 1 <= self.max_answer <= LONGEST:
            raise UsageError(f"max_answer must be from 1 to {LONGEST}, got {self.max_answer!r}")
        if not (isinstance(self.temperature, int | float) and 0 < self.temperature < float("inf")):
            raise UsageError(f"temperature must be positive, got {self.temperature!r}")
        for name in ("threshold", "ece"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
                raise UsageError(f"{name} must be a number, got {value!r}")
        if self.threshold is not None and not RULES[self.rule].empty:
            raise UsageError(f"a threshold needs the rule {' or '.join(EMPTY)}, got {self.rule}")


def read_settings(run: Run, *, most: int) -> Settings:
    """The settings of a run folder whose net takes windows of `most` tokens. Raises ReslabError for damaged ones."""
    try:
        settings: Settings = make(Settings, run.read_json(SETTINGS), "its content")
        if settings.length > most:
            raise UsageError(f"length {settings.length} exceeds the net's {most}")
    except UsageError as error:
        raise ReslabError(f"{run.path(SETTINGS)} is damaged: {error}; restore a copy of it") from error
    return settings


def seal(run: Run, part: str) -> None:
    """Write the digests of the files in a folder of the run that another library wrote."""
    files = sorted(path for path in run.path(part).iterdir() if path.is_file() and path.name != DIGESTS)
    run.write_json(f"{part}/{DIGESTS}", {path.name: digest(path.read_bytes()) for path in files})


def check_seal(run: Run, part: str) -> None:
    """Raise ReslabError if a file of the folder does not match its digest; folders of older runs have none."""
    marks = run.read_json(f"{part}/{DIGESTS}") if run.has(f"{part}/{DIGESTS}") else {}
    for name, mark in marks.items():
        path = run.path(part) / name
        if not path.is_file():
            raise missing(path)
        if digest(read_bytes(path)) != mark:
            raise ReslabError(f"{path} is damaged: its content does not match its digest; restore a copy of it")


def read_tokenizer(run: Run) -> Any:
    """The tokenizer of a run folder, without transformers, whose import takes seconds."""
    path = run.path(TOKENIZER) / "tokenizer.json"
    tokenizers = need("tokenizers", extra="text", why="reading texts")
    if not path.is_file():
        raise missing(path)
    check_seal(run, TOKENIZER)
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise ReslabError(f"{path} is damaged: {error}; restore a copy of it") from error
