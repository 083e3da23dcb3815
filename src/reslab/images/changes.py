"""What differs between the data that a run was trained on and the data as they are now, in words."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reslab.images.data.images import Encoded, ImageData
from reslab.images.sources.encoded import Files
from reslab.images.sources.tars.members import Members
from reslab.run import Run

SHOWN = 3  # differences in a sentence
PARTS = {"train": "training", "validation": "validation", "test": "test"}


def changes(run: Run, data: ImageData) -> str:
    """The differences between a run's data.json and the data, and which files are newer than the run."""
    then = run.read_json("data.json")
    found = list(differences(then, data.describe(), together=data.split))
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    words = ", ".join(found[:SHOWN]) + more
    if not words and "counts" in then:
        words = "as many images of each class as then, so some were replaced or changed"
    since = run.path("data.json").stat().st_mtime
    newer = [path for path in dict.fromkeys(files(then.get("word", ""), data)) if modified(path) > since]
    if newer:
        new = f"{len(newer):,} file{'s are' if len(newer) > 1 else ' is'} newer than the run, such as {newer[0]}"
        words = f"{words}; {new}" if words else new
    return words


def differences(then: Mapping[str, Any], now: Mapping[str, Any], *, together: bool = False) -> Iterator[str]:
    """What two descriptions of data say differently: classes, shape, images of each class and part.

    `together`: the parts are our own split, which one more image makes another one, so only their sum tells.
    """
    several = {True: "several labels per image", False: "one class per image"}
    if bool(then.get("several")) != bool(now.get("several")):
        yield f"{several[bool(then.get('several'))]} then, {several[bool(now.get('several'))]} now"
    before, after = list(then.get("classes") or ()), list(now["classes"])
    one = "label" if now.get("several") else "class"
    gone, more = ([name for name in some if name not in other] for some, other in ((before, after), (after, before)))
    for what, names in (("gone", gone), ("new", more)):
        if names:
            many = ("labels" if one == "label" else "classes") if len(names) > 1 else one
            yield f"{what} {many}: {', '.join(names[:SHOWN])}{', ...' * (len(names) > SHOWN)}"
    if then.get("shape") not in (None, now["shape"]):
        yield "images of {} then, {} now".format(*(shape(found["shape"]) for found in (then, now)))
    for parts, name in ((tuple(PARTS), ""),) if together else (((part,), f"{word} ") for part, word in PARTS.items()):
        old, new = (by_class(found, parts) for found in (then, now))
        if old and new:
            for label in (label for label in old if label in new and old[label] != new[label]):
                yield f"{name}images of {label}: {old[label]:,} then, {new[label]:,} now"
        elif (was := total(then, parts)) != (here := total(now, parts)):
            yield f"{name}images: {was or 'none'} then, {here or 'none'} now"


def by_class(found: Mapping[str, Any], parts: Sequence[str]) -> dict[str, int]:
    """The images of each class in these parts; {} where that is not stored."""
    classes, counts = found.get("classes") or (), found.get("counts") or {}
    some = [counts[part] for part in parts if part in counts]
    return dict(zip(classes, map(sum, zip(*some, strict=False)), strict=False))


def total(found: Mapping[str, Any], parts: Sequence[str]) -> int:
    return sum(found.get(part) or 0 for part in parts)


def shape(found: list[int]) -> str:
    """`RGB 32x32`."""
    return f"{'RGB' if found[0] == 3 else 'gray'} {found[1]}x{found[2]}"


def files(word: str, data: ImageData) -> Iterator[Path]:
    """The files that the data were read from: the list or parquet file itself, and the image files."""
    if word and Path(word).is_file():
        yield Path(word)
    for part in data.parts.values():
        encoded = part if isinstance(part, Encoded) else part.files
        if encoded is not None and isinstance(encoded.sources, Files):
            for row in encoded.rows.tolist():
                yield encoded.sources[row]
        elif encoded is not None and isinstance(encoded.sources, Members):
            yield from encoded.sources.shards


def modified(path: Path) -> float:
    """When a file was changed last; 0 if it is not there."""
    try:
        return path.stat().st_mtime
    except (OSError, ValueError):
        return 0.0
