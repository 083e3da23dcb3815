"""A plan in words: a line that says what goes and why, and a table of its steps."""

from collections.abc import Sequence
from typing import Any

Cells = Sequence[str]


def lined(columns: Cells, rows: Sequence[Cells], *, left: int) -> list[str]:
    """A plain table, every column but number `left` right-aligned."""
    wide = [max(len(name), *(len(row[i]) for row in rows)) for i, name in enumerate(columns)]
    return ["  ".join(text.ljust(width) if i == left else text.rjust(width)
                      for i, (text, width) in enumerate(zip(row, wide, strict=True))).rstrip()
            for row in (columns, *rows)]  # fmt: skip


def measured(name: str, value: float) -> str:
    """A value of a metric: an error in percent."""
    return f"{100 * value:.2f} %" if name == "error" else f"{value:.4g}"


def changed(name: str, step: Any, intact: Any) -> str:
    """The change of a value and its interval; of an error in percentage points."""
    scale, digits = (100, 2) if name == "error" else (1, 4)
    ends = step.ranges.get(name, (step.low, step.high))
    low, high = (f"{scale * value:+.{digits}f}" for value in ends)
    return f"{scale * (step.values[name] - intact.values[name]):+.{digits}f} ({low} to {high})"


def table_of(plan: Any) -> list[str]:
    """The steps, one line each; those after the chosen ones are marked."""
    measure, intact = plan.measure, plan.steps[0]
    shown = "error" if "error" in plan.last.ranges else measure
    others = [name for name in intact.values if name != shown]
    columns = ["", "block", *others, shown, f"change of {shown} (95 %)", "ms", "speed", "MACs"]
    rows = []
    for i, step in enumerate(plan.steps):
        rows.append([
            "-" if i > plan.chosen else str(i), step.module or "(intact model)",
            *(measured(name, step.values[name]) for name in others), measured(shown, step.values[shown]),
            changed(shown, step, intact) if i else "", f"{step.milliseconds:.3g}",
            f"{intact.milliseconds / step.milliseconds:.2f}x" if step.milliseconds else "",
            f"{100 * step.macs / intact.macs:.1f} %" if intact.macs else "",
        ])  # fmt: skip
    return lined(columns, rows, left=1)


def target_of(plan: Any) -> str:
    """What was asked for, in words."""
    words = {
        "remove": f"{plan.target:.0f} block{'s' * (plan.target != 1)} removed",
        "speedup": f"{plan.target:g}x as fast",
        "max_macs": f"at most {100 * plan.target:g} % of the MACs",
        "keep_error": f"error at most {plan.target:g} points above the intact model's",
    }
    return words[plan.goal]


def headline(plan: Any) -> str:
    last, first = plan.last, plan.steps[0]
    many = f"remove {plan.chosen} of {len(plan.blocks)} blocks of {plan.model}"
    asked = "" if plan.goal == "remove" and plan.target == plan.chosen else f" (target: {target_of(plan)})"
    times = f"{first.milliseconds:.3g} to {last.milliseconds:.3g} ms by the blocks' own times"
    speed = times if last.milliseconds else ""
    macs = f"{100 * last.macs / first.macs:.1f} % of the MACs remain" if first.macs else ""
    found = ", ".join(part for part in (f"{many}{asked}", speed, macs) if part)
    return f"{found}, {plan.measure} {measured(plan.measure, first.values[plan.measure])} to " \
           f"{measured(plan.measure, last.values[plan.measure])} before any healing"  # fmt: skip


def text_of(plan: Any) -> str:
    """The whole plan, as --dry-run shows it."""
    timing = plan.timing
    how = {
        "disabling": "each step removes the block without which the model does best, and measures the others again",
    }.get(plan.by, f"blocks in the order of their {plan.by} in the intact model, smallest first")
    beam = f"; beam of {plan.beam}" if plan.beam > 1 else ""
    rest = ["lines marked - were measured beyond the target"] if plan.chosen < len(plan.steps) - 1 else []
    where = f"ms: one pass of a batch of {timing.batch} on {timing.device}, {timing.threads} " \
            f"thread{'s' * (timing.threads != 1)}, {timing.precision}; measured for the intact model " \
            f"({timing.low:.3g} to {timing.high:.3g}), and the removed blocks' own times subtracted"  # fmt: skip
    data = f"measured on {plan.data}; n = {plan.n:,} items" if plan.data else f"measured on {plan.n:,} items"
    return "\n".join([headline(plan), f"{how}{beam}; {data}", "", *table_of(plan), "", where, *rest,
                      *(f"note: {note}" for note in plan.notes)])  # fmt: skip
