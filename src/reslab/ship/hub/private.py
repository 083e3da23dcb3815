"""Paths of this machine taken out of what is published."""

import re
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

# A path in a sentence: from the root, the home folder or a drive, of at least two parts; not the end of an address.
WITHIN = re.compile(r"(?<![\w:/.\\])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\'\"`;,:()\[\]{}|<>]+){2,}[/\\]?|(?<![\w])~[/\\]\S+")
# What the model itself means by a value, in any file: names of classes, categories and columns are data, not paths.
MEANT = ("classes", "values", "columns", "kinds", "shared_kinds", "target", "orders", "missing", "label_columns",
         "file_column", "part_column", "owner", "mark", "fields")  # fmt: skip
TEXTS = (".json", ".toml", ".md", ".txt")


def cleaned(value: Any) -> Any:
    """JSON data with every path of a machine as its last part; the values of MEANT as they are."""
    if isinstance(value, dict):
        return {key: one if key in MEANT else cleaned(one) for key, one in value.items()}
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    return without_paths(value) if isinstance(value, str) else value


def without_paths(text: str) -> str:
    """The text with every absolute path as its last part; other text, addresses of the web among it, is unchanged."""
    if whole(text):
        return last(text)
    return WITHIN.sub(lambda found: last(found[0]), text)


def whole(text: str) -> bool:
    """Whether a text is one absolute path, which may hold spaces."""
    if "\n" in text or not (text.startswith(("/", "~/", "\\\\")) or PureWindowsPath(text).drive[1:] == ":"):
        return False
    return len(parts(text)) > 1 or (len(parts(text)) == 1 and Path(text).exists())


def parts(text: str) -> list[str]:
    return [one for one in re.split(r"[/\\]", text) if one and one != "~" and not one.endswith(":")]


def last(text: str) -> str:
    return parts(text)[-1] if parts(text) else "."


def name_only(word: str) -> str:
    """A word for data as others may know it: a name, or the last part of a path on this machine, absolute or not."""
    if word.startswith("hf:") and not Path(word[3:]).exists():
        return word
    return last(word) if re.search(r"[/\\]", word) else word


def left_over(folder: Path, places: list[Path]) -> Iterator[tuple[str, str]]:
    """(file, path) wherever a text file of the folder still names one of these places of this machine."""
    wanted = [str(place) for place in places if len(place.parts) > 1]
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in TEXTS and path.stat().st_size < 100_000_000:
            text = path.read_text(encoding="utf-8", errors="replace")
            for place in wanted:
                if re.search(rf"{re.escape(place)}(?![\w-])", text):
                    yield path.relative_to(folder).as_posix(), place
                    break
