"""What a job of slimming keeps in its folder, so that the same call resumes it and a finished one is found again."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reslab.errors import OtherSettings, ReslabError, UsageError, arg
from reslab.run import Run
from reslab.slim.identity import flat
from reslab.slim.record import Arm, Plan, Slimmed, What
from reslab.stored.typed import Mistyped, typed
from reslab.train.life import shown

PLAN, DONE = "results/slim-plan.json", "results/slim.json"
ASKED, ARMS = "slim-asked.json", "slim-arms.json"
STATE = "plan-state.json"  # of reslab.slim.plan, which resumes with it
DIGESTS = {
    "model": "other weights of the model",
    "planned_on": "other samples that the plan is measured on",
    "data": "other images, texts or labels",
}
OLDER = ("model", "planned_on")  # not stored by an older version
WRITTEN = ("cut", "norms", "model", "merged", "shape")  # folders that are written aside first
OURS = (PLAN, DONE, ASKED, ARMS, STATE)


class Kept:
    """The folder of a job. Raises UsageError if it holds something else."""

    def __init__(self, folder: Path | str) -> None:
        self.run = Run(folder)
        here = self.run.folder
        if here.exists() and not here.is_dir():
            raise UsageError(f"{here} is a file; choose a ", arg("folder"))
        if here.is_dir() and any(here.iterdir()) and not any(map(self.run.has, OURS)):
            left = {path.name for path in here.iterdir()} - {".lock", "results"}
            if left:
                raise UsageError(f"{here} is not empty and has no results of `reslab slim`; choose another ",
                                 arg("folder"))  # fmt: skip

    def sweep(self) -> None:
        """Remove what a killed process was writing. Only inside the lock."""
        for path in self.run.folder.glob(".*-????????"):
            if path.is_dir() and path.name.split("-")[0].removeprefix(".") in WRITTEN:
                shutil.rmtree(path, ignore_errors=True)

    @property
    def folder(self) -> Path:
        return self.run.folder

    def compare(self, asked: Mapping[str, Any]) -> bool:
        """Whether the job was begun with these settings; False for a new one, or one that was only planned.

        Raises OtherSettings that names what differs.
        """
        if not self.run.has(ASKED):
            return False
        there, wanted = flat(self.run.read_json(ASKED)), flat(json.loads(json.dumps(asked)))
        stored = {**{key: wanted.get(key) for key in OLDER}, **there}
        differ = [DIGESTS.get(key) or f"{key}: {shown(stored.get(key))} there, {shown(value)} requested"
                  for key, value in wanted.items() if stored.get(key) != value]  # fmt: skip
        if differ:
            raise OtherSettings(f"{self.folder} already contains a job with different settings "
                                f"({'; '.join(differ[:3])}); choose another ", arg("folder"))  # fmt: skip
        return True

    def begin(self, asked: Mapping[str, Any]) -> None:
        """Store the settings: from now on, the job is this one."""
        self.run.write_json(ASKED, asked)

    def plan(self) -> Plan | None:
        return self.read(PLAN, Plan)

    def done(self) -> Slimmed | None:
        return self.read(DONE, Slimmed)

    def read(self, name: str, kind: Any) -> Any:
        """A stored record; None if it is not there. Raises ReslabError if it is damaged."""
        if not self.run.has(name):
            return None
        try:
            return typed(kind, self.run.read_json(name))
        except Mistyped as error:
            raise ReslabError(f"{self.run.path(name)} is damaged: {error}; delete it to compute it again") from error

    def arms(self) -> list[Arm]:
        """The models that were measured so far."""
        if not self.run.has(ARMS):
            return []
        try:
            return [typed(Arm, one) for one in self.run.read_json(ARMS, "arms")["arms"]]
        except Mistyped as error:
            raise ReslabError(f"{self.run.path(ARMS)} is damaged: {error}; delete it to compute it again") from error

    def arm(self, what: What, seed: int | None, make: Callable[[], Arm]) -> Arm:
        """The arm that is stored, or what `make` gives, which then is."""
        found = self.arms()
        for one in found:
            if (one.what, one.seed) == (what, seed) and (not one.run or (self.folder / one.run).is_dir()):
                return one
        made = make()
        left = [one for one in found if (one.what, one.seed) != (what, seed)]
        self.run.write_json(ARMS, {"arms": [asdict(one) for one in (*left, made)]})
        return made

    def whole(self, name: str, write: Callable[[Path], Any]) -> Path:
        """The folder `name` in it, written by `write` if it is not there."""
        return whole(self.folder, name, write)

    def replaced(self, name: str, write: Callable[[Path], Any]) -> Path:
        """As `whole`, in the place of what is there, which stays until the new one is complete."""
        return whole(self.folder, name, write, anew=True)


def whole(folder: Path, name: str, write: Callable[[Path], Any], *, anew: bool = False) -> Path:
    """folder/name, written by `write` if it is not there, or `anew`: whole or not at all."""
    there = folder / name
    if there.is_dir() and not anew:
        return there
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as aside:
        part = Path(aside) / name
        part.mkdir()
        write(part)
        if there.is_dir():
            os.replace(there, Path(aside) / "earlier")
        os.replace(part, there)
    return there
