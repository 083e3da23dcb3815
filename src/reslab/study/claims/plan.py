"""Which cells a run of claims needs, what they cost, and what a budget leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from reslab.errors import ReslabError, Sentence, UsageError, first_line
from reslab.extras import installed
from reslab.images.data import ImageData
from reslab.images.data.words import WORDS
from reslab.images.train import storable
from reslab.run import absolute
from reslab.study.claims.arms import merged
from reslab.study.claims.experiments import experiment
from reslab.study.claims.given import Given
from reslab.study.claims.record import DATA_KEYS, Claim
from reslab.study.grid import Cell
from reslab.study.grid.cell import in_order
from reslab.study.grid.plan import schedule

LIKE = {(1, 8, 8): "digits", (1, 28, 28): "mnist", (3, 32, 32): "cifar10"}  # of ten classes: their data table
EXTRAS = {"text": "transformers", "ship": "openvino", "data": "datasets"}  # a package of each


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A claim on these data: its cells, or why it is not run."""

    claim: Claim
    seeds: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    cells: Mapping[str, Sequence[Cell]] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()
    why_not: str = ""

    @property
    def all_cells(self) -> list[Cell]:
        """With those that they need, each once."""
        return list(in_order([cell for arm in self.cells.values() for cell in arm]))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How claims are to be run."""

    data: ImageData | Given
    word: str  # of the data
    options: Mapping[str, Any]
    seed: int = 0
    seeds: int | None = None  # instead of each claim's own number


def plan(claims: Sequence[Claim], asked: Asked) -> list[Planned]:
    """A claim whose settings do not suit its experiment is not run, and says why."""
    return [tried(claim, asked) for claim in claims]


def tried(claim: Claim, asked: Asked) -> Planned:
    try:
        return planned(claim, asked)
    except UsageError as error:
        return Planned(claim=claim, why_not=str(error).replace(f"claim {claim.name}:", f"{claim.name}.toml:", 1))


def planned(claim: Claim, asked: Asked) -> Planned:
    """The cells of one claim. Raises UsageError for settings that do not suit its experiment."""
    kind = table_of(claim, asked)
    if kind is None:
        stated = ", ".join(name for name, table in claim.data.items() if "needs" not in table)
        return Planned(claim=claim, why_not=f"it is stated for {stated}, not for {asked.data.name}")
    table = claim.data[kind]
    if "needs" in table:
        return Planned(claim=claim, why_not=table["needs"])
    if claim.extra and not installed(EXTRAS.get(claim.extra, claim.extra)):
        return Planned(claim=claim, why_not=f"needs the extra {claim.extra}: pip install 'reslab[{claim.extra}]'")
    changes = {key: value for key, value in table.items() if key not in DATA_KEYS}
    settings = with_data(merged(claim.settings, changes), asked)
    seeds = seeds_from(asked.seed, asked.seeds or table.get("seeds", claim.seeds))
    more = tuple(table.get("deviations", ()))
    return with_seeds(Planned(claim=claim, settings=settings, deviations=(*claim.deviations, *more)), seeds)


def table_of(claim: Claim, asked: Asked) -> str | None:
    """The name of the claim's data table: that of the word, of what the data look like, or "any" for images."""
    if isinstance(asked.data, Given):
        return asked.data.kind if asked.data.kind in claim.data else None
    like = LIKE.get(asked.data.shape) if len(asked.data.classes) == 10 else None
    return next((kind for kind in (asked.word, like, "any") if kind in claim.data), None)


def named(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell's settings say of the data, but for their fingerprint: the same wherever the command is run."""
    return {"word": absolute(word, WORDS), "options": storable(dict(options))}


def with_data(settings: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """The data of the run, in the settings of the training, or beside the others where there is none."""
    data = {**named(asked.word, asked.options), "fingerprint": asked.data.fingerprint}
    if "train" in settings:
        return {**settings, "train": {**settings["train"], "data": data}}
    return {**settings, "data": data}


def with_seeds(one: Planned, seeds: tuple[int, ...]) -> Planned:
    """The same with other seeds. Raises UsageError, with the claim's name, for settings that suit no experiment."""
    try:
        cells = experiment(one.claim.experiment).cells(one.settings, seeds)
        return replace(one, seeds=seeds, cells=cells)
    except Exception as error:
        raise UsageError(f"claim {one.claim.name}: ", unsuited(error, one.claim.experiment)) from error


def unsuited(error: Exception, what: str) -> Sentence:
    """Why settings cannot be used: the sentence of an error of ours, or which key of them another one is about."""
    if isinstance(error, ReslabError):
        return error.sentence
    about = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else first_line(error)
    return Sentence(f"its settings do not suit the experiment {what}: {type(error).__name__}: {about}")


def falsified(one: Planned) -> Planned:
    """The same with the changes for which the claim is false, to see the verdict turn."""
    return with_seeds(replace(one, settings=merged(one.settings, one.claim.false)), one.seeds)


def seeds_from(first: int, n: int) -> tuple[int, ...]:
    return tuple(range(first, first + n))


class Costs:
    """What is not done yet of cells, in CPU seconds of this machine and in minutes."""

    def __init__(
        self, todo: Mapping[Cell, float], *, speed: float = 1.0, jobs: int = 1, floor: float = 0.0, start: float = 0.0
    ) -> None:
        """todo: cells to their CPU seconds on the machine of docs/claims.md; speed: a core's here against those.

        floor: seconds that the least cell takes; start: of a process that does cells, before its first.
        """
        self.todo = {cell: max(floor, seconds) for cell, seconds in todo.items()}
        self.speed, self.jobs, self.start = speed, jobs, start

    def of(self, several: Sequence[Planned]) -> dict[Cell, float]:
        """CPU seconds of all cells that these claims need and that are not done, each once."""
        every = in_order([cell for one in several for cell in one.all_cells])
        return {cell: self.todo[cell] / self.speed for cell in every if cell in self.todo}

    def seconds(self, several: Sequence[Planned]) -> float:
        """Of CPU, with the start of the processes."""
        cells = self.of(several)
        return sum(cells.values()) + min(self.jobs, len(cells)) * self.start / self.speed

    def minutes(self, several: Sequence[Planned]) -> float:
        """Of wall time, as the pool hands the cells out."""
        return self.wall(self.of(several))

    def wall(self, cells: Mapping[Cell, float]) -> float:
        return (schedule(cells, self.jobs) + self.start / self.speed) / 60 if cells else 0.0
