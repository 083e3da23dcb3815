"""A worker process that does cells one after another: PyTorch starts, and data are loaded, once for all of them."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, Sentence
from reslab.progress import Progress, to_parent
from reslab.progress.parent import pass_on
from reslab.progress.stream import lasting
from reslab.run import Locked
from reslab.study.child import STOPPED, Child
from reslab.study.grid.cell import Cell, from_plain, plain
from reslab.study.jobs import heard, leave_with, spoken
from reslab.study.pool import Busy, Failed, Outcome
from reslab.train.signals import Interrupted

MAIN = "import sys; from reslab.study.grid.worker import main; sys.exit(main(int(sys.argv[1])))"  # of a worker
PATIENCE = 10  # seconds that an idle worker may take to leave


class Worker:
    """A hand of the pool, and the process behind it; a process that dies is replaced before the next cell."""

    def __init__(self, cache: Path, device: str, progress: Callable[[Cell], Progress]) -> None:
        self.cache, self.device, self.progress = cache, device, progress
        self.child = Child()

    def do(self, one: Cell) -> Outcome:
        child = self.child.begin(living)
        if child is None:
            return STOPPED
        assert child.stdin is not None
        order = {"cell": plain(one), "cache": str(self.cache), "device": self.device}
        with contextlib.suppress(OSError):  # it has died; what it said says why
            child.stdin.write(json.dumps(order) + "\n")
            child.stdin.flush()
        return self.listen(child, self.progress(one))

    def listen(self, child: "subprocess.Popen[str]", progress: Progress) -> Outcome:
        """Pass on the worker's progress until the cell ends, or the worker does."""
        last, said = "", Sentence()
        assert child.stdout is not None
        for line in child.stdout:
            if pass_on(line, progress):
                continue
            end = ending(line)
            if end == "done":
                return None
            if end == "busy":
                return Busy()
            if end == "failed":
                return Failed(why=said or last)
            said = heard(line) or said
            last = line.strip() or last
        code = child.wait()
        if code < 0:
            last = f"its worker process was killed by signal {-code}" + (" (out of memory?)" * (code == -9))
        return Failed(why=last or f"its worker process ended with code {code}", code=code, died=not self.child.stopped)

    def stop(self) -> None:
        self.child.stop()

    def close(self) -> None:
        """End the idle process and wait for it."""
        with self.child.guard:
            self.child.stopped = True
            if self.child.process is not None:
                let_go(self.child.process)
                self.child.process = None


def living(before: "subprocess.Popen[str] | None") -> "subprocess.Popen[str]":
    """The worker if it lives, or a new one."""
    if before is not None and before.poll() is None:
        return before
    if before is not None:
        let_go(before)
    return start()


def let_go(worker: "subprocess.Popen[str]") -> None:
    """End an idle worker and wait for it."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    with contextlib.suppress(OSError):
        worker.stdin.close()  # an idle worker leaves at the end of its input
    try:
        worker.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
    worker.stdout.close()


def start() -> "subprocess.Popen[str]":
    """A new worker: it reads orders from standard input and writes JSON lines to standard output."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, str(os.getpid())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        errors="replace", env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C reaches the parent alone, which asks each worker once
    )  # fmt: skip


def ending(line: str) -> str:
    """How a cell ended, if the line says so."""
    try:
        return str(json.loads(line)["ended"])
    except (ValueError, KeyError, TypeError):
        return ""


def tell(line: str) -> None:
    """To the parent; if it is gone, to nobody."""
    stream = lasting(sys.stdout)
    if stream is not None:
        stream.write(line + "\n")
        stream.flush()


def obey(order: dict[str, Any]) -> str:
    """Do the cell of an order; how it ended."""
    from reslab.study.grid.one import do

    one, display = from_plain(order["cell"]), to_parent()
    try:
        do(one, Path(order["cache"]), device=order["device"], progress=display.row(one.name))
    except Locked:
        return "busy"
    except Interrupted:
        raise
    except ReslabError as error:
        tell(spoken(error))
        return "failed"
    finally:
        display.close()
    return "done"


def main(parent: int) -> int:
    """Do cells until the input ends."""
    threading.Thread(target=leave_with, args=(parent,), daemon=True).start()
    for line in sys.stdin:
        try:
            tell(json.dumps({"ended": obey(json.loads(line))}))
        except Interrupted as stopped:
            return stopped.exit_code
    return 0
