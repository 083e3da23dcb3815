"""What slimming finds, as plain data: the plan, the cut, the trainings beside each other. Stored as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from reslab.look.shown import Row, Shown
from reslab.slim.block import Block
from reslab.slim.planning.text import text_of

By = Literal["disabling", "influence", "response", "gradient", "first-order"]
Goal = Literal["remove", "speedup", "max_macs", "keep_error"]
What = Literal["intact", "cut", "norms", "healed", "intact-longer", "scratch"]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one pass of a batch takes on a device."""

    milliseconds: float  # median
    low: float  # 95 % interval of the median
    high: float
    n: int  # passes timed
    batch: int
    device: str
    threads: int
    precision: str = "fp32"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One more block removed: what is left, and what it costs. Step 0 of a plan is the intact model."""

    block: int | None  # the index of the block that goes; None: the intact model
    module: str
    values: dict[str, float]  # means over the n items of the planning data: error and others as shares, not percent
    change: float  # of the plan's measure, against the intact model
    low: float  # 95 % interval of the change, over the items
    high: float
    macs: int  # of one example
    params: int
    milliseconds: float  # by the table of each block's time
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)  # the interval of each value's change


@dataclass(frozen=True, kw_only=True, repr=False)
class Plan(Shown):
    """Which blocks go, in which order. The first `chosen` of `steps` after the intact model reach the target.

    str(plan) is the whole plan as text; frame() is the table of its steps.
    """

    model: str
    blocks: tuple[Block, ...]
    measure: str  # what the steps are compared by: "error", "loss", "drift" or a user's metric
    by: By
    goal: Goal
    target: float
    reached: bool
    chosen: int  # number of blocks that go
    steps: tuple[Step, ...]  # steps[0]: the intact model; it may go on after the chosen ones
    n: int  # items of the planning data
    data: str  # which data, and which part of them
    timing: Timing  # of the intact model
    table: dict[str, float]  # by index of the block: milliseconds of a pass that go with it
    beam: int = 1
    seconds: float = 0.0  # of all calls that made it, timing included
    notes: tuple[str, ...] = ()

    FACTS = ("model", "measure", "n", "chosen")

    @property
    def removed(self) -> tuple[Block, ...]:
        """The blocks that go, in the order of the plan."""
        return tuple(self.blocks[step.block] for step in self.steps[1 : self.chosen + 1] if step.block is not None)

    @property
    def last(self) -> Step:
        """The step at which the plan ends."""
        return self.steps[self.chosen]

    def rows(self) -> list[Row]:
        """A row per step: the block that goes, what is measured without it, and what stays."""
        return [
            {"step": i, "module": step.module or "(intact model)", **step.values, "change": step.change,
             "low": step.low, "high": step.high, "milliseconds": step.milliseconds, "macs": step.macs,
             "params": step.params, "chosen": i <= self.chosen}
            for i, step in enumerate(self.steps)
        ]  # fmt: skip

    def drawn(self) -> tuple[str, ...]:
        return (*self.steps[0].values, "milliseconds", "macs")

    def __str__(self) -> str:
        return text_of(self)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a model reaches on the test part."""

    value: float  # of the family's measure: error in percent, F1 in percent, loss in nats
    low: float  # 95 % interval over the n items
    high: float
    n: int
    more: dict[str, float] = field(default_factory=dict)  # beside it: loss, top5, exact, perplexity


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One model of the comparison: not trained further (seed None), or trained in a run of its own."""

    what: What
    score: Score
    seed: int | None = None
    epochs: float = 0.0  # of this training; of "scratch" those of both trainings together
    seconds: float = 0.0
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class Size:
    """What a model takes."""

    params: int
    macs: int  # of one example
    bytes: int  # of its file of weights
    memory: int  # bytes: weights, buffers and the largest activations of one pass; 0: not measured
    timing: Timing


@dataclass(frozen=True, kw_only=True)
class Slimmed:
    """results/slim.json: the whole job, before and after."""

    model: dict[str, Any]  # word, name, class
    family: str  # images, questions, texts
    measure: str  # "error", "f1", "loss"
    lower_is_better: bool
    data: dict[str, Any]
    before: Size
    after: Size
    speedup: float  # before / after, both timed in turn in one run
    speedup_low: float
    speedup_high: float
    form: str  # how it is saved: see Cut.form
    loads: str  # one line that loads it without reslab, or with it where no library can
    removed: tuple[Block, ...]
    difference: float  # largest difference between the cut model and the intact one with those blocks disabled
    arms: tuple[Arm, ...]
    budget: str  # in words
    verdict: str  # which of healed, intact-longer and scratch wins, with the interval
    comparisons: tuple[dict[str, Any], ...]  # a, b, difference, low, high, p of each pair of arms
    generation: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    environment: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
