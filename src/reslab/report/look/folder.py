"""Read the results of `reslab look` from a folder: one Look per model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.report.folder import Facts, dicts, facts, read_events, read_json
from reslab.report.words import is_number
from reslab.stored.files import present

VERBS = ("merges", "lesions", "paths", "influence", "readout", "responses", "gradients")


@dataclass(frozen=True, kw_only=True)
class Look:
    """The results of one model. A missing result is an empty dict; its section is omitted from the page."""

    folder: Path
    label: str
    model: Facts = field(default_factory=dict)  # from look.json
    seen: Facts = field(default_factory=dict)  # verb -> n, data, settings, command
    results: dict[str, Facts] = field(default_factory=dict)
    events: list[Facts] = field(default_factory=list)

    def __getitem__(self, verb: str) -> Facts:
        return self.results.get(verb, {})

    @property
    def merges(self) -> list[Facts]:
        """The residual connections in order; if they were not listed, those with a measurement."""
        found = dicts(self["merges"].get("merges")) or dicts(self["influence"].get("merges"))
        found = found or [{**each, "index": each.get("merge")} for each in dicts(self["lesions"].get("single"))]
        return [each for each in found if is_number(each.get("index"))]

    @property
    def layers(self) -> list[Facts]:
        """The weighted layers in order, each with all its measurements."""
        joined: dict[Any, Facts] = {}
        for verb in ("responses", "gradients"):
            for each in dicts(self[verb].get("layers")):
                key = (each.get("module"), each.get("call", 0))
                joined[key] = {**joined.get(key, {}), **each}
        for each in dicts(self["lesions"].get("layers")):
            key = (each.get("module"), 0)
            without = {"without": each.get("values"), "spread": each.get("spread"), "index": each.get("layer"),
                       "module": each.get("module")}  # fmt: skip
            joined[key] = {
                "kind": each.get("kind"),
                **without,
                **joined.get(key, {}),
                "without": each.get("values"),
                "spread": each.get("spread"),
            }
        return list(joined.values())

    @property
    def about(self) -> Facts:
        """Data and settings of the measurements, from the first verb that has them; `merges` needs no data."""
        return next((entry for verb in VERBS if (entry := facts(self.seen.get(verb))).get("data")), {})

    @property
    def data(self) -> Facts:
        return facts(self.about.get("data"))

    @property
    def commands(self) -> list[str]:
        commands = [facts(each).get("command") for each in self.seen.values()]
        return list(dict.fromkeys(str(command) for command in commands if command))


def has_results(folder: Path) -> bool:
    """Whether a folder holds results of `reslab look`."""
    return any(present(folder / "results" / f"look-{verb}.json") for verb in VERBS)


def read_look(folder: Path, *, label: str | None = None) -> Look:
    """All results for a model. Raises UsageError if there are none, ReslabError for a damaged file."""
    if not has_results(folder):
        raise UsageError(f"{str(folder)!r} holds no results of `reslab look`; run `reslab look all` on it first")
    about = read_json(folder / "look.json")
    model = facts(about.get("model"))
    results = {verb: read_json(folder / "results" / f"look-{verb}.json") for verb in VERBS}
    return Look(
        folder=folder,
        label=label or str(model.get("name") or folder.resolve().name),
        model=model,
        seen=facts(about.get("seen")),
        results={verb: found for verb, found in results.items() if found},
        events=read_events(folder / "metrics.jsonl"),
    )


def read_looks(folders: Sequence[Path]) -> list[Look]:
    """Several models; models with the same name are labeled by their folders."""
    looks = [read_look(folder) for folder in folders]
    labels = [look.label for look in looks]
    names = [folder.resolve().name for folder in folders]
    if len(set(labels)) == len(labels):
        return looks
    if len(set(names)) < len(names):
        names = [f"{folder.resolve().parent.name}/{folder.resolve().name}" for folder in folders]
    return [read_look(folder, label=name) for folder, name in zip(folders, names, strict=True)]
