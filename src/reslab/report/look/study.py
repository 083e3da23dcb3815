"""Results of `look` in a study: its deepest residual net, the deepest plain net that learned, all nets' responses."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reslab.report.folder import Facts, facts
from reslab.report.look.folder import Look, has_results, read_look
from reslab.report.look.lesions import lesions
from reslab.report.look.paths import paths
from reslab.report.look.signal import responses
from reslab.report.words import is_number, percent
from reslab.stored.files import present

LEARNED = 50.0  # % of training error: a plain net above it has not learned, so its lesions show nothing
OF_GUESSING = 1 / 1.8  # nor has one above this share of the error of guessing: 50 % of ten classes, 28 % of two


def look_inside(folder: Path, runs: Sequence[Facts], *, classes: int = 0) -> Facts | None:
    """What study.html.j2 shows of the runs with results of `reslab look`; None if there are none.

    `classes`: how many the data have; 0 if that is unknown.
    """
    limit = min(LEARNED, OF_GUESSING * 100 * (1 - 1 / classes)) if classes > 1 else LEARNED
    seen = [run for run in runs if isinstance(run.get("folder"), str) and has_results(place(folder, run))]
    pair = twins(seen, limit)
    looks = [read(folder, run) for run in pair]
    all_of_one_seed = [read(folder, run) for run in seen if pair and run.get("seed") == pair[0].get("seed")]
    residual = [look for look in looks if look.merges]
    found = [lesions(looks) if looks else None, paths(looks) if residual else None,
             responses(all_of_one_seed) if len(all_of_one_seed) > 1 else None]  # fmt: skip
    sections = [section for section in found if section]
    if not sections:
        return None
    pages = [{"label": look.label, "href": f"{look.folder.name}/look.html"} for look in all_of_one_seed
             if present(look.folder / "look.html")]  # fmt: skip
    return {"names": [look.label for look in looks], "seed": pair[0].get("seed"), "sections": sections, "pages": pages,
            "why": why(runs, pair, limit), "n": facts(looks[0]["lesions"]).get("n")}  # fmt: skip


def twins(runs: Sequence[Facts], limit: float) -> list[Facts]:
    """The deepest residual run (lowest seed) and the deepest plain run of that seed that learned.

    If none learned, the plain run of the same depth.
    """
    known = [run for run in runs if is_number(run.get("depth"))]
    residual = sorted((run for run in known if run.get("kind") == "residual"), key=order)[:1]
    chosen = residual or sorted(known, key=order)[:1]
    if not chosen:
        return []
    plain = [run for run in known if run.get("kind") == "plain" and run is not chosen[0]
             and order(run)[1] == order(chosen[0])[1] and run["depth"] <= chosen[0]["depth"]]  # fmt: skip
    beside = [run for run in plain if learned(run, limit)] or [
        run for run in plain if run["depth"] == chosen[0]["depth"]
    ]
    return chosen + sorted(beside, key=order)[:1]


def learned(run: Facts, limit: float) -> bool:
    """Whether the training error is at most `limit`, in percent, or unknown."""
    error = run.get("train_error")
    return not is_number(error) or error <= limit


def why(runs: Sequence[Facts], pair: Sequence[Facts], limit: float) -> str:
    """Why the plain net shown is shallower than the residual one; "" if it is not."""
    if len(pair) < 2 or pair[1]["depth"] == pair[0]["depth"]:
        return ""
    passed = [run for run in runs if run.get("kind") == "plain" and run.get("seed") == pair[0].get("seed")
              and is_number(run.get("depth")) and pair[1]["depth"] < run["depth"]
              and not learned(run, limit)]  # fmt: skip
    each = [f"{run.get('net')} did not learn (training error {percent(run['train_error'])})"
            for run in sorted(passed, key=order)]  # fmt: skip
    return f"{', '.join(each)}, so {pair[1].get('net')} is shown beside {pair[0].get('net')}." if each else ""


def order(run: Facts) -> tuple[float, float]:
    """The deepest first, then the lowest seed."""
    seed = run.get("seed")
    return -run["depth"], seed if is_number(seed) else 0


def place(folder: Path, run: Facts) -> Path:
    return folder / Path(run["folder"]).name  # a run of the study is in its folder, whatever path the file has


def read(folder: Path, run: Facts) -> Look:
    """The run's results, labeled with its net's name."""
    found = read_look(place(folder, run))
    return replace(found, label=str(run.get("net") or found.label))
