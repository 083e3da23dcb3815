"""How a table is read and split for training: stored in a run folder, and kept for runs of older versions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reslab.errors import UsageError, arg
from reslab.nets.specs import make
from reslab.run import Run
from reslab.tables.data.format import Format
from reslab.tables.data.gaps import words_of
from reslab.tables.data.target import TargetKind
from reslab.tables.defaults import RULE as DEFAULTS
from reslab.tables.training import RULE

# How tables were read before a run stored it: words were values, points were decimal marks, the first row had names.
OLDER: dict[str, Any] = {"split_rule": 1, "missing": (), "decimal": ".", "header": True, "defaults": 1}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a table is read and split: stored in data.json, beside the description of the data."""

    target: tuple[str, ...]  # one column, or several
    kind: TargetKind | None = None  # of the target; None: guessed
    kinds: Mapping[str, str] = field(default_factory=dict)  # of columns, to correct wrong guesses
    test: float = 0.2  # share of the rows, if there is no file of test rows
    test_word: str | None = None
    class_weight: Any = None
    split: int = 0  # the seed of the split
    split_rule: int = RULE  # see `set_aside`; runs stored without one have rule 1
    sizes: Mapping[str, Any] = field(default_factory=dict)  # sizes of the net that differ from its preset's
    text: str | None = None  # folder of a text encoder, whose vectors are added to the bags of words
    missing: tuple[str, ...] | None = None  # words for missing values; None: the usual ones
    defaults: int = DEFAULTS  # the rule of defaults.py; runs stored without one have rule 1
    fold: int | None = None  # the fold of the training rows that is set aside for validation; None: a share of them
    folds: int = 0  # how many there are
    shared_kinds: Mapping[str, str] = field(default_factory=dict)  # of columns, about which the folds agree
    decimal: str | None = None  # the mark of numbers like 1.001, "." or ","; None: that of the other numbers
    header: bool | None = None  # whether the first row of a file of text holds names; None: found in it
    encoding: str | None = None  # of a file of text; None: found in it

    @property
    def format(self) -> Format:
        """What it says about the file."""
        skip = tuple(name for name, kind in self.kinds.items() if kind == "skip" and name not in self.target)
        return Format(header=self.header, encoding=self.encoding, decimal=self.decimal, skip=skip,
                      missing=words_of(self.missing))  # fmt: skip

    def check(self) -> None:
        """Raise UsageError for invalid values."""
        if not self.target:
            raise UsageError("name the column to predict, with ", arg("target"))
        if self.test_word is None and not 0 < self.test < 1:
            raise UsageError(f"the test part must be a share between 0 and 1, got {self.test:g}")
        if self.split_rule not in (1, RULE):
            raise UsageError(f"split_rule must be 1 or {RULE}, got {self.split_rule}")


def read_reading(run: Run) -> tuple[str, Reading]:
    """(word, reading) of a run folder's table."""
    about = run.read_json("data.json", "word", "reading", "fingerprint")
    stored = about["reading"]
    missing = tuple(stored["missing"]) if stored.get("missing") is not None else stored.get("missing", ())
    values = {**OLDER, **stored, "target": tuple(stored["target"]), "missing": missing}
    if "missing" not in stored:
        values["kinds"] = about.get("kinds", stored["kinds"])
    return about["word"], make(Reading, values, f"{run.path('data.json')}")


def asked(reading: Reading) -> dict[str, Any]:
    """What the reading sets that leads to another run even on the same table."""
    found = {key: getattr(reading, key) for key in ("target", "kind", "test", "class_weight")}
    return {**json.loads(json.dumps(found)), "target": ", ".join(reading.target)}


def how_read(reading: Reading) -> dict[str, Any]:
    """What the reading sets that may lead to other values of the same file."""
    keys = ("kinds", "missing", "decimal", "header", "encoding", "text", "test_word", "split")
    return {**asked(reading), **json.loads(json.dumps({key: getattr(reading, key) for key in keys}))}


def like_stored(folder: Path | str, reading: Reading) -> Reading:
    """The reading as older versions had it, if the run or the ensemble in the folder is theirs; else unchanged."""
    for run in (Run(folder), Run(Path(folder) / "s0")):
        if run.has("spec.json") and "reading" in (about := run.read_json("data.json")):
            return as_older(reading, about["reading"], about.get("kinds"))
    return reading


def as_older(reading: Reading, stored: Mapping[str, Any], kinds: Mapping[str, str] | None = None) -> Reading:
    """The reading with the values of its time for what a stored one lacks; `kinds`: of its columns."""
    older = {key: value for key, value in OLDER.items() if key not in stored}
    if "missing" not in stored and kinds is not None:
        older["kinds"] = {**kinds, **reading.kinds}
    return replace(reading, **{**older, "split_rule": stored.get("split_rule", 1),
                               "defaults": stored.get("defaults", 1)})  # fmt: skip
