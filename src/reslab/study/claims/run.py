"""Run a plan of claims: do what is not done yet, measure, judge, and store what the page shows."""

import datetime
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from reslab.errors import ReslabError, Sentence, UsageError, arg, first_line
from reslab.progress import Rows, quiet
from reslab.run import Run, environment
from reslab.stored import claims as stored
from reslab.stored.write import explained
from reslab.study.claims.agree import RESULT, read
from reslab.study.claims.experiments import experiment
from reslab.study.claims.joined import lost
from reslab.study.claims.judge import FAMILIES, Judgment, judge
from reslab.study.claims.plan import Planned
from reslab.study.claims.prepare import QUICK, Prepared
from reslab.study.claims.record import Measured
from reslab.study.claims.words import group
from reslab.study.grid import Cell, Found
from reslab.study.grid import plan as plan_cells
from reslab.study.grid import run as run_cells
from reslab.train.folder import pick_device
from reslab.train.signals import Interrupted

CACHE = "cells"  # beside the folders of claims


def claims(
    out: Path | str, ready: Prepared, *, cache: Path | None = None, device: str = "auto", command: str = "",
    commands: Callable[[str], str] = lambda name: "", rows: Rows = quiet,
    say: Callable[[str], None] = lambda text: None,
) -> stored.Claims:  # fmt: skip
    """Run a plan (`prepare`); returns the content of results/claims.json, which is written under `out`.

    cache: the folder of what is finished, shared by all runs; default: `cells`, beside `out`. What is finished is never
    run twice, so the same plan resumes. command: of the run, for the page; commands: of one claim by its name. A claim
    whose cells fail is not run, and says why. Raises UsageError for a folder of something else; Interrupted after a
    signal, when the claims whose cells are all done have been judged and stored.
    """
    folder = Run(out)
    refuse_another(folder)
    if folder.has(RESULT) and (gone := left_out(folder.folder, ready)):
        raise lost(folder.folder, gone, "they are not in this plan")
    place = pick_device(device)
    cache = cache or folder.folder.parent / CACHE
    with explained(folder.folder):
        folder.make()
    began = time.perf_counter()
    failures: dict[Cell, Sentence] = {}
    known = str(plan_cells(ready.cells, cache, jobs=ready.costs.jobs))  # `ready` tells the cost on this machine
    stopped: Interrupted | None = None
    try:
        found = run_cells(ready.cells, cache, jobs=ready.costs.jobs, device=device, rows=rows,
                          say=lambda text: None if text == known else say(text), failures=failures)  # fmt: skip
    except Interrupted as error:
        stopped, found = error, dict(plan_cells(ready.cells, cache).found)
    content = gathered(ready, found, failures, commands=commands)
    content["command"] = command
    content["env"] = environment(str(place), 1)  # type: ignore[typeddict-item]
    content["wall_seconds"] = time.perf_counter() - began
    folder.write_json(RESULT, content)
    if stopped:
        raise stopped
    return content


def refuse_another(folder: Run) -> None:
    """Raise UsageError if the folder holds something other than claims."""
    if folder.folder.is_dir() and not folder.has(RESULT) and any(folder.folder.iterdir()):
        left = [path for path in folder.folder.iterdir() if path.name != "results" or any(path.iterdir())]
        if left:
            raise UsageError(f"{folder.folder} is not empty and holds no claims; choose another ", arg("folder"))


def left_out(folder: Path, ready: Prepared) -> list[str]:
    """The claims whose verdicts the folder holds and the plan does not."""
    now = {one.claim.name for one in ready.runs}
    return [one["name"] for one in read(folder)["claims"] if one["verdict"] != "not run" and one["name"] not in now]


def gathered(
    ready: Prepared, found: Mapping[Cell, Found], failures: Mapping[Cell, Sentence], *, commands: Callable[[str], str]
) -> stored.Claims:
    """Measure and judge every claim whose cells are done."""
    runs, measured = [], []
    for one in ready.runs:
        result = measured_of(one, found, failures)
        runs.append(one if isinstance(result, Measured) else replace(one, why_not=one.why_not or result))
        measured.append(result if isinstance(result, Measured) else None)
    pairs = [(one.claim, what) for one, what in zip(runs, measured, strict=True) if what is not None]
    judged = iter(judge([claim for claim, _ in pairs], [what for _, what in pairs]))
    listed = [content_of(one, what, next(judged) if what is not None else None, found)
              for one, what in zip(runs, measured, strict=True)]  # fmt: skip
    for stored_one in listed:
        stored_one["group"] = group(ready.papers[stored_one["paper"]])
        stored_one["command"] = commands(stored_one["name"])
    seconds = sum({cell.key: result.seconds for cell, result in found.items()}.values())
    return {
        "claims": listed,
        "papers": [paper for key, paper in ready.papers.items() if key in {one.claim.paper for one in runs}],
        "data": ready.asked.data.describe(),  # type: ignore[typeddict-item]
        "edition": "quick" if ready.asked.word in QUICK else "full",
        "seeds": sorted({seed for one in runs for seed in one.seeds if one.cells}),
        "families": FAMILIES,
        "notes": ready.notes,
        "created": datetime.date.today().isoformat(),
        "seconds": seconds,
    }


def measured_of(one: Planned, found: Mapping[Cell, Found], failures: Mapping[Cell, Sentence]) -> Measured | str:
    """What the claim's experiment found, or why there is nothing."""
    if not one.cells:
        return one.why_not
    if missing := [cell for arm in one.cells.values() for cell in arm if cell not in found]:
        failed = next((failures[cell] for cell in missing if cell in failures), None)
        return "stopped before its cells were done: the same command resumes" if failed is None else str(failed)
    try:
        results = {arm: [found[cell] for cell in cells] for arm, cells in one.cells.items()}
        return experiment(one.claim.experiment).measure(one.settings, one.seeds, results)
    except ReslabError as error:
        return str(error)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"its cells' results cannot be measured: {type(error).__name__}: {first_line(error)}"


def content_of(
    one: Planned, what: Measured | None, judgment: Judgment | None, found: Mapping[Cell, Found]
) -> stored.Claim:
    """One claim as results/claims.json holds it."""
    claim = one.claim
    return {
        "name": claim.name, "title": claim.title, "paper": claim.paper, "where": claim.where,
        "sentence": claim.sentence, "formula": claim.formula, "meaning": list(claim.meaning),
        "prediction": asdict(claim.prediction),  # type: ignore[typeddict-item]
        "fixed": claim.fixed, "hash": claim.hash, "experiment": claim.experiment, "settings": dict(one.settings),
        "verdict": judgment.verdict if judgment else "not run",
        "answer": judgment.answer if judgment else "", "why_not": "" if judgment else one.why_not,
        "judged": judgment.judged if judgment else None,
        "figure": asdict(what.figure) if what else None,  # type: ignore[typeddict-item]
        "numbers": dict(what.numbers) if what else {},
        "deviations": [*(one.deviations or claim.deviations), *(what.deviations if what else ())],
        "turns": claim.turns,
        "seconds": sum(found[cell].seconds for cell in one.all_cells if cell in found),
    }  # fmt: skip
