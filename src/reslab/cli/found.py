"""The runs below a folder, each as one row: read without torch, and a damaged one is a row that says so."""

import json
import math
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, first_line
from reslab.report.folder import evaluations
from reslab.report.words import is_number, unequal
from reslab.run import MEMBERS, Run
from reslab.stored.files import present
from reslab.stored.read import read_toml

try:
    import fcntl
except ImportError:  # Windows, where a running training is not noticed
    fcntl = None  # type: ignore[assignment]

DONE = "results/train.json"
PLAN, SLIM = "results/slim-plan.json", "results/slim.json"
TAIL = 65_536  # bytes at the end of metrics.jsonl in which the last lines are looked for


@dataclass(frozen=True, kw_only=True)
class Found:
    """One run. `error`: the lower the better, None if it has none; to be compared within a `group`."""

    folder: str
    net: str = ""
    data: str = ""
    recipe: str = ""
    state: str = "finished"  # or running, stopped, prepared, planned, damaged
    several: bool = False  # a folder of `reslab slim`: its trainings are compared, not it
    iteration: int | None = None
    iterations: int | None = None
    score: str = ""  # in words
    error: float | None = None
    measure: str = ""  # of which the error is: error, f1, rmse
    validation_error: float | None = None
    n: int | None = None
    fingerprint: str = field(default="", repr=False)  # of the data
    when: float = 0.0  # seconds since 1970
    seconds: float | None = None
    fault: str = ""
    result: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def group(self) -> tuple[str, str]:
        """Runs whose errors can be compared: of the same data, and the same measure."""
        return self.fingerprint or self.data, self.measure

    @property
    def status(self) -> str:
        """When it was finished, or how far it is."""
        if self.state == "finished":
            return datetime.fromtimestamp(self.when).strftime("%Y-%m-%d %H:%M")
        if self.iteration is None:
            return self.state
        of = f" of {self.iterations:,}" if self.iterations else ""
        return f"{self.state} at iteration {self.iteration:,}{of}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        when = datetime.fromtimestamp(self.when).astimezone().isoformat(timespec="seconds")
        keys = ("folder", "net", "data", "recipe", "state", "iteration", "iterations", "score", "error", "measure",
                "validation_error", "n", "seconds", "fault")  # fmt: skip
        return {**{key: getattr(self, key) for key in keys}, "when": when}


def runs(folder: Path) -> Iterator[Found]:
    """Every run below a folder, in no order: those of images, questions and tables, of studies, and ensembles as one.

    A folder of `reslab slim` is a row, and so are the trainings in it. Links to folders are not followed, so that no
    loop is.
    """
    for place, inside, files in os.walk(folder):
        if "results" in inside and any(present(Path(place) / name) for name in (SLIM, PLAN)):
            yield read(Path(place))
            inside[:] = sorted(name for name in inside if not name.startswith("."))
            continue
        if MEMBERS in files or "spec.json" in files:
            inside.clear()
            yield read(Path(place))
        else:
            inside[:] = sorted(name for name in inside if not name.startswith("."))


