"""The run folder, through which the commands share data. A reader never sees a half-written file.

spec.json recipe.toml data.json env.json metrics.jsonl last.pt weights.safetensors results/*.json report.html

A folder of the Hugging Face Hub that holds a net of reslab is read as one: its config.json is spec.json, and its
model.safetensors weights.safetensors.
"""

import contextlib
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TextIO

from reslab.errors import ReslabError, UsageError, arg
from reslab.stored.digest import sealed
from reslab.stored.files import MissingFile, named, present
from reslab.stored.published import NAMES, is_published, spec_in
from reslab.stored.read import held, read_events, read_json
from reslab.stored.write import explained, once, write_aside
from reslab.version import __version__

try:
    import fcntl
except ImportError:  # Windows has no flock, so there two trainings in one folder are not detected
    fcntl = None  # type: ignore[assignment]

MEMBERS = "members.json"  # in a folder of several nets trained on one table, each in its own run folder


class Locked(ReslabError):  # noqa: N818 - what it says
    """Another process is training in the folder."""


class Run:
    """A run folder at `path`; it need not exist yet."""

    writes = True

    def __init__(self, path: Path | str) -> None:
        self.folder = Path(path)

    def path(self, name: str) -> Path:
        """Where the file is, or would be; under the Hub's name if the folder is one of the Hub."""
        own = self.folder / name
        if name in NAMES and not present(own) and is_published(self.folder):
            return self.folder / NAMES[name]
        return own

    def make(self) -> None:
        """Create the folder. Raises ReslabError if it cannot be written."""
        with explained(self.folder):
            (self.folder / "results").mkdir(parents=True, exist_ok=True)

    def has(self, name: str) -> bool:
        """Whether the file exists, readable or not."""
        return present(self.path(name))

    def read_json(self, name: str, *needs: str) -> dict[str, Any]:
        """The content of a JSON file, with the types of stored/records.py and all keys in `needs`.

        Raises UsageError if the folder is no run (it has no spec.json), ReslabError if a file of a run is missing or
        damaged, naming field and value.
        """
        from reslab.stored.records import kind_of

        path = self.path(name)
        try:
            if path.name != Path(name).name:  # a folder of the Hub
                return self.read_published(path, name)
            data: dict[str, Any] = read_json(path, kind_of(name), needs=needs)
        except MissingFile as error:
            if self.has("spec.json"):
                raise missing(path) from error
            raise UsageError(f"{named(self.folder)} is not a run folder: it has no {name}") from error
        return data

    def read_published(self, path: Path, name: str) -> dict[str, Any]:
        """The spec in the config.json of a folder of the Hub. Raises as `read_json` does."""
        from reslab.stored.records import kind_of

        spec = spec_in(read_json(path))
        if spec is None:
            raise ReslabError(f"{named(path)} is damaged: it names no spec; restore a copy of it")
        found: dict[str, Any] = held(kind_of(name), spec, path)
        return found

    def write_json(self, name: str, data: Any) -> Path:
        text = json.dumps(sealed(finite(data)), indent=1, ensure_ascii=False) + "\n"
        whole = text.encode(errors="backslashreplace")  # a path may hold bytes that are not text
        return write_aside(self.path(name), lambda file: file.write(whole))

    def write_text(self, name: str, text: str) -> Path:
        return write_aside(self.path(name), lambda file: file.write(text.encode(errors="backslashreplace")))

    def log(self, **event: Any) -> None:
        """Append one line to metrics.jsonl. A line truncated by a crash has no newline and is not read."""
        with explained(self.path("metrics.jsonl")), self.path("metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(sealed(finite(event))) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Every complete line of metrics.jsonl, in order; damaged lines are skipped with a warning."""
        try:
            return read_events(self.path("metrics.jsonl"))
        except MissingFile:
            return []

    def forget_after(self, iteration: int) -> None:
        """Remove the entries of metrics.jsonl after `iteration`; those iterations will run again."""
        kept = [event for event in self.metrics() if event.get("iteration", 0) <= iteration]
        self.write_text("metrics.jsonl", "".join(json.dumps(sealed(event)) + "\n" for event in kept))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder against a second training. Raises Locked if another process holds the lock."""
        with explained(self.path(".lock")):
            file = self.path(".lock").open("a")
        with file:
            try:
                if fcntl:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Locked(f"{self.folder}: another process is training here; wait for it or stop it") from error
            except OSError as error:  # ENOLCK, EOPNOTSUPP: some network file systems have no locks
                once(f"the file system of {self.folder} has no locks ({error.strerror}), so a second training in this "
                     "folder is not noticed")  # fmt: skip
            HELD.add(file)
            try:
                yield
            finally:
                HELD.discard(file)


class ReadOnly(Run):
    """A run folder that another process of the same training writes: what would be written here is left to it."""

    writes = False

    def make(self) -> None:
        """Nothing."""

    def write_json(self, name: str, data: Any) -> Path:
        return self.path(name)

    def write_text(self, name: str, text: str) -> Path:
        return self.path(name)

    def log(self, **event: Any) -> None:
        """Nothing."""

    def forget_after(self, iteration: int) -> None:
        """Nothing."""


def missing(path: Path) -> ReslabError:
    """The error for a file that a run folder lacks; like a damaged one, it is a failure (exit code 1), not misuse."""
    return ReslabError(f"{named(path)} is missing; restore a copy of it, or train again in another ", arg("folder"))


HELD: set[TextIO] = set()  # the lock files of this process


def release_in_child() -> None:
    """Close a forked worker's copies of the locks, which would outlive a killed parent."""
    for file in HELD:
        file.close()
    HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=release_in_child)


def finite(data: Any) -> Any:
    """The data with NaN and infinities as null, since JSON has neither."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {str(key): finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return data


def environment(device: str, threads: int) -> dict[str, Any]:
    """What results depend on besides the recipe: versions, device, threads, commit. For env.json."""
    import torch

    name = torch.cuda.get_device_name() if device.startswith("cuda") else processor()
    return {
        "reslab": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "device": device,
        "device_name": name,
        "threads": threads,
        "commit": commit(),
    }


def processor() -> str:
    """The processor's name as reported by the system."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """The commit of the running reslab, if it runs from a git checkout."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "log", "-1", "--format=%h", "--", str(here)]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(git, capture_output=True, text=True, timeout=5, check=False)
        return done.stdout.strip() or None
    return None


def command_line() -> str:
    """The command line of this process, to be shown on pages."""
    return shlex.join(["reslab", *sys.argv[1:]])


def absolute(word: str, names: Collection[str] = ()) -> str:
    """A data word made absolute if it is a path and not one of the `names`, so that it is valid in any folder.

    So is a pattern of paths, such as data/train-{000..146}.tar, whose folder exists.
    """
    if word in names:
        return word
    folder, _, last = word.rpartition("/")
    if Path(word).exists() or (any(mark in last for mark in "{*?[") and Path(folder).is_dir()):
        return str(Path(word).resolve())
    return word


def slug(text: str) -> str:
    """The text made safe for use in a folder's name."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text).strip("-.") or "data"
