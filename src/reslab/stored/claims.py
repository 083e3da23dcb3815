"""Keys and types of results/claims.json, as in folders.py."""

from typing import Literal, TypedDict

from reslab.stored.env import Env
from reslab.stored.folders import Data, Object
from reslab.stored.numbers import Count, Number, Real


class Paper(TypedDict, total=False):
    key: str
    authors: str
    year: int  # absent: not published
    title: str
    link: str


class Series(TypedDict, total=False):
    name: str
    x: list[Real | str]
    y: list[Number]
    low: list[Number] | None
    high: list[Number] | None


class Figure(TypedDict, total=False):
    kind: Literal["lines", "bars", "pairs"]
    x: str
    y: str
    series: list[Series]
    log_x: bool
    log_y: bool


class Prediction(TypedDict, total=False):
    quantity: str
    unit: str
    direction: Literal["above", "below", "same", "exact"]
    threshold: Real
    margin: Real
    why: str
    spread: Number


class Judged(TypedDict, total=False):
    """How the measured effects compare with the prediction; intervals of level 95 %. No p where chance has no part."""

    n: Count
    mean: Number
    low: Number
    high: Number
    test: str  # in words: "t test of the mean over seeds against 0"
    p: Number  # of the prediction's question; of "same": of the two one-sided tests
    p_holm: Number  # after Holm's correction over the `family` of tested claims
    p_equivalent: Number  # of the two one-sided tests
    p_opposite: Number  # of the opposite question: equivalent; of "same": outside the margin
    p_opposite_holm: Number
    family: Count
    effects: list[Number]
    cases: list[str]
    sees: Number  # the smallest effect that n would show with power 80 %
    power: str  # a sentence


def decisive(verdict: str | None, direction: str | None) -> Literal["p_holm", "p_opposite_holm"]:
    """The key of the p on which the verdict rests: that of the prediction's question, or of the opposite one."""
    opposite = verdict == "equivalent" or (verdict == "contradicted" and direction == "same")
    return "p_opposite_holm" if opposite else "p_holm"


class Claim(TypedDict, total=False):
    name: str
    group: str
    title: str
    paper: str
    where: str
    sentence: str
    formula: str
    meaning: list[str]
    prediction: Prediction
    fixed: str
    hash: str
    experiment: str
    settings: Object  # with these data
    verdict: Literal["holds", "contradicted", "not shown", "equivalent", "not run"]
    answer: str  # one sentence: effect, interval, what follows
    why_not: str  # of "not run": "needs texts: ..."
    judged: Judged | None
    figure: Figure | None
    numbers: dict[str, str]
    deviations: list[str]
    turns: str
    command: str  # that runs this claim alone
    seconds: Number  # of CPU


class Claims(TypedDict, total=False):
    """results/claims.json."""

    claims: list[Claim]
    papers: list[Paper]
    data: Data
    edition: str  # "quick" (digits) or "full"
    seeds: list[int]
    families: str  # alpha and families of tests, in sentences
    notes: list[str]  # what a budget lowered
    env: Env
    command: str
    created: str
    seconds: Number  # of CPU, all cells
    wall_seconds: Number
