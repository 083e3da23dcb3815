"""Progress from a child process to the one that started it: a line of JSON on standard output for each report."""

import json
import sys

from reslab.progress.display import Display
from reslab.progress.protocol import Phase, Progress
from reslab.progress.row import Row
from reslab.progress.stream import lasting


class ToParent(Display):
    """Writes reports as lines of JSON, which `pass_on` reads."""

    every = 0.2

    def draw(self, row: Row) -> None:
        event = {"done": row.done, "total": row.total, "note": row.note, "phase": isinstance(row.note, Phase)}
        stream = lasting(sys.stdout)
        if stream is not None:
            print(json.dumps(event), file=stream, flush=True)


def to_parent() -> ToParent:
    """The display of a child process; close it at the end."""
    return ToParent()


def pass_on(line: str, progress: Progress) -> bool:
    """Report what one line of a child says; whether it is such a line."""
    try:
        event = json.loads(line)
        done, total, note = int(event["done"]), int(event["total"]), str(event["note"])
        progress(done, total, Phase(note) if event["phase"] else note)
    except (ValueError, KeyError, TypeError):
        return False
    return True
