"""Whether files that are predicted are those that a run was trained on, by their paths."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError
from reslab.images.data.words import is_list
from reslab.images.sources.columns import Asked, choose
from reslab.images.sources.layout import find
from reslab.images.sources.list_table import read_list
from reslab.images.sources.listed import rows_of
from reslab.images.sources.tags import tags_of
from reslab.run import Run

FIFTH = " (four fifths of its images)"  # a fixed fifth was held out
BETTER = "a net knows its training images better than new ones"


def trained_on(run: Run, files: Sequence[str]) -> str:
    """What to say of files that are among the run's training images, or in their folder; "" if none is."""
    about = run.read_json("data.json")
    word, options = str(about.get("word", "")), about.get("options") or {}
    try:
        if os.path.isabs(word) and is_list(word):
            n, where = in_list(word, options, files)
        elif os.path.isabs(word) and os.path.isdir(word):
            n, where = in_folder(word, options, files)
        else:
            return ""
    except (ReslabError, OSError):  # the data have changed since
        return ""
    if not n:
        return ""
    which = f"{n:,} of the {len(files):,} images" if n < len(files) else f"the image{'s' * (n > 1)}"
    return f"{which} {'is' if n == 1 else 'are'} in {where}: {BETTER}"


def in_folder(root: str, options: Mapping[str, Any], files: Sequence[str]) -> tuple[int, str]:
    """How many of the files lie in the training part of a folder, and its name."""
    layout = find(Path(root), options.get("level"))
    within = os.path.join(os.path.realpath(root), layout.train, "")  # the last part adds a separator
    folders = {folder: os.path.realpath(folder) for folder in {os.path.dirname(file) for file in files}}
    n = sum(os.path.join(folders[os.path.dirname(file)], "").startswith(within) for file in files)
    return n, f"{within.rstrip(os.sep)}, which the run was trained on{'' if layout.test else FIFTH}"


def in_list(word: str, options: Mapping[str, Any], files: Sequence[str]) -> tuple[int, str]:
    """How many of the files are training images of a list, and its name."""
    read = read_list(Path(word))
    table, folder = read.table, Path(options.get("root") or read.folder)
    separator, labels = options.get("label_separator"), tuple(options.get("label_columns") or ())
    asked = Asked(file=options.get("file_column"), labels=labels, part=options.get("part_column") or read.part,
                  separator=separator)  # fmt: skip
    columns = choose(table, asked)
    rows = rows_of(table, columns, tags_of(table, columns, separator), folder)
    known = {os.path.realpath(folder / row.name) for row in rows if row.part in (None, "train")}
    parts = {row.part for row in rows}
    share = "" if len(parts) > 1 else FIFTH
    return sum(os.path.realpath(file) in known for file in files), f"{word}, which the run was trained on{share}"
