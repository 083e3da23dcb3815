"""Keys and types of results/grid.json, as in folders.py."""

from typing import Literal, TypedDict

from reslab.stored.env import Env
from reslab.stored.folders import Data, Object
from reslab.stored.numbers import Count, Number, Real, Seed

Value = Real | str | bool


class Varied(TypedDict, total=False):
    key: str
    kind: Literal["depth", "net", "recipe"]
    values: list[Value]


class Row(TypedDict, total=False):
    """One combination; the varied keys stand beside these."""

    net: str
    family: str
    n: Count
    parameters: Count | None
    train_mean: Number
    train_std: Number
    train_eval_mean: Number
    train_eval_std: Number
    test_mean: Number
    test_std: Number


class Trained(TypedDict, total=False):
    row: Count
    net: str
    seed: Seed
    train_error: Number
    train_error_eval: Number
    train_loss_eval: Number
    test_error: Number
    test_loss: Number
    cpu_seconds: Number
    cell: str
    folder: str


class Skipped(TypedDict, total=False):
    combination: str
    reason: str


class Failed(TypedDict, total=False):
    cell: str
    reason: str


class Grid(TypedDict, total=False):
    """results/grid.json."""

    title: str
    created: str
    command: str
    data: Data
    recipe: Object
    varied: list[Varied]
    nets: list[str]
    seeds: list[Seed]
    table: list[Row]
    runs: list[Trained]
    skipped: list[Skipped]
    failed: list[Failed]
    cpu_seconds: Number
    on: str
    env: Env