def read(folder: Path) -> Found:
    """The row of one run folder."""
    run = Run(folder)
    when = changed(run)
    try:
        return _read(run, when)
    except (ReslabError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return Found(folder=str(folder), state="damaged", when=when, fault=first_line(error))


def _read(run: Run, when: float) -> Found:
    if run.has(SLIM) or run.has(PLAN):
        return slimmed(run, when)
    result = run.read_json(DONE) if run.has(DONE) else {}
    ensemble = run.has(MEMBERS)
    spec = {} if ensemble else run.read_json("spec.json")
    data = {} if ensemble else run.read_json("data.json")
    known: dict[str, Any] = {
        "folder": str(run.folder), "net": result.get("net") or spec.get("name") or "ensemble",
        "data": data.get("name") or result.get("data") or "", "recipe": recipe_of(run), "when": when, "result": result,
        "fingerprint": data.get("fingerprint") or "",
    }  # fmt: skip
    if result and (ensemble or run.has("weights.safetensors")):
        seen, _ = evaluations(run.folder, data)
        return Found(**known, **score(result, seen, classes=len(data.get("classes") or ())),
                     validation_error=result.get("validation_error"), seconds=result.get("seconds"))  # fmt: skip
    at, total = progress_of(run)
    state = "running" if locked(run) else "stopped" if at is not None else "prepared"
    return Found(**known, state=state, iteration=at, iterations=total)


def slimmed(run: Run, when: float) -> Found:
    """The row of a folder of `reslab slim`: how many blocks went, how much faster it is, or what is planned.

    It has no error to be compared by: its trainings are rows of their own.
    """
    plan = run.read_json(PLAN) if run.has(PLAN) else {}
    done = run.read_json(SLIM) if run.has(SLIM) else {}
    model, data, many = done.get("model") or {}, done.get("data") or {}, len(done.get("removed") or ())
    known: dict[str, Any] = {"folder": str(run.folder), "recipe": "slim", "when": when, "result": done,
                             "net": str(model.get("name") or plan.get("model") or ""),
                             "data": str(data.get("name") or ""), "several": True}  # fmt: skip
    if not done:
        return Found(**known, state="planned", score=f"{plan.get('chosen', 0)} of {len(plan['blocks'])} blocks to go")
    speed = f", {done['speedup']:.2f}x as fast" if is_number(done.get("speedup")) else ""
    blocks = f"{many} block{'s' * (many != 1)} removed"
    arms = [arm.get("seconds") for arm in done.get("arms") or ()]
    return Found(**known, score=f"{blocks}{speed}", seconds=sum(filter(is_number, arms)) or None)


def changed(run: Run) -> float:
    """When the run was finished, or last changed."""
    for name in (SLIM, PLAN, DONE, "metrics.jsonl", "spec.json", MEMBERS):
        try:
            return run.path(name).stat().st_mtime
        except OSError:
            continue
    return 0.0


def recipe_of(run: Run) -> str:
    """The name of the recipe, of older runs as their command says it; "" if it does not."""
    if run.has("choices.json"):
        return str(run.read_json("choices.json").get("recipe", ""))
    if not run.has("recipe.toml"):
        return ""
    try:
        with run.path("recipe.toml").open(encoding="utf-8", errors="replace") as file:
            words = shlex.split(file.readline(TAIL).removeprefix("# "))  # the command that made the folder
    except ValueError:
        return ""
    for k, word in enumerate(words):
        if word == "--recipe" and k + 1 < len(words):
            return Path(words[k + 1]).stem
        if word.startswith("--recipe="):
            return Path(word.removeprefix("--recipe=")).stem
    return ""


def score(result: dict[str, Any], seen: dict[str, Any], *, classes: int) -> dict[str, Any]:
    """The headline of the run's page: score (in words), error, measure and n; of images as last evaluated (`seen`)."""
    if is_number(seen.get("error")):
        views = seen.get("views", "single view")
        return of_images(seen, classes, start="", views="" if views == "single view" else f", {views}")
    if result.get("test_error") is not None:
        return of_images(result, classes, start="test_")
    if result.get("f1") is not None and "windows" in result:
        words = f"F1 {result['f1']:.1f}, exact {result.get('exact') or 0:.1f}"
        return {"score": words + of(result.get("test_n")), "error": 100 - result["f1"], "measure": "f1",
                "n": result.get("test_n")}  # fmt: skip
    if result.get("perplexity") is not None:
        loss, n = result.get("test_loss") or 0.0, result.get("test_n")
        return {"score": f"loss {loss:.3f} nats/token{of(n)}", "error": loss, "measure": "loss", "n": n}
    test, main = result.get("test") or {}, result.get("main") or ""
    if test.get(main) is not None:
        error = test[main] if main == "rmse" else 100 * (1 - test[main])
        return {"score": f"{main} {test[main]:.4g}{of(test.get('n'))}", "error": error, "measure": main,
                "n": test.get("n")}  # fmt: skip
    return {}


def of_images(found: dict[str, Any], classes: int, *, start: str, views: str = "") -> dict[str, Any]:
    """The error of test images, with the balanced one where the classes are very unequal."""
    error, n, balanced = found[f"{start}error"], found.get(f"{start}n"), found.get(f"{start}balanced")
    odd = unequal(balanced, found.get(f"{start}majority"), classes)
    words = f"{error:.2f} %{of(n)}{views}" + (f", balanced {balanced:.2f} %" if odd else "")
    return {"score": words, "error": error, "measure": f"error{views}", "n": n}


def of(n: int | None) -> str:
    return "" if n is None else f" (n = {n:,})"


def progress_of(run: Run) -> tuple[int | None, int | None]:
    """(the last iteration in the log, the last of the recipe), None if unknown."""
    at, pace = None, None
    for event in reversed(last_events(run)):
        if not isinstance(event.get("iteration"), int):
            continue
        at = event["iteration"] if at is None else at
        if event.get("event") == "train" and event.get("epoch"):
            pace = event["iteration"] / event["epoch"]  # iterations per epoch
            break
    if at is None:
        return None, None
    recipe = read_toml(run.path("recipe.toml")) if run.has("recipe.toml") else {}
    if recipe.get("iterations"):
        return at, int(recipe["iterations"])
    return at, math.ceil(recipe["epochs"] * pace) if pace and recipe.get("epochs") else None


def last_events(run: Run) -> list[dict[str, Any]]:
    """The last whole lines of metrics.jsonl."""
    path = run.path("metrics.jsonl")
    if not present(path):
        return []
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        lines = file.read().split(b"\n")[:-1]
    events = []
    for line in lines if size <= TAIL else lines[1:]:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events


def locked(run: Run) -> bool:
    """Whether a process trains in the folder."""
    try:
        with run.path(".lock").open("rb") as file:
            found = os.fstat(file.fileno())
            table = Path("/proc/locks")
            if table.exists():  # to take the lock for a moment could stop a training that begins just then
                device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
                return any("FLOCK" in line and f" {device} " in line for line in table.read_text().splitlines())
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False
