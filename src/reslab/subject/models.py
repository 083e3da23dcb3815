"""MODEL words: a run of a table also needs its rows; every other word is loaded by nets.words."""

import os
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.nets import words
from reslab.nets.published import PREFIX, folder_of
from reslab.nets.words import Loaded
from reslab.run import Run, slug


def load(word: str, *, weights: bool | None = None, **options: Any) -> Loaded:
    """Like `nets.words.load`; for a run of a table, the net after its columns."""
    path = Path(os.path.expanduser(word))
    if word.startswith(PREFIX):
        path = folder_of(word) or path
    if path.is_dir() and (run := Run(path)).has("spec.json") and run.read_json("spec.json").get("family") == "table":
        return of_table(word, run, weights)
    return words.load(word, weights=weights, **options)


def of_table(word: str, run: Run, weights: bool | None) -> Loaded:
    """The trained net of a table's run after its columns, with the test rows as its inputs and their classes.

    Raises ReslabError if the table has changed since: its test rows may then be others.
    """
    from reslab.tables.model import load as load_model
    from reslab.tables.train import stored_data

    if weights is False:
        raise UsageError(f"{word} holds a net for tables, which is only measured with its trained weights")
    model = load_model(run.folder, device="cpu")
    rows = stored_data(run)
    module, inputs = model.inside(rows.frames["test"])
    labels = model.target.encode(rows.values["test"]) if model.target.kind == "classes" else None
    notes = ("a net for tables, measured after its columns: its inputs are the column vectors of the test rows",)
    return Loaded(model=module, kind="own", word=word, name=slug(run.folder.resolve().name), example=inputs,
                  labels=labels, notes=notes)  # fmt: skip
