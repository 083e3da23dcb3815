"""What is known of a model that is published: for its card, and for what is said before an upload."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reslab.ship.record import Kind

TASKS = {"images": "image-classification", "questions": "question-answering"}  # the Hub's names


def task_of(kind: Kind, target: str | None) -> str:
    """The Hub's name of what a model does; of tables, by the kind of the target."""
    return TASKS.get(kind) or ("tabular-regression" if target == "numbers" else "tabular-classification")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that was measured on held-out examples; `low`, `high`: its interval of level 0.95, if known."""

    kind: str  # the Hub's name: accuracy, f1, exact_match
    name: str  # in words, with its unit
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a card says."""

    kind: Kind
    name: str
    task: str  # the Hub's name
    title: str  # in one line: what the net is
    data: str  # name of the data set
    hub_data: str = ""  # its name on the Hub, if it has one
    base: str = ""  # the encoder's name on the Hub, if it has one
    metrics: Sequence[Metric] = ()
    n: int = 0  # examples that the metrics were measured on
    part: str = "test"
    lines: Sequence[str] = ()  # further facts, each a sentence
    tags: Sequence[str] = ()
    license: str = ""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A folder that is ready to be uploaded."""

    folder: Path
    kind: Kind
    files: dict[str, int]  # bytes of each, by name
    notes: list[str] = field(default_factory=list)  # what was taken out, and what becomes public

    @property
    def size(self) -> int:
        return sum(self.files.values())
