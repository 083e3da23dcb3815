"""Tables that scikit-learn embeds, written as a file; and two made of one of them, to know which columns matter."""

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TARGET = "target"
SHUFFLED = "shuffled_"  # begins the names of columns that are planted, and say nothing
LOADERS = {  # word: scikit-learn's function
    "pixels": "load_digits",  # 64 pixels as columns
    "cancer": "load_breast_cancer",
    "diabetes": "load_diabetes",
    "wine": "load_wine",
    "planted": "load_breast_cancer",  # and each column once more, its values shuffled among the rows
    "unrelated": "load_breast_cancer",  # the same, with a shuffled target: no column says anything
}


@dataclass(frozen=True, kw_only=True)
class OwnTable:
    """A table as text of comma-separated values, with its target's column last."""

    name: str
    text: str
    kind: str  # of the target: "classes" or "numbers"
    fingerprint: str

    def write(self, path: Path) -> Path:
        path.write_text(self.text, encoding="utf-8")
        return path


def load(word: str) -> OwnTable:
    """The table of a word in LOADERS. The shuffles are always the same ones."""
    import sklearn.datasets

    found: Any = getattr(sklearn.datasets, LOADERS[word])()
    x, y, names = np.asarray(found.data), np.asarray(found.target), list(map(str, found.feature_names))
    draws = np.random.default_rng(0)
    if word in ("planted", "unrelated"):
        names += [f"{SHUFFLED}{name}" for name in names]
        x = np.concatenate([x, draws.permuted(x, axis=0)], axis=1)
    if word == "unrelated":
        y = draws.permutation(y)
    kind = "numbers" if word == "diabetes" else "classes"
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow([*names, TARGET])
    for row, value in zip(x.tolist(), y.tolist(), strict=True):
        rows.writerow([*(f"{one:g}" for one in row), value if kind == "numbers" else f"class {value}"])
    text = out.getvalue()
    return OwnTable(name=word, text=text, kind=kind, fingerprint=hashlib.sha256(text.encode()).hexdigest())
