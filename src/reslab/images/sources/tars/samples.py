"""Which members of a shard make an example: one image and one label under one key, as WebDataset writes them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from reslab.errors import ReslabError, UsageError
from reslab.images.sources.labels import NAMES
from reslab.images.sources.scan import EXTENSIONS, HIDDEN, Scan, is_hidden
from reslab.images.sources.tars.headers import Member, members, read
from reslab.stored.files import named

IMAGES = frozenset(ending.removeprefix(".") for ending in EXTENSIONS)
KINDS = ("cls", "json", "txt")  # of labels, by choice
STATED = ("label", "labels", "class")  # keys of a .json that must agree with the .cls beside it
WHOLE = re.compile(r"(-?[0-9]{1,18})(?:\.0*)?")
LONGEST = 1000  # characters of a class name
LARGEST = 2**20  # bytes of a member with a label
PICKLES = frozenset(("pyd", "pickle", "pkl", "pth", "pt", "pyc", "joblib", "dill"))
NOT_FILES = "not a regular file"
Value = int | str | tuple[int | str, ...]
"""A label: the number or name of a class, or several of them."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An image and its label."""

    image: Member
    label: Value
    ending: str  # of the member that holds the label


@dataclass
class _Open:
    """The members of a key that have come so far."""

    key: str
    image: Member | None = None
    labels: dict[str, Member] = field(default_factory=dict)  # by extension
    others: list[str] = field(default_factory=list)


def samples(path: Path, file: BinaryIO, size: int, ignored: Scan) -> Iterator[Sample]:
    """The examples of a shard in order; what is not used is counted in `ignored`.

    A name is split at the first dot of its last part: `cat/1.left.jpg` is the member left.jpg of the key `cat/1`.
    Raises ReslabError, which names shard and member, for two members of one name, a key that comes again later, two
    images of one key, an image without a label and the reverse.
    """
    now: _Open | None = None
    seen: set[str] = set()
    for member in members(path, file, size):
        folder, _, last = member.name.rpartition("/")
        stem, dot, ending = last.partition(".")
        if hidden(member.name):
            ignored.ignore(HIDDEN, member.name)
            continue
        if not member.regular:
            ignored.ignore(NOT_FILES, member.name)
            continue
        if not (stem and dot):
            ignored.ignore("no extension", member.name)
            continue
        key = f"{folder}/{stem}" if folder else stem
        if now is None or now.key != key:
            if now is not None:
                yield from closed(path, file, now)
            if key in seen:
                raise ReslabError(f"{named(path)} has members of the key {named(key)} in two places, the second at "
                                  f"{named(member.name)}; the members of an example must be neighbors")  # fmt: skip
            seen.add(key)
            now = _Open(key)
        put(path, now, member, ending.lower(), ignored)
    if now is not None:
        yield from closed(path, file, now)


def hidden(name: str) -> bool:
    """Whether a part of the name is one that a system gives to its own files; . and .. are only names here."""
    return any(is_hidden(part) for part in name.split("/") if part not in (".", ".."))


def put(path: Path, now: _Open, member: Member, ending: str, ignored: Scan) -> None:
    """Add a member to its key."""
    if ending in IMAGES:
        if now.image is not None:
            what = f"the member {named(member.name)} twice"
            if now.image.name != member.name:
                what = f"two images of the key {named(now.key)}: {named(now.image.name)} and {named(member.name)}"
            raise ReslabError(f"{named(path)} has {what}; write it again with one")
        now.image = member
    elif ending in KINDS:
        if ending in now.labels:
            raise ReslabError(f"{named(path)} has the member {named(now.labels[ending].name)} twice; write it again "
                              "with one")  # fmt: skip
        now.labels[ending] = member
    else:
        now.others.append(ending)
        ignored.ignore(f".{ending} (pickled: never read)" if ending.rpartition(".")[2] in PICKLES else f".{ending}",
                       member.name)  # fmt: skip


