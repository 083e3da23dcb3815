"""How long each training of the comparison is, and what it costs: epochs, seconds, multiply-adds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reslab.progress.row import duration
from reslab.slim.family import Family
from reslab.slim.record import Arm, Plan, What
from reslab.statistics import mean

Compare = Literal["all", "intact", "none"]
PASSES = 3  # a training step costs about three forward passes: forward, and backward for inputs and for weights


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Which trainings there are, each with its epochs, and what is to be said of them."""

    epochs: dict[What, float]
    examples: int  # of the training part
    macs: dict[What, float]  # multiply-adds of one example's training step
    seconds: dict[What, float]  # expected, of one training
    first: float = 0.0  # multiply-adds of the first training; 0: unknown
    note: str = ""  # why a training is left out

    @property
    def trainings(self) -> tuple[What, ...]:
        return tuple(self.epochs)


def budget(family: Family, plan: Plan, *, epochs: float, compare: Compare) -> Budget:
    """The trainings for healing of so many epochs.

    "scratch" gets the epochs of the first training and of healing together; it is left out where the first are unknown.
    """
    lengths: dict[What, float] = {"healed": epochs} if epochs else {}
    note = ""
    if epochs and compare != "none":
        lengths["intact-longer"] = epochs
    if epochs and compare == "all":
        if family.trained_epochs:
            lengths["scratch"] = family.trained_epochs + epochs
        else:
            note = (f"no net of the final shape is trained from nothing: {family.unknown}, so the budget of both "
                    "trainings together is not known; trained_epochs names its length")  # fmt: skip
    whole, small = plan.steps[0].macs, plan.last.macs
    macs: dict[What, float] = {"healed": PASSES * small + whole, "intact-longer": PASSES * whole,
                               "scratch": PASSES * small}  # fmt: skip
    slow, fast = (step.milliseconds / 1000 / max(plan.timing.batch, 1) for step in (plan.steps[0], plan.last))
    each: dict[What, float] = {"healed": PASSES * fast + slow, "intact-longer": PASSES * slow,
                               "scratch": PASSES * fast}  # fmt: skip
    return Budget(epochs=lengths, examples=family.examples, macs=macs, note=note,
                  first=macs["intact-longer"] * (family.trained_epochs or 0.0) * family.examples,
                  seconds={what: each[what] * many * family.examples for what, many in lengths.items()})  # fmt: skip


def announced(found: Budget, plan: Plan, *, seeds: int) -> str:
    """What is about to be done, and how long it takes, evaluations and loading left out."""
    blocks = f"{plan.chosen} of {len(plan.blocks)} blocks {'is' if plan.chosen == 1 else 'are'} removed"
    if not found.epochs:
        return f"{blocks}; nothing is trained"
    many = ", ".join(f"{what} {in_epochs(epochs)} (about {duration(found.seconds[what])})"
                     for what, epochs in found.epochs.items())  # fmt: skip
    total = duration(seeds * sum(found.seconds.values()))
    return f"{blocks}; {seeds} seed{'s' * (seeds > 1)} of each: {many}; all trainings about {total}"


def in_epochs(epochs: float) -> str:
    return f"{epochs:.3g} epoch{'s' * (epochs != 1)}"


def spent(found: Budget, arms: Sequence[Arm]) -> str:
    """The budget of each training in words, as it was: epochs, seconds and multiply-adds."""
    parts, macs = [], {}
    for what in found.epochs:
        there = [arm for arm in arms if arm.what == what]
        if there:
            epochs = mean([arm.epochs for arm in there])
            macs[what] = found.macs[what] * epochs * found.examples
            time = duration(mean([arm.seconds for arm in there]))
            parts.append(f"{what} {in_epochs(epochs)} of {found.examples:,} examples, {time}, "
                         f"{macs[what]:.2g} multiply-adds")  # fmt: skip
    if not parts:
        return "nothing was trained"
    both = ""
    if found.first and {"healed", "scratch"} <= macs.keys():
        both = (f"; the first training and healing together {found.first + macs['healed']:.2g} multiply-adds, scratch "
                f"{macs['scratch']:.2g}: equal means equal epochs")  # fmt: skip
    return ("each training took (a step counts as three forward passes; healing adds the teacher's): "
            + "; ".join(parts) + both)  # fmt: skip
