"""Keys and types of results/slim-plan.json and results/slim.json, as in folders.py."""

from typing import Any, Required, TypedDict

from reslab.stored.env import Env
from reslab.stored.folders import Object
from reslab.stored.numbers import Count, Number, Seed, Whole


class Block(TypedDict, total=False):
    """A block of the intact model, removable or not."""

    index: Required[Count]
    module: Required[str]
    kind: str
    container: str
    merges: list[Count]
    params: Count
    macs: Count
    removable: bool
    why: str
    entries: Count
    keeps: list[str]
    returns: str


class Timing(TypedDict, total=False):
    milliseconds: Number
    low: Number
    high: Number
    n: Count
    batch: Count
    device: str
    threads: Count
    precision: str


class Step(TypedDict, total=False):
    """One more block removed; the first step is the intact model, where `block` is null."""

    block: Required[Count | None]
    module: str
    values: Required[dict[str, Number]]
    change: Number
    low: Number
    high: Number
    macs: Number
    params: Number
    milliseconds: Number
    ranges: dict[str, list[Number]]


class Plan(TypedDict, total=False):
    """results/slim-plan.json."""

    model: str
    blocks: Required[list[Block]]
    measure: Required[str]
    by: str
    goal: str
    target: Number
    reached: bool
    chosen: Required[Count]
    steps: Required[list[Step]]
    n: Count
    data: str
    timing: Timing
    table: dict[str, Number]
    beam: Count
    seconds: Number
    notes: list[str]


class Score(TypedDict, total=False):
    value: Required[Number]
    low: Number
    high: Number
    n: Count
    more: dict[str, Number]


class Arm(TypedDict, total=False):
    """One model of the comparison; not trained further: `seed` is null."""

    what: Required[str]
    score: Required[Score]
    seed: Seed | None
    epochs: Number
    seconds: Number
    run: str


class Size(TypedDict, total=False):
    params: Count
    macs: Count
    bytes: Count
    memory: Count
    timing: Timing


class Pair(TypedDict, total=False):
    """Two arms compared."""

    a: Required[str]
    b: Required[str]
    difference: Number
    low: Number
    high: Number
    p: Number
    p_holm: Number  # after Holm's correction for all pairs
    seeds: Count
    n: Whole
    words: str


class Slimmed(TypedDict, total=False):
    """results/slim.json."""

    model: Object
    family: str
    measure: Required[str]
    lower_is_better: bool
    data: Object
    before: Required[Size]
    after: Required[Size]
    speedup: Number
    speedup_low: Number
    speedup_high: Number
    form: str
    loads: str
    removed: list[Block]
    difference: Number
    arms: list[Arm]
    budget: str
    verdict: str
    comparisons: list[Pair]
    generation: dict[str, Any] | None
    notes: list[str]
    commands: list[str]
    environment: Env


class Asked(TypedDict, total=False):
    """slim-asked.json: the settings of a job, by which it is found again."""

    remove: Whole
    speedup: Number
    max_macs: Number
    keep_error: Number
    by: str
    beam: Count
    parts: bool
    keep: list[str | Count]
    epochs: Number
    model: str  # digest of the weights
    planned_on: str  # digest of the samples of the plan
    data: str  # digest of all of the data
    healing: Object  # the recipe and the distillation
    trained_epochs: Number | None
    length: Count  # tokens of a window


class Arms(TypedDict, total=False):
    """slim-arms.json: the models that were measured so far."""

    arms: Required[list[Arm]]
