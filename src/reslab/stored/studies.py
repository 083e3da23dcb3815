"""Keys and types of study.json and of the comparisons of heads and nets, as in folders.py."""

from typing import TypedDict

from reslab.stored.claims import Figure
from reslab.stored.env import Env
from reslab.stored.folders import Data, Object, Reading
from reslab.stored.numbers import Count, Number, Real, Seed, Whole


class StudyRun(TypedDict, total=False):
    net: str
    kind: str
    folder: str
    depth: Whole
    seed: Seed


class Curve(TypedDict, total=False):
    net: str
    kind: str
    depth: Whole
    seed: Seed
    train: list[tuple[Real, Number]]
    test: list[tuple[Real, Number]]


class Row(TypedDict, total=False):
    net: str
    kind: str
    depth: Whole
    n: Count
    train_mean: Number
    train_std: Number
    train_eval_mean: Number
    train_eval_std: Number
    test_mean: Number
    test_std: Number


class Statistic(TypedDict, total=False):
    name: str
    value: Number
    df: Number
    p: Number
    p_holm: Number
    n: Number
    words: str


class Effect(TypedDict, total=False):
    points: Number
    low: Number
    high: Number


class Verdict(TypedDict, total=False):
    question: str
    answer: str
    sentence: str
    effect: Effect | None
    statistic: Statistic | None


class Study(TypedDict, total=False):
    """study.json."""

    study: str
    title: str
    created: str
    command: str
    data: Data
    recipe: Object
    env: Env
    drops: list[Number]
    runs: list[StudyRun]
    curves: list[Curve]
    table: list[Row]
    verdicts: list[Verdict]
    figures: list[Figure]  # beside those that the page makes of curves and table
    seeds: list[Seed]
    skipped: list[str]
    caveats: list[str]


class Head(TypedDict, total=False):
    head: str
    seeds: Count
    lr: Number
    step_milliseconds: Number
    exact: Number
    f1: Number
    ece: Number
    exact_each: list[Number]
    f1_each: list[Number]
    ece_each: list[Number]


class Heads(TypedDict, total=False):
    """results/compare.json."""

    heads: list[Head]
    encoder: str
    train_last: Whole | None
    length: Count
    reading: Reading
    data: Data
    seeds: Count
    recipe: Object
    env: Env
    command: str


class Net(TypedDict, total=False):
    net: str
    seeds: Count
    parameters: Count | None


class Nets(TypedDict, total=False):
    """results/compare-tables.json."""

    nets: list[Net]
    main: str
    data: str
    reading: Reading
    seeds: Count
    recipe: Object
    trees: dict[str, dict[str, Number]]
    env: Env
    command: str
