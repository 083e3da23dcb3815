"""The page of `reslab slim`: what was removed, what it cost, what it brings, and what it is compared with."""

from pathlib import Path
from typing import Any

from reslab.errors import one_line
from reslab.report import words
from reslab.report.figures.arms import ABOUT, NAMES, PERCENT, TITLES, Arm, arms, between, dots, text
from reslab.report.figures.gains import cards, sizes, table_check
from reslab.report.figures.generated import generated
from reslab.report.figures.removed import block_map, order, stages_in_words
from reslab.report.figures.tradeoff import tradeoff
from reslab.report.folder import Facts, dicts, facts, items, read_json

GOALS = {"remove": "blocks to remove", "speedup": "speed-up", "max_macs": "share of the MACs to keep",
         "keep_error": "most points of error to lose"}  # fmt: skip
BY = {
    "disabling": "the measured effect of disabling each block", "influence": "block influence, 1 − cos(x, h)",
    "response": "the norm of the branch’s response", "gradient": "the gradient at the block",
    "first-order": "the first-order estimate of the loss",
}  # fmt: skip


def page(folder: Path) -> Facts:
    """What slim.html.j2 shows; without results/slim.json, the plan alone."""
    plan = read_json(folder / "results" / "slim-plan.json")
    done = read_json(folder / "results" / "slim.json")
    found = arms(done)
    figures = [tradeoff(plan, done, found) if plan else None, dots(found, str(done.get("measure")))]
    drawn = block_map(plan, done) if plan else None
    name = one_line(facts(done.get("model")).get("name") or plan.get("model") or folder.resolve().name)
    return {
        "template": "slim.html.j2",
        "title": title(name, plan, done),
        "meta": meta(plan, done),
        "plan": plan,
        "done": done,
        "cards": cards(plan, done, found),
        "figures": {figure["id"]: figure for figure in figures if figure},
        "scriptless": True,
        "map": drawn,
        "stages": stages_in_words(drawn) if drawn else "",
        "order": order(plan) if plan else None,
        "arms": [row(one, str(done.get("measure"))) for one in found],
        "measure": TITLES.get(str(done.get("measure")), str(done.get("measure"))),
        "pairs": [pair(one, str(done.get("measure"))) for one in dicts(done.get("comparisons"))],
        "corrected": any("p_holm" in one for one in dicts(done.get("comparisons"))),
        "sizes": sizes(done),
        "table_check": table_check(plan, done),
        "generation": generated(facts(done.get("generation"))),
        "assumed": assumed(plan, done),
        "notes": [one_line(note) for note in dict.fromkeys([*items(plan.get("notes")), *items(done.get("notes"))])],
        "commands": [str(command) for command in items(done.get("commands"))],
    }


def title(name: str, plan: Facts, done: Facts) -> str:
    many, of = len(items(done.get("removed"))) if done else plan.get("chosen", 0), len(items(plan.get("blocks")))
    blocks = f"{many} of {of} blocks" if of else f"{many} blocks"
    return f"{name}: {blocks} removed" if done else f"{name}: a plan to remove {blocks}"


def meta(plan: Facts, done: Facts) -> str:
    timing, environment = facts(plan.get("timing")), facts(done.get("environment"))
    parts = [facts(done.get("data")).get("name"), environment.get("device_name") or timing.get("device"),
             f"batch {timing['batch']}" if timing.get("batch") else None]  # fmt: skip
    return " · ".join(one_line(part) for part in parts if part)


def row(arm: Arm, measure: str) -> Facts:
    more = ", ".join(f"{key} {words.number(float(value))}" for key, value in arm.more.items() if key != "majority")
    return {
        "name": arm.name, "about": ABOUT.get(arm.what, ""), "value": text(measure, arm.value),
        "interval": between(measure, arm.low, arm.high), "over": arm.over,
        "epochs": f"{arm.epochs:g}" if arm.epochs else words.NONE,
        "seconds": words.duration(arm.seconds) if arm.seconds else words.NONE, "more": more,
    }  # fmt: skip


def pair(one: Facts, measure: str) -> Facts:
    unit = " points" if measure in PERCENT else ""
    difference, p = one.get("difference"), one.get("p_holm", one.get("p"))
    shown = f"{difference:+.{2 if unit else 3}f}{unit}".replace("-", "−") if words.is_number(difference) else words.NONE
    return {"names": f"{NAMES.get(one['a'], one['a'])} − {NAMES.get(one['b'], one['b'])}", "difference": shown,
            "interval": between(measure, one.get("low"), one.get("high")),
            "p": words.NONE if not words.is_number(p) else "< 0.001" if p < 0.001 else f"{p:.2g}"}  # fmt: skip


def assumed(plan: Facts, done: Facts) -> dict[str, str]:
    """What the numbers rest on."""
    timing, told = facts(plan.get("timing")), {}
    if plan:
        goal, target = str(plan.get("goal")), plan.get("target")
        told["target"] = f"{GOALS.get(goal, goal)}: {words.number(target)}" + (
            "" if plan.get("reached") is not False else " (not reached: this is the nearest)")  # fmt: skip
        told["blocks compared by"] = BY.get(str(plan.get("by")), str(plan.get("by")))
        told["planned on"] = f"{plan.get('data') or words.NONE} (n = {words.count(plan.get('n'))})"
        if words.is_number(plan.get("beam")) and plan["beam"] > 1:
            told["candidates kept at each step"] = str(plan["beam"])
        told["time to plan"] = words.duration(plan.get("seconds"))
    if timing:
        told["timed on"] = ", ".join(str(part) for part in (
            timing.get("device"), threads(timing.get("threads")),
            timing.get("precision"), f"batch {timing['batch']}" if timing.get("batch") else "",
            f"median of {timing['n']} passes" if timing.get("n") else "") if part)  # fmt: skip
    if words.is_number(done.get("difference")):
        told["difference from the model with those blocks disabled"] = words.number(float(done["difference"]))
    if done.get("form"):
        told["saved as"] = str(done["form"])
    return {key: one_line(value) for key, value in told.items()}


def threads(many: Any) -> str:
    return "" if not many else "1 thread" if many == 1 else f"{many} threads"
