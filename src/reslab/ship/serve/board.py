"""What each worker of a server serves, told to the others by files in a folder that they share."""

import json
import os
from collections.abc import Mapping
from pathlib import Path


class Board:
    """One file for each worker: the versions of its models by name. The supervisor removes those of the dead."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, pid: int) -> Path:
        return self.folder / f"serves-{pid}.json"

    def tell(self, versions: Mapping[str, str]) -> None:
        """Write what this worker serves."""
        path = self.path(os.getpid())
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps(dict(versions)))
        aside.replace(path)

    def others(self) -> dict[int, dict[str, str]]:
        """What the other workers serve, by process id."""
        found = {}
        for path in self.folder.glob("serves-*.json"):
            pid = int(path.stem.partition("-")[2])
            if pid != os.getpid():
                try:
                    found[pid] = json.loads(path.read_text())
                except FileNotFoundError:  # it died
                    continue
        return found
