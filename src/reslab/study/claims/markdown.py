"""The verdicts of a run as Markdown, for docs/claims.md."""

import re

from reslab.stored.claims import Claim, Claims, decisive
from reslab.study.claims.judge import number, with_unit

MARKS = {"holds": "holds", "contradicted": "**contradicted**", "not shown": "not shown", "equivalent": "equivalent",
         "not run": "not run"}  # fmt: skip


def markdown(found: Claims) -> str:
    """A line of how it was run, then one table with a row per claim."""
    listed = found["claims"]
    verdicts = [one["verdict"] for one in listed]
    counts = ", ".join(f"{verdicts.count(kind)} {kind}" for kind in MARKS if kind in verdicts)
    env, seeds = found.get("env", {}), found.get("seeds", [])
    machine = ", ".join(str(part) for part in (env.get("device_name"), f"torch {env.get('torch')}") if part)
    span = f"seeds {min(seeds)} to {max(seeds)}" if seeds else "no seeds"
    head = (f"`{found.get('command', '')}`: {len(listed)} claims, {counts}; {span}; "
            f"{(found.get('seconds') or 0) / 60:.1f} CPU minutes ({machine}).")  # fmt: skip
    lines = [
        "| claim | paper | verdict | effect (95 % interval) | predicted | n | p (Holm) |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([head, "", *lines, *map(row, listed)])


def row(one: Claim) -> str:
    cells = [
        f"{plain(one['title'])} (`{one['name']}`)",
        plain(one.get("group", "")),
        MARKS[one["verdict"]],
        *numbers(one),
    ]
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """A text of a claim's file in a cell of Markdown, on one line: no tag, link or emphasis of it takes effect."""
    shown = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|`*_\[\]~])", r"\\\1", shown)


def numbers(one: Claim) -> list[str]:
    """Effect, prediction, n and p; for a claim that was not run, why."""
    asked, judged = one["prediction"], one.get("judged")
    unit = plain(asked["unit"])
    line = with_unit(asked["threshold"], unit)
    expected = {"above": f"above {line}", "below": f"below {line}", "exact": line,
                "same": f"{line} ± {number(asked['margin'])}"}[asked["direction"]]  # fmt: skip
    if judged is None:
        return [plain(one.get("why_not", "")), expected, "", ""]
    mean, low, high, p = (judged.get(key) for key in (
        "mean", "low", "high", decisive(one["verdict"], asked["direction"])))  # fmt: skip
    if mean is None:
        return [plain(one.get("answer", "")), expected, str(judged["n"]), ""]
    between = "" if low is None or high is None else f" ({number(low)} to {number(high)})"  # type: ignore[arg-type]
    shown = "" if p is None else f"{p:.2g}" if p >= 1e-4 else "< 0.0001"  # type: ignore[operator]
    return [f"{with_unit(mean, unit)}{between}", expected, str(judged["n"]), shown]  # type: ignore[arg-type]
