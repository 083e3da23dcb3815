"""What a checkpoint belongs to: the recipe, net and data of its run folder, which it holds and resuming compares."""

from collections.abc import Mapping
from typing import Any

from reslab.errors import ReslabError, Sentence, arg, tell
from reslab.run import Run
from reslab.stored.read import read_json, read_toml
from reslab.stored.typed import brief
from reslab.train.checkpoint import LAST, read_last

FILES = ("recipe.toml", "spec.json", "data.json", "table.json")  # table.json: of an estimator that fits in a folder
PLACES = ("word", "name", "about", "root", "text", "test_word")  # where the data lie: their content has a fingerprint
SHOWN = 3  # differences in a sentence


def state_to_resume(run: Run) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]]]:
    """(the last checkpoint, or None; what the next ones belong to). Raises ReslabError if the two differ."""
    saved, of = read_last(run), belonging(run)
    if saved:
        refuse_unlike(run, saved.get("of"), of)
    return saved, of


def belonging(run: Run) -> dict[str, dict[str, Any]]:
    """The settings in a run folder's files that decide what is trained, by file and key."""
    found: dict[str, dict[str, Any]] = {}
    for name in FILES:
        if run.has(name):
            path = run.path(name)
            content = read_toml(path) if path.suffix == ".toml" else read_json(path)
            found[name] = plain(content, leave=PLACES if name == "data.json" else ())
    return found


def plain(content: Mapping[str, Any], leave: tuple[str, ...], before: str = "") -> dict[str, Any]:
    """The values by the path of their keys, "reading.stride", without some keys at any level."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if key in leave:
            continue
        if isinstance(value, dict) and value:
            found |= plain(value, leave, f"{before}{key}.")
        else:
            found[before + key] = value
    return found


def refuse_unlike(run: Run, of: Mapping[str, Mapping[str, Any]] | None, now: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ReslabError if the checkpoint's settings are not the folder's; `of` is None in those of older versions."""
    last = run.path(LAST)
    if of is None:
        tell("%s is of an older version of reslab: a recipe, net or data that was changed "
                                         "since cannot be noticed", last)  # fmt: skip
        return
    for name, then in of.items():  # an estimator writes spec.json after the last one
        here = now.get(name, {})
        differ = [f"{key}: {shown(then, key)} there, {shown(here, key)} in {name}"
                  for key in {**then, **here} if then.get(key, KEYLESS) != here.get(key, KEYLESS)]  # fmt: skip
        if differ:
            more = f"; and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
            new = Sentence("in a new run that starts from these weights: ", arg("start", str(run.folder)))
            what = "data" if name == "data.json" else "net or recipe"
            raise ReslabError(f"{last} is of another {what} than this folder's ({'; '.join(differ[:SHOWN])}{more}); "
                              f"restore {name} to resume, or train with the changed settings ", new)  # fmt: skip


KEYLESS = object()


def shown(values: Mapping[str, Any], key: str) -> str:
    """A setting in a sentence."""
    return brief(values[key]) if key in values else "none"