def closed(path: Path, file: BinaryIO, now: _Open) -> Iterator[Sample]:
    """The example of a key whose members have all come; nothing where neither an image nor a label is among them."""
    if now.image is None:
        if now.labels:
            first = next(iter(now.labels.values())).name
            dotted = next((one for one in now.others if one.rpartition(".")[2] in IMAGES), None)
            why = f", only .{dotted} (a name is split at its first dot)" if dotted else ""
            raise ReslabError(f"{named(path)}: the member {named(first)} has no image beside it{why}; write the image, "
                              "or leave the label out (the members of an example must be neighbors)")  # fmt: skip
        return
    for kind in KINDS:
        if kind in now.labels and (label := label_of(path, file, now.labels[kind], kind, now)) is not None:
            if kind == "cls" and "json" in now.labels:
                refuse_other(path, label, now.labels["json"], beside(file, now.labels["json"]))
            yield Sample(image=now.image, label=label, ending=kind)
            return
    raise ReslabError(f"{named(path)}: the image {named(now.image.name)} has no label beside it: write it as "
                      f"{named(now.key)}.cls, .json with the key label, or .txt, next to the image")  # fmt: skip


def beside(file: BinaryIO, member: Member) -> list[Any]:
    """The labels that a .json beside a .cls states: none of a .json that holds other things."""
    try:
        value = json.loads(read(file, member.offset, member.size)) if member.size <= LARGEST else None
    except (ValueError, RecursionError):
        return []
    if isinstance(value, dict):
        value = next((value[key] for key in STATED if key in value), None)
    found = value if isinstance(value, list) else [value]
    return found if all(type(one) in (int, str) for one in found) else []


def refuse_other(path: Path, label: Value, member: Member, others: list[Any]) -> None:
    """Raise ReslabError if a .json beside a .cls states another label. A number and a name cannot be compared."""
    found = {one.strip() if isinstance(one, str) else one for one in others}
    if found and found != {label} and (len(found) > 1 or type(label) is type(next(iter(found)))):
        said = named(", ".join(map(str, others)))
        raise ReslabError(f"{named(path)}: the member {named(member.name)} has the label {said}, and the .cls beside "
                          f"it has {named(str(label))}; write one of them, or both alike")  # fmt: skip


def label_of(path: Path, file: BinaryIO, member: Member, kind: str, now: _Open) -> Value | None:
    """The label in a member; None for a .json without one, beside which there may be a .txt."""
    where = f"{named(path)}: the member {named(member.name)}"
    if member.size > LARGEST:
        raise ReslabError(f"{where} has {member.size:,} bytes, and a label has at most {LARGEST:,}")
    content = read(file, member.offset, member.size)
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ReslabError(f"{where} is no text in UTF-8, so it holds no label") from error
    if kind == "json":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ReslabError(f"{where} is no JSON, so it holds no label") from error
        return of_json(value, where, alone="txt" not in now.labels)
    if not text or len(text) > LONGEST:
        what = f"has {len(text):,} characters; a class name has at most {LONGEST}" if text else "is empty"
        raise UsageError(f"{where} {what}")
    return number(text) if kind == "cls" else text


def number(text: str) -> int | str:
    """The number that a .cls holds, 2 also for 2.0; other text is the name of a class."""
    found = WHOLE.fullmatch(text)
    return int(found[1]) if found else text


def of_json(value: Any, where: str, *, alone: bool) -> Value | None:
    """The label in a JSON value: itself, or under one of the keys that name labels."""
    if isinstance(value, dict):
        key = next((name for name in NAMES if name in value), None)
        if key is None:
            if not alone:
                return None
            raise UsageError(f"{where} has no key label; its keys are {named(', '.join(map(str, value)) or '(none)')}")
        value = value[key]
    if isinstance(value, list):
        several = tuple(dict.fromkeys(one(each, where) for each in value))
        return tuple(sorted(several, key=lambda each: (isinstance(each, str), each)))
    return one(value, where)


def one(value: Any, where: str) -> int | str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 2.0, as pandas writes it
    if isinstance(value, int) and abs(value) < 10**18:
        return value
    if isinstance(value, str) and 0 < len(value.strip()) <= LONGEST:
        return value.strip()
    shown = named(json.dumps(value))
    raise UsageError(f"{where} has the label {shown}; a label is a whole number, a text, or a list of them")
