"""A MODEL word -> what its family brings to an export; words that name no model to export, in one sentence each."""

from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError
from reslab.run import MEMBERS
from reslab.ship.export.subjects import subject
from reslab.ship.exportable import Exportable
from reslab.ship.folder import is_exported, read_config
from reslab.stored.files import named, present


def exportable(word: str, **options: Any) -> Exportable:
    """What the model's family brings; the options are those of `subjects.subject`.

    Raises UsageError for a word that names no model, or one that cannot be exported.
    """
    refuse(Path(word).expanduser(), word)
    return subject(word, **options)


def refuse(path: Path, word: str) -> None:
    """Raise UsageError for a folder that holds something else than one trained model."""
    if not path.is_dir():
        return
    shown = named(word)
    if is_exported(path):
        raise UsageError(f"{shown} is an exported folder already; export the model that it was made of, {of(path)}")
    if present(path / "study.json"):
        first = next(iter(sorted(one.parent for one in path.glob("*/spec.json"))), path / "RUN")
        raise UsageError(f"{shown} is the folder of a study; export one of its runs, such as {named(first)}")
    whole = present(path / "spec.json") or present(path / MEMBERS) or present(path / "config.json")
    if not whole and (present(path / "results/slim.json") or present(path / "results/slim-plan.json")):
        inner = path / "model"
        if inner.is_dir():
            raise UsageError(f"{shown} is the folder of a slimming; export the model in it, {named(inner)}")
        raise UsageError(f"{shown} is the folder of a slimming that is not finished; finish it, then export its model/")
    if present(path / "spec.json") and not present(path / "weights.safetensors"):
        raise UsageError(f"{shown} is a run that is not finished: resume its training, then export it")


def of(path: Path) -> str:
    """The word of which an exported folder was made."""
    try:
        return named(read_config(path).word)
    except ReslabError:  # damaged: it is no word either way
        return "its run"
