"""The blocks before and after a removal, and the order in which they go."""

from collections.abc import Iterator
from typing import Any

from reslab.errors import one_line
from reslab.report import words
from reslab.report.figures.charts import SHADES, clipped
from reslab.report.figures.expected import Expected, expected
from reslab.report.figures.gains import ratio
from reslab.report.folder import Facts, dicts, facts, items
from reslab.report.look.words import Metric, small

LONGEST = 26  # characters of a block's name in the map


def gone(plan: Facts, done: Facts) -> dict[int, int]:
    """The blocks that are removed, by index, each with its place in the plan's order (from 1)."""
    order = [step.get("block") for step in dicts(plan.get("steps"))[1 : plan["chosen"] + 1]]
    if done:  # the record names them in forward order
        removed = [block["index"] for block in dicts(done.get("removed"))]
        order = [*(i for i in order if i in removed), *(i for i in removed if i not in order)]
    return {index: place for place, index in enumerate(order, 1) if isinstance(index, int)}


def block_map(plan: Facts, done: Facts) -> Facts | None:
    """The map that slim.html.j2 draws: the blocks by their container, before and after."""
    blocks, removed = dicts(plan.get("blocks")), gone(plan, done)
    if not blocks:
        return None
    names = list(dict.fromkeys(str(block.get("container") or "") for block in blocks))
    table, total = facts(plan.get("table")), facts(dicts(plan.get("steps"))[0]) if plan.get("steps") else {}
    parts = [stage(name, [b for b in blocks if str(b.get("container") or "") == name], removed, table, total,
                   f"residual{round(k * (SHADES - 2) / (len(names) - 1)) if len(names) > 1 else 2}")
             for k, name in enumerate(names)]  # fmt: skip
    return {
        "stages": parts, "several": len(parts) > 1, "removed": len(removed), "of": len(blocks),
        "fixed": any(not block.get("removable") for block in blocks),
        "branches": any(block.get("kind") == "branch" for block in blocks),
        "parts": any(block.get("kind") == "part" for block in blocks),
        "timed": bool(table),
    }  # fmt: skip


def stage(name: str, blocks: list[Facts], removed: dict[int, int], table: Facts, total: Facts, color: str) -> Facts:
    """The blocks of one container."""
    most = max((each for each in map(positive, table.values()) if each), default=0.0)
    rows = []
    for block in blocks:
        module, index = one_line(block["module"]), block["index"]
        milliseconds = table.get(str(index))
        rows.append({
            "index": index,
            "module": module,
            "name": clipped(module, LONGEST),
            "glyph": "projection" if block.get("kind") == "branch" else "identity",
            "level": int(block.get("kind") == "part"),
            "removable": block.get("removable") is True,
            "why": one_line(block.get("why") or ""),
            "place": removed.get(index),
            "time": f"{milliseconds:.3g}" if words.is_number(milliseconds) else words.NONE,
            "bar": f"--b:{100 * positive(milliseconds) / most:.3g}%" if positive(milliseconds) else "",
            "macs": share(block.get("macs"), total.get("macs")),
            "params": share(block.get("params"), total.get("params")),
        })  # fmt: skip
    left = sum(row["place"] is None for row in rows)
    return {"name": one_line(name), "left": left, "of": len(rows), "rows": rows, "color": color}


def positive(value: Any) -> float:
    """A positive number, else 0."""
    return value if words.is_number(value) and value > 0 else 0.0


def share(part: Any, whole: Any) -> str:
    if not words.is_number(part) or not words.is_number(whole) or whole <= 0:
        return words.NONE
    return words.percent(100 * part / whole, 1)


def order(plan: Facts) -> Facts | None:
    """The plan as a table: what goes, and what is left after it."""
    steps, seen = dicts(plan.get("steps")), expected(plan)
    if seen is None:
        return None
    own = Metric(str(plan["measure"]))
    others = [Metric(key) for key in facts(steps[0].get("values")) if key != seen.metric.key]
    heads = ["step", "block", seen.metric.title, f"change of the {own.name} (95 % interval)",
             *(other.title for other in others), "MACs", "parameters", "ms", "faster"]  # fmt: skip
    rows = list(lines(steps, plan["chosen"], seen, own, others))
    return {"heads": heads, "rows": rows, "more": len(steps) - 1 > plan["chosen"]}


def lines(steps: list[Facts], chosen: int, seen: Expected, own: Metric, others: list[Metric]) -> Iterator[Facts]:
    first = steps[0]
    for k, step in enumerate(steps):
        values, faster = facts(step.get("values")), ratio(first, step, "milliseconds")
        yield {
            "step": k,
            "index": step.get("block"),
            "module": one_line(step.get("module") or ""),
            "chosen": k == chosen,
            "beyond": k > chosen,
            "cells": [
                seen.metric.text(seen.values[k]) if seen.metric == own else seen.text(k),
                changed(step, own) if k else words.NONE,
                *(other.text(other.of(values)) for other in others),
                share(step.get("macs"), first.get("macs")),
                share(step.get("params"), first.get("params")),
                small(step.get("milliseconds")),
                f"{faster:.2f}×" if faster else words.NONE,
            ],
        }  # fmt: skip


def changed(step: Facts, metric: Metric) -> str:
    """`+1.2 points (+0.4 to +2.0)`."""
    value, low, high = (metric.value(step.get(key)) for key in ("change", "low", "high"))
    form = "+.1f" if metric.key == "error" else "+.3g"
    around = f" ({low:{form}} to {high:{form}})" if low is not None and high is not None else ""
    return f"{metric.more(value)}{around}".replace("-", "−")


def stages_in_words(found: Facts) -> str:
    """`Blocks that remain: layer1 3 of 9, layer2 5 of 9.`."""
    parts = [
        f"{stage['name'] or 'the model itself'} {stage['left']} of {stage['of']}" for stage in items(found["stages"])
    ]
    return f"Blocks that remain: {', '.join(parts)}."
