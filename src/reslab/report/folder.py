"""The files of a run or study folder, checked against the types of stored/records.py, so pages can rely on them."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.stored import read
from reslab.stored.files import MissingFile, present

Facts = dict[str, Any]
Points = list[tuple[float, Any]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run folder. A missing file is an empty dict; its section is omitted from the page."""

    folder: Path
    label: str
    spec: Facts = field(default_factory=dict)
    recipe: Facts = field(default_factory=dict)
    data: Facts = field(default_factory=dict)
    env: Facts = field(default_factory=dict)
    train: Facts = field(default_factory=dict)
    evaluation: Facts = field(default_factory=dict)  # of the test images of the run's own data
    others: list[Facts] = field(default_factory=list)  # of its training images, and of other data
    events: list[Facts] = field(default_factory=list)
    pictures: Facts = field(default_factory=dict)  # of the test images, of the latest evaluation
    duplicates: Facts = field(default_factory=dict)  # test images that are training images, too
    samples: Facts = field(default_factory=dict)  # the first training images, as they were augmented

    def named(self, event: str) -> list[Facts]:
        """The events of one name, in order."""
        return [e for e in self.events if e.get("event") == event]

    def points(self, event: str, key: str, *, part: str | None = None) -> Points:
        """(iteration, value) pairs of one quantity; `part` picks among evaluations."""
        found = [e for e in self.named(event) if part is None or e.get("part") == part]
        return [(e["iteration"], e[key]) for e in found if "iteration" in e and key in e]


def kind(folder: Path) -> str:
    """run, questions, table, study, grid, heads, nets, slim, claims or look. Raises UsageError for any other folder."""
    for name, found in (("study.json", "study"), ("results/compare.json", "heads"),
                        ("results/compare-tables.json", "nets"), ("results/grid.json", "grid"),
                        ("results/slim.json", "slim"), ("results/slim-plan.json", "slim"),
                        ("results/claims.json", "claims")):  # fmt: skip
        if present(folder / name):
            return found
    if present(folder / "spec.json") and os.path.isdir(folder / "results"):
        family = read_json(folder / "spec.json").get("family")
        return {"qa": "questions", "table": "table"}.get(str(family), "run")
    if present(folder / "members.json"):
        return "table"
    if any((folder / "results").glob("look-*.json")):
        return "look"
    wanted = "a run folder holds spec.json and results/, a study folder holds study.json"
    raise UsageError(f"{str(folder)!r} has nothing to report: {wanted}")


def read_run(folder: Path, *, label: str | None = None) -> Run:
    """Everything that the page of a run can show."""
    if (found := kind(folder)) not in ("run", "questions", "table"):
        what = {"study": "a study folder", "heads": "a comparison", "nets": "a comparison",
                "grid": "a folder of `reslab study grid`", "slim": "a folder of `reslab slim`",
                "claims": "a folder of `reslab claims`"}.get(found, "no run of ours")  # fmt: skip
        raise UsageError(f"{str(folder)!r} is {what}; a run folder was asked for")
    data = read_json(folder / "data.json")
    evaluation, others = evaluations(folder, data)
    train, events = read_json(folder / "results" / "train.json"), read_events(folder / "metrics.jsonl")
    read.warn_if_cut(folder / "metrics.jsonl", events, train.get("iterations"))
    return Run(
        folder=folder,
        label=label or folder.resolve().name,
        spec=read_json(folder / "spec.json"),
        recipe=_read_toml(folder / "recipe.toml"),
        data=data,
        env=read_json(folder / "env.json"),
        train=train,
        evaluation=evaluation,
        others=others,
        events=events,
        pictures=read_json(folder / "results" / "pictures.json"),
        duplicates=read_json(folder / "results" / "duplicates.json"),
        samples=read_json(folder / "results" / "samples.json"),
    )


def evaluations(folder: Path, data: Facts) -> tuple[Facts, list[Facts]]:
    """(that of the test images of the run's own data, {} without one; those of other images) of a run on images."""
    stored = [read_json(path) for path in sorted((folder / "results").glob("eval*.json"))]
    own = [found for found in stored if _is_test(found, data)]
    return own[0] if own else {}, [found for found in stored if found not in own]


def _is_test(evaluation: Facts, data: Facts) -> bool:
    """Whether an evaluation is of the test images of these data."""
    prints = {facts["fingerprint"] for facts in (evaluation.get("data"), data) if facts and facts.get("fingerprint")}
    return evaluation.get("part", "test") == "test" and len(prints) < 2


def read_json(path: Path) -> Facts:
    """The object in a JSON file of a folder, {} if there is no file. Raises ReslabError if it is damaged."""
    from reslab.stored.records import kind_of

    name = f"results/{path.name}" if path.parent.name == "results" else path.name
    try:
        found: Facts = read.read_json(path, kind_of(name))
    except MissingFile:
        return {}
    return found


def _read_toml(path: Path) -> Facts:
    try:
        return read.read_recipe(path)
    except MissingFile:
        return {}


def dicts(value: Any) -> list[Facts]:
    """The objects in what should be a list of them."""
    return [item for item in items(value) if isinstance(item, dict)]


def facts(value: Any) -> Facts:
    """An object, {} for anything else."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def read_events(path: Path) -> list[Facts]:
    """The lines of metrics.jsonl as one history.

    A resumed run starts from its checkpoint and logs the later iterations again, so a resume drops every later
    event; otherwise curves would run backwards.
    """
    try:
        lines = read.read_events(path)
    except MissingFile:
        return []
    events: list[Facts] = []
    for event in lines:
        if event["event"] == "resume":
            start = event.get("iteration", 0)
            events = [e for e in events if e.get("iteration", 0) <= start]
        events.append(event)
    return events
