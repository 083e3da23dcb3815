"""A model that is served: one interface over images, questions and tables, exported or runs in torch."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from reslab.errors import ReslabError, UsageError
from reslab.nets.published import local
from reslab.run import MEMBERS, Run
from reslab.ship.folder import is_exported, read_config
from reslab.ship.record import Kind
from reslab.ship.serve.settings import Settings

HOME: dict[Kind, str] = {"images": "images", "questions": "questions", "tables": "tables"}  # kind: its module here
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # a part of a URL that needs no escapes


@dataclass(frozen=True, kw_only=True)
class About:
    """What clients are told of a model."""

    name: str
    kind: Kind
    version: str  # changes with any of the folder's files
    engine: str  # openvino, onnx, torch
    precision: str
    details: Mapping[str, Any] = field(default_factory=dict)  # images: classes, blocks; tables: fields; ...


class Servable(Protocol):
    """One version of a model. `prepare` runs in several threads at once, `run` in one thread."""

    about: About

    def prepare(self, payload: Any, options: Mapping[str, Any]) -> Any:
        """One item of a batch, decoded and checked. Items whose attribute `key` differs never share a batch.

        Images: the bytes of a file, or uint8 (H, W, C); option `disable`: names of blocks. Questions: (question, list
        of contexts); option `top`. Tables: rows as a list of dicts. Raises Refused, UsageError or BrokenImage.
        """

    def run(self, items: Sequence[Any]) -> Sequence[Any]:
        """A result for each item: see images.Scored, tables.Predicted; for questions a list of Answers."""

    def warm(self, batch: int) -> None:
        """Run made-up items, one and `batch` at a time, so that the first requests do not wait."""

    def close(self) -> None:
        """Free what it holds."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder to serve, and the name under which it is served."""

    name: str
    folder: Path


def place(word: str) -> Place:
    """FOLDER, hf:OWNER/NAME or NAME=one of these. Raises UsageError for no folder, or a name that is no part of a URL.

    A model of the Hugging Face Hub is downloaded, as it is now.
    """
    name, equals, rest = word.partition("=")
    named = bool(equals) and not Path(word).exists()
    folder, given = local(rest if named else word), name if named else ""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; `reslab serve` needs folders of exported models or of runs")
    if not given:
        own = read_config(folder).name if is_exported(folder) else folder.resolve().name
        given = re.sub(r"[^A-Za-z0-9._-]+", "-", own).strip("-.")[:100] or "model"
    if not NAME.fullmatch(given):
        raise UsageError(f"a served model's name may have letters, digits, '.', '_' and '-', got {given!r}")
    return Place(name=given, folder=folder)


def places(words: Sequence[str]) -> list[Place]:
    """Several folders. Raises UsageError if two of them have one name."""
    found = [place(word) for word in words]
    for k, one in enumerate(found):
        if one.name in [other.name for other in found[:k]]:
            raise UsageError(f"two folders would be served as {one.name!r}; name one of them: "
                             f"reslab serve OTHER={one.folder}")  # fmt: skip
    return found


def kind_of(folder: Path) -> Kind:
    """What the model of a folder is for. Raises UsageError or ReslabError for a folder that holds none."""
    if is_exported(folder):
        return read_config(folder).kind
    run = Run(folder)
    if run.has(MEMBERS):
        return "tables"
    if not run.has("spec.json"):
        raise UsageError(f"{folder} is neither an exported model nor the folder of a run")
    use = import_module("reslab.nets.specs").FAMILIES.get(str(run.read_json("spec.json").get("family")), "images")
    if use not in HOME:
        raise ReslabError(f"{folder} holds a model for {use}, which cannot be served")
    return cast(Kind, use)


def load(where: Place, *, threads: int = 0, max_pixels: int = Settings.max_pixels) -> Servable:
    """The model of a folder, verified. Raises UsageError or ReslabError."""
    made = import_module(f"reslab.ship.serve.{HOME[kind_of(where.folder)]}").load
    return cast(Servable, made(where, threads=threads, max_pixels=max_pixels))
