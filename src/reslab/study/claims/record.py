"""A claim of a paper, what an experiment measures of it, and the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from reslab.study.grid import Cell, Found

Direction = Literal["above", "below", "same", "exact"]
Answer = Literal["holds", "contradicted", "not shown", "equivalent"]
DATA_KEYS = {  # of a claim's data table, beside the changes of its settings
    "needs": str,  # why these data cannot speak to the claim: "needs color images"; then it is not run
    "deviations": tuple[str, ...],  # from the paper, with these data
    "seeds": int,  # instead of the claim's
}


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What is expected of the effect, fixed before the run.

    above, below: the mean effect is above (below) `threshold`. It is equivalent if it is shown to lie within `margin`
    of the threshold: a difference too small to matter. same: the mean effect is within `margin` of `threshold` (two
    one-sided tests). exact: every single effect is within `margin` of `threshold`; no chance is involved.
    """

    quantity: str  # what the effect is, in words: "training error of the deeper net minus that of the shallower"
    unit: str  # "points", "" for a plain number, "decades" for a log10 ratio
    direction: Direction
    threshold: float
    margin: float  # in the same unit; positive
    why: str  # where threshold and margin come from, in a sentence
    spread: float | None = None  # standard deviation of the effect over seeds that the power is computed with


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One file of study/claims/table/."""

    name: str  # of the file: "plain-degrades"
    title: str  # a few words for the contents
    paper: str  # a key of papers.toml: "he2015"
    where: str  # "section 4.2, Figure 6"
    sentence: str  # what is claimed, in our words
    formula: str  # what is compared, in plain text with Unicode: "err(plain-56) − err(plain-20) > 0"
    meaning: tuple[str, ...]  # three sentences in plain words for whoever learns
    experiment: str  # a name in experiments.EXPERIMENTS
    settings: Mapping[str, Any]  # for the experiment, on any data
    data: Mapping[
        str, Mapping[str, Any]
    ]  # "digits", "mnist", "cifar10", "any": changes of `settings`; and of DATA_KEYS
    prediction: Prediction
    deviations: tuple[str, ...]  # from the paper, on any data
    turns: str  # what would change the verdict, in a sentence
    false: Mapping[str, Any]  # changes of `settings` for which the claim is false: a test sees the verdict turn
    fixed: str  # the day on which the prediction was fixed: "2026-11-30"
    hash: str  # of all of the above that decides the verdict; "" until it is sealed
    seeds: int = 5
    extra: str = ""  # of reslab, that the experiment needs: "text"


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points of one figure: y over x, with an interval at each point if it has one."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """lines: y over x. bars: one bar per x. pairs: one line per seed between the arms (x: the arms' names)."""

    kind: Literal["lines", "bars", "pairs"]
    x: str  # axis titles, with units
    y: str
    series: Sequence[Series]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What an experiment found."""

    effects: Sequence[float]  # the prediction's quantity, one a seed (paired where pairs exist); of "exact", one a case
    cases: Sequence[str]  # a name for each effect: "seed 0", "resnet20"
    figure: Figure
    numbers: Mapping[str, str] = field(default_factory=dict)  # for the page, in words and with units
    deviations: Sequence[str] = ()  # found while measuring
    noise: float = 0.0  # the least variance of an effect, such as that of counted rates; 0: unknown
    blank: Sequence[bool] = ()  # of each effect, whether it says nothing, so that no verdict rests on it; (): none
    largest: float = 0.0  # the largest value of those whose differences are the effects: by it a spread is rounding


class Experiment(Protocol):
    """A module of study/claims/experiments."""

    def cells(self, settings: Mapping[str, Any], seeds: Sequence[int]) -> Mapping[str, Sequence[Cell]]:
        """The work to do: for each arm, one cell a seed (or a case)."""

    def measure(
        self, settings: Mapping[str, Any], seeds: Sequence[int], found: Mapping[str, Sequence[Found]]
    ) -> Measured:
        """What it found, from the cells' results alone: no training, no long work."""
