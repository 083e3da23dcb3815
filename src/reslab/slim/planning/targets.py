"""When a plan ends: so many blocks, a measured speed, a share of the MACs, or an error that is kept."""

from dataclasses import dataclass
from typing import Any, get_args

from reslab.errors import UsageError, arg
from reslab.slim.planning.choices import Choices, Removed
from reslab.slim.planning.table import Table
from reslab.slim.record import By, Goal

GOALS = get_args(Goal)


@dataclass(frozen=True)
class Target:
    """What was asked for."""

    goal: Goal
    value: float


def target(**asked: float | None) -> Target:
    """The one target that was given. Raises UsageError for none, several, or an impossible value."""
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) != 1:
        names = [arg(name) for name in GOALS]
        which = "name exactly one target: " if not given else f"{len(given)} targets were given; name exactly one of "
        raise UsageError(which, names[0], ", ", names[1], ", ", names[2], " or ", names[3])
    (name, value), = given.items()  # fmt: skip
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise UsageError(arg(name), f" must be a number, got {value!r}")
    if name == "remove" and (value != int(value) or value < 1):
        raise UsageError(arg(name), f" is a number of blocks, at least 1, got {value!r}")
    if name == "speedup" and not 1 < value < float("inf"):
        raise UsageError(arg(name), f" must be above 1 (1.5: one and a half times as fast), got {value!r}")
    if name == "max_macs" and not 0 < value < 1:
        raise UsageError(arg(name), f" is a share of the intact model's MACs, between 0 and 1, got {value!r}")
    if name == "keep_error" and not 0 <= value < 100:
        raise UsageError(arg(name), f" is in percentage points above the intact error, from 0 on, got {value!r}")
    return Target(name, float(value))  # type: ignore[arg-type]


def check_by(by: str, beam: Any) -> None:
    """Raise UsageError for an unknown score or an impossible beam."""
    if by not in get_args(By):
        raise UsageError(arg("by"), f" must be one of {', '.join(get_args(By))}, got {by!r}")
    if isinstance(beam, bool) or not isinstance(beam, int) or beam < 1:
        raise UsageError(arg("beam"), f" is how many sets of blocks are kept in each step, at least 1, got {beam!r}")
    if beam > 1 and by != "disabling":
        raise UsageError(arg("beam", beam), " needs ", arg("by", "disabling"), f": the order by {by} is that of "
                         "the intact model")  # fmt: skip


def check_reach(target: Target, choices: Choices, table: Table | None) -> None:
    """Raise UsageError, with the nearest target that can be reached, if no removal of blocks reaches it."""
    most = choices.all()
    if target.goal == "remove" and target.value > len(most):
        raise UsageError(f"{choices.blocks.model} has {len(most)} block{'s' * (len(most) != 1)} that can be removed "
                         f"together, not {target.value:.0f}; the nearest is ", arg("remove", len(most)))  # fmt: skip
    share = choices.macs(most) / max(1, choices.blocks.macs)
    if target.goal == "max_macs" and share > target.value:
        near = -int(-share * 1000 // 1) / 1000
        raise UsageError(f"removing blocks leaves at least {100 * share:.1f} % of the MACs of {choices.blocks.model}; "
                         "the nearest is ", arg("max_macs", near))  # fmt: skip
    if target.goal == "speedup" and table is not None and table.speedup(most) < target.value:
        raise unreachable_speed(table.speedup(most), "by the table of the blocks' times")


def unreachable_speed(most: float, how: str) -> UsageError:
    near = int(most * 100) / 100
    say = (" the nearest is ", arg("speedup", near)) if near > 1 else (" removing blocks does not make it faster",)
    return UsageError(f"blocks can give at most {most:.2f}x ({how});", *say)


def reached_by_size(target: Target, choices: Choices, removed: Removed) -> bool:
    """Whether a target that counts blocks or MACs is reached."""
    if target.goal == "remove":
        return len(removed) >= target.value
    return choices.macs(removed) <= target.value * choices.blocks.macs
