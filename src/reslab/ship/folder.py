"""An exported folder on disk: config.json, checksums of every file, and the check of both. No torch."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import Any

from reslab.errors import ReslabError, UsageError
from reslab.ship.listed import check_links, foreign, graph_files, is_read
from reslab.ship.record import FORMAT, Config, Port
from reslab.stored import ships
from reslab.stored.files import named, present
from reslab.stored.published import EXPORTED, is_marked_export
from reslab.stored.read import read_json
from reslab.stored.write import once, write_aside

CONFIG, SUMS, CARD, LICENSE, PROOF = "config.json", "checksums.json", "README.md", "LICENSE", "proof.json"
# Endings of weights and code.
SUSPECT = frozenset(".xml .bin .onnx .data .safetensors .pt .pth .pkl .pickle .npy .npz .py .so".split())


def is_exported(folder: Path | str) -> bool:
    """Whether the folder says that it is an exported one, or has our checksums; nothing is checked yet."""
    if present(Path(folder) / SUMS):  # then a config.json that is missing or damaged is reported as such
        return True
    return is_marked_export(Path(folder))


def read_config(folder: Path | str) -> Config:
    """The config of an exported folder. Raises UsageError for no such folder, ReslabError for a damaged one."""
    path = Path(folder) / CONFIG
    if not present(path):
        raise UsageError(f"{named(folder)} is no exported folder: it has no {CONFIG}")
    found: dict[str, Any] = read_json(path, ships.Config, needs=(EXPORTED,))
    if found[EXPORTED] != FORMAT:
        raise ReslabError(
            f"{named(path)} has format {found[EXPORTED]}: this reslab reads {FORMAT}; export the model again"
        )
    kept = {one.name: found[one.name] for one in fields(Config) if one.name in found}
    for key in ("inputs", "outputs"):
        kept[key] = tuple(Port(**{**port, "shape": tuple(port["shape"])}) for port in kept[key])
    for name in kept["files"]:
        if not inside(name):
            raise ReslabError(f"{named(path)} is damaged: {name!r} does not lie in the folder; export the model again")
    return Config(**{**kept, "files": tuple(kept["files"])})


def write_config(folder: Path, config: Config) -> None:
    text = json.dumps(config.to_dict(), indent=1, ensure_ascii=False) + "\n"
    write_aside(folder / CONFIG, lambda file: file.write(text.encode()))


def seal(folder: Path) -> None:
    """Write the SHA-256 of every file of the folder to checksums.json: the last thing that an export writes."""
    found = {path.relative_to(folder).as_posix(): sum_of(path) for path in sorted(folder.rglob("*"))
             if path.is_file() and path.name != SUMS}  # fmt: skip
    text = json.dumps({"sha256": found}, indent=1) + "\n"
    write_aside(folder / SUMS, lambda file: file.write(text.encode()))


def verify(folder: Path | str, *, warn: bool = True) -> str:
    """Compare every file with its checksum; a digest of them all, which changes with any of them.

    Raises ReslabError naming the first file that is missing, changed, a link out of the folder, or not listed although
    predicting would read it. Others that are not listed are never read; `warn` about those that look like a model's.
    """
    folder = Path(folder)
    if not present(folder / SUMS):
        raise ReslabError(f"{named(folder / SUMS)} is missing: the export was not finished, or files were removed; "
                          "export the model again")  # fmt: skip
    check_links(folder)
    sums = listed(folder)
    for name, wanted in sums.items():
        path = folder / name
        if not present(path):
            raise ReslabError(f"{named(path)} is missing; restore a copy of it, or export the model again")
        if sum_of(path) != wanted:
            raise ReslabError(f"{named(path)} was changed or damaged after the export: it does not match its checksum; "
                              "restore a copy of it, or export the model again")  # fmt: skip
    check_unlisted(folder, sums, warn=warn)
    return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()


def listed(folder: Path) -> dict[str, str]:
    """The checksums of checksums.json by the file's name. Raises ReslabError for a damaged one."""
    sums: dict[str, str] = read_json(folder / SUMS, ships.Sums)["sha256"]
    if away := [name for name in sums if not inside(name)]:
        raise ReslabError(f"{named(folder / SUMS)} is damaged: {away[0]!r} does not lie in the folder")
    return sums


def check_unlisted(folder: Path, sums: dict[str, str], *, warn: bool) -> None:
    """Raise ReslabError for a file that would be read but is not listed; warn about others like it."""
    graphs = graph_files(folder, read_config(folder))
    lacking = [name for name in (CONFIG, *sorted(graphs)) if name not in sums]
    others = [name for name in foreign(folder, sums) if name != SUMS and (folder / name).is_file()]
    if bare := lacking + [name for name in others if name in graphs or is_read(name)]:
        raise ReslabError(f"{named(folder / SUMS)} is damaged: it does not list {named(bare[0])}, which is read; "
                          "export the model again")  # fmt: skip
    seen = [name for name in others if Path(name).suffix.lower() in SUSPECT]
    if warn and seen:
        more = f" and {len(seen) - 1:,} more" if len(seen) > 1 else ""
        once(f"{named(folder)} holds {named(seen[0])}{more}, which {SUMS} does not list: it is no part of the model "
             "and is not read")  # fmt: skip


def sum_of(path: Path) -> str:
    """SHA-256 (hex) of a file. Raises ReslabError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ReslabError(f"{named(path)} cannot be read: {error.strerror or error}") from error


def inside(name: str) -> bool:
    """Whether a name read from a stranger's file stays in the folder."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name and "\0" not in name
