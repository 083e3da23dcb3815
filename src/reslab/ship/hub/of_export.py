"""An exported folder as a folder of the Hub: its own files, with metadata on its card, and without private paths."""

import json
import shutil
from pathlib import Path
from typing import Any

from reslab.ship.folder import CARD, CONFIG, PROOF, SUMS, read_config, seal, verify
from reslab.ship.hub.card import front
from reslab.ship.hub.private import cleaned, without_paths
from reslab.ship.hub.record import TASKS, Facts
from reslab.ship.record import Config
from reslab.stored.read import read_json

CLEANED = (CONFIG, PROOF)  # files of ours that may name places of this machine


def write_export(source: Path, folder: Path, *, name: str, license: str) -> list[str]:
    """Write the whole folder, sealed again; notes. Raises ReslabError for a damaged one: its checksums are compared."""
    verify(source)
    config = read_config(source)
    listed = list(read_json(source / SUMS)["sha256"])
    for one in listed:
        (folder / one).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / one, folder / one)
    for one in (one for one in CLEANED if one in listed):
        data = cleaned(json.loads((folder / one).read_bytes()))
        if one == CONFIG and license:
            data["license"] = license
        (folder / one).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = (folder / CARD).read_text(encoding="utf-8") if CARD in listed else f"# {name}\n"
    (folder / CARD).write_text(with_metadata(without_paths(text), config, name, license), encoding="utf-8")
    seal(folder)
    extra = sorted(path.relative_to(source).as_posix() for path in source.rglob("*")
                   if path.is_file() and path.relative_to(source).as_posix() not in (*listed, SUMS))  # fmt: skip
    return [f"left out, as {SUMS} does not list them: {', '.join(extra)}"] if extra else []


def with_metadata(text: str, config: Config, name: str, license: str) -> str:
    """The card with the Hub's metadata before it, in the place of those that it may have had."""
    if text.startswith("---\n") and (end := text.find("\n---\n", 3)) > 0:
        text = text[end + 5 :].lstrip("\n")
    return f"{front(facts_of(config, name, license))}\n{text}"


def facts_of(config: Config, name: str, license: str) -> Facts:
    about: dict[str, Any] = config.about
    regression = config.kind == "tables" and about.get("target", {}).get("kind") == "numbers"
    task = TASKS.get(config.kind) or ("tabular-regression" if regression else "tabular-classification")
    granted = license or (config.license if " " not in config.license.strip() else "")
    return Facts(kind=config.kind, name=name, task=task, title=config.name, data="",
                 license=granted, tags=[config.engine, config.precision])  # fmt: skip
