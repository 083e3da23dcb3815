"""What a model takes and reaches, before and after: the cards and the table of sizes."""

from typing import Any

from reslab.report import words
from reslab.report.figures.arms import TITLES, Arm, between, text
from reslab.report.figures.expected import expected, plain
from reslab.report.folder import Facts, dicts, facts


def cards(plan: Facts, done: Facts, found: list[Arm]) -> list[Facts]:
    """The main numbers: before -> after."""
    return finished_cards(done, {arm.what: arm for arm in found}) if done else planned_cards(plan)


def planned_cards(plan: Facts) -> list[Facts]:
    steps, seen = dicts(plan.get("steps")), expected(plan)
    if seen is None:
        return []
    at = min(plan["chosen"], len(steps) - 1)
    first, last = steps[0], steps[at]
    faster, kept = ratio(first, last, "milliseconds"), ratio(last, first, "macs")
    low, high = seen.low[at], seen.high[at]
    around = "" if low is None or high is None else f"; 95 % interval {plain(low)} to {plain(high)}"
    return [
        {"title": f"Expected {seen.metric.name}, before healing", "big": seen.metric.text(seen.values[at]),
         "more": f"intact {seen.metric.text(seen.values[0])}{around}"},
        {"title": "Expected speed-up", "big": f"{faster:.2f}×" if faster else words.NONE,
         "more": f"{milliseconds(first)} → {milliseconds(last)}, by each block’s measured time"},
        {"title": "MACs that remain", "big": words.percent(100 * kept, 0) if kept else words.NONE,
         "more": f"{words.short(first.get('macs'))} → {words.short(last.get('macs'))}"},
    ]  # fmt: skip


def finished_cards(done: Facts, by: dict[str, Arm]) -> list[Facts]:
    before, after, measure = facts(done["before"]), facts(done["after"]), str(done["measure"])
    end = by.get("healed") or by.get("norms") or by.get("cut")
    whole, same = by.get("intact"), by.get("intact-longer")
    kept, faster = ratio(after, before, "macs"), done.get("speedup")
    first = []
    if end:
        parts = [f"intact {text(measure, whole.value)}" if whole else "",
                 f"intact-longer {text(measure, same.value)}" if same else "",
                 f"95 % interval {between(measure, end.low, end.high)}" if end.low is not None else ""]  # fmt: skip
        score = TITLES.get(measure, measure).partition(" (")[0]  # `test error (%)` without its unit
        more = "; ".join(filter(None, parts))
        heading = f"{score[:1].upper()}{score[1:]}, {end.name}"
        first.append({"title": heading, "big": text(measure, end.value), "more": more})
    spread = [done.get("speedup_low"), done.get("speedup_high")]
    return [
        *first,
        {"title": "Speed-up, measured", "big": f"{faster:.2f}×" if words.is_number(faster) else words.NONE,
         "more": f"{milliseconds(facts(before.get('timing')))} → {milliseconds(facts(after.get('timing')))}"
         + (f"; 95 % interval {spread[0]:.2f} to {spread[1]:.2f}" if all(map(words.is_number, spread)) else "")},
        {"title": "MACs that remain", "big": words.percent(100 * kept, 0) if kept else words.NONE,
         "more": f"{words.short(before.get('macs'))} → {words.short(after.get('macs'))}"},
        {"title": "File of weights", "big": size(after.get("bytes")),
         "more": f"before {size(before.get('bytes'))}; {words.count(before.get('params'))} → "
         f"{words.count(after.get('params'))} parameters"},
    ]  # fmt: skip


def sizes(done: Facts) -> list[tuple[str, str, str, str]]:
    """(what, before, after, after / before) of everything that a model takes."""
    before, after = facts(done.get("before")), facts(done.get("after"))
    told = {"params": ("parameters", words.count), "macs": ("MACs per example", words.short),
            "bytes": ("file of weights", size), "memory": ("memory of a pass", size)}  # fmt: skip
    rows = []
    for key, (label, say) in told.items():
        if words.is_number(before.get(key)) and words.is_number(after.get(key)) and before[key] > 0:
            rows.append((label, say(before[key]), say(after[key]), words.percent(100 * after[key] / before[key], 1)))
    one, other = facts(before.get("timing")), facts(after.get("timing"))
    if left := ratio(other, one, "milliseconds"):
        label = f"time per pass (batch {one['batch']})" if one.get("batch") else "time per pass"
        rows.append((label, spread(one), spread(other), words.percent(100 * left, 1)))
    return rows


def table_check(plan: Facts, done: Facts) -> str:
    """What the table of block times, by which the plan chose, expected, and what was measured after the removal."""
    steps, found = dicts(plan.get("steps")), [done.get(key) for key in ("speedup", "speedup_low", "speedup_high")]
    expected = ratio(steps[0], steps[plan["chosen"]], "milliseconds") if plan and plan["chosen"] < len(steps) else None
    if expected is None or not all(map(words.is_number, found)):
        return ""
    return (f"By each block’s measured time, the plan expected {expected:.2f}×. Both models timed in turn at the end: "
            f"{found[0]:.2f}× (95 % interval {found[1]:.2f} to {found[2]:.2f}).")  # fmt: skip


def ratio(one: Facts, other: Facts, key: str) -> float | None:
    a, b = one.get(key), other.get(key)
    return a / b if words.is_number(a) and words.is_number(b) and b > 0 else None


def milliseconds(one: Facts) -> str:
    value = one.get("milliseconds")
    return f"{value:.3g}{words.GAP}ms" if words.is_number(value) else words.NONE


def spread(timing: Facts) -> str:
    low, high = timing.get("low"), timing.get("high")
    around = f" ({low:.3g} to {high:.3g})" if words.is_number(low) and words.is_number(high) else ""
    return milliseconds(timing) + around


def size(count: Any) -> str:
    """3412072 -> `3.41 MB`."""
    if not words.is_number(count):
        return words.NONE
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g}{words.GAP}{name}"
    return f"{count:g}{words.GAP}bytes"
