"""Print what `reslab slim` has done in a few lines; the page has the rest."""

from typing import Any

from reslab.cli import say
from reslab.report import words
from reslab.report.figures.arms import TITLES, Arm, arms, between, text
from reslab.report.figures.gains import milliseconds, ratio, size
from reslab.report.figures.generated import generated
from reslab.report.folder import Facts, facts


def result(done: Facts) -> None:
    """Each model's measure with its interval, then time, MACs and file before -> after, and which training wins."""
    measure, removed = str(done["measure"]), len(done.get("removed") or ())
    print(f"{facts(done.get('model')).get('name')}: {removed} block{'s' * (removed != 1)} removed")
    columns = ("model", TITLES.get(measure, measure).partition(" (")[0], "95 % interval", "over", "epochs")
    say.table(columns, [row(arm, measure) for arm in arms(done)])
    before, after = facts(done["before"]), facts(done["after"])
    one, other = facts(before.get("timing")), facts(after.get("timing"))
    low, high, faster = (done.get(key) for key in ("speedup_low", "speedup_high", "speedup"))
    if all(map(words.is_number, (low, high, faster))):
        print(plain(f"time: {milliseconds(one)} -> {milliseconds(other)} per batch of {one.get('batch')}; timed in "
                    f"turn {faster:.2f}x as fast (median, 95 % interval {low:.2f} to {high:.2f})"))  # fmt: skip
    kept = ratio(after, before, "macs")
    left = f" ({100 * kept:.0f} % remain)" if kept else ""
    print(plain(f"MACs per example: {words.short(before.get('macs'))} -> {words.short(after.get('macs'))}{left}; "
                f"file: {size(before.get('bytes'))} -> {size(after.get('bytes'))}"))  # fmt: skip
    print(plain(done.get("verdict")))
    for note in done.get("notes") or ():
        print(f"note: {plain(note)}")
    written(facts(done.get("generation")))
    print(f"model:  {done.get('loads')}")


def written(found: Facts) -> None:
    """What a language model writes after the removal, and the warning that belongs to it."""
    shown = generated(found)
    if shown is None:
        return
    for one in shown["rows"]:
        around = f" (95 % interval {one['interval']})" if one["interval"] else ""
        intact = f"; intact {one['intact']}" if one["intact"] else ""
        print(plain(f"{one['title']}: {one['slim']}{around}{intact}"))
    if shown["warning"]:
        print(f"warning: {shown['warning']}")


def row(arm: Arm, measure: str) -> tuple[str, ...]:
    cells = (arm.name, text(measure, arm.value), between(measure, arm.low, arm.high), arm.over,
             f"{arm.epochs:.3g}" if arm.epochs else "–")  # fmt: skip
    return tuple(map(plain, cells))


def plain(sentence: Any) -> str:
    """Without the spaces that hold a number and its unit together on a page."""
    return str(sentence).replace(words.GAP, " ").replace("−", "-")
