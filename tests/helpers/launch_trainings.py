"""Real trainings by several processes, which write down what they train on; and who kills them."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from reslab.run import Run

# Before each step a rank adds a line to its own file: the iteration and the rows of its part of the batch. It waits a
# little, so that no machine is through before the last kill.
NOTING = """
import json, os, sys, time
from pathlib import Path
from reslab.cli import main
from reslab.train.supervised import tie

if __name__ == "__main__":
    tie()
    from reslab.train.training import Training
    file = Path(sys.argv[1], "rows." + os.environ["RANK"]).open("a", buffering=1)
    plain = Training.step
    def step(self, batch):
        file.write(json.dumps([batch.iteration, batch.index.tolist()]) + "\\n")
        time.sleep(0.02)
        return plain(self, batch)
    Training.step = step
    sys.exit(main(sys.argv[2:]))
"""
SUPERVISOR = """
import json, sys
from reslab.launch import supervise
options, command = json.loads(sys.argv[1]), sys.argv[2:]
say = lambda line: print(line, file=sys.stderr, flush=True)
raise SystemExit(supervise([sys.executable, *command], say=say, **options))
"""
QUICK = ["--precision", "fp32", "--memory-format", "NCHW", "--compile", "off", "--device", "cpu", "--threads", "1"]


def start(
    notes: Path, words: list[str], *, before: tuple[str, ...] = (), program: str = NOTING, **options: Any
) -> "subprocess.Popen[str]":  # fmt: skip
    """A supervisor of `reslab train` with these words; what its ranks train on is noted in the folder `notes`.

    `before`: words before the command, such as those that run it in a network namespace. `program`: what each rank
    runs; it is given the folder and the words.
    """
    notes.mkdir(exist_ok=True)
    path = notes / "program.py"
    path.write_text(program)
    command = [*before, sys.executable, "-c", SUPERVISOR, json.dumps(options), str(path), str(notes), *words]
    out = (notes / f"printed.{options.get('node', 0)}").open("a")
    with out:
        return subprocess.Popen(command, stdout=out, stderr=out, text=True, start_new_session=True)


def end(*supervisors: "subprocess.Popen[str]") -> None:
    """Kill what is left; the ranks end with their supervisor."""
    for one in supervisors:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)
        one.wait()


def finish(notes: Path, supervisor: "subprocess.Popen[str]", *, seconds: float, code: int = 0) -> str:
    """Wait for its end with that exit code; what was printed."""
    try:
        found = supervisor.wait(timeout=seconds)
    finally:
        end(supervisor)
    printed = (notes / "printed.0").read_text()
    assert found == code, printed[-3000:]
    return printed


def ranks_of(pid: int) -> list[int]:
    """The child processes of a supervisor, by their numbers; of `ip netns exec`, which it replaces, too."""
    with contextlib.suppress(OSError):
        found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return sorted(one for one in found if alive(one))
    return []


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def kill_some(
    supervisors: list["subprocess.Popen[str]"], run: Run, *, kills: int, seed: int, seconds: float
) -> list[str]:  # fmt: skip
    """Kill -9 a random rank at a random moment, `kills` times; when each was killed: starting, or training.

    Of four kills one comes up to 3 seconds after a start; the others up to 0.7 seconds after a new checkpoint.
    """
    chance, done, limit = random.Random(seed), [], time.monotonic() + seconds
    hit: set[int] = set()

    def fresh() -> list[int]:
        """The ranks, if all of them run and none is a leftover of the kill before."""
        found = [pid for one in supervisors for pid in ranks_of(one.pid)]
        return found if found and not hit & set(found) else []

    while len(done) < kills:
        assert time.monotonic() < limit, f"only {len(done)} kills in time"
        assert all(one.poll() is None for one in supervisors), f"it ended after {len(done)} kills"
        starting, saved = len(done) % 4 == 0, changed(run)
        ranks = fresh()
        while not ranks or not (starting or changed(run) != saved):
            assert time.monotonic() < limit, f"only {len(done)} kills in time"
            assert all(one.poll() is None for one in supervisors), f"it ended after {len(done)} kills"
            time.sleep(0.02)
            ranks = fresh()
        time.sleep(chance.uniform(0, 3) if starting else chance.uniform(0, 0.7))
        victim = chance.choice(ranks)
        if alive(victim):
            os.kill(victim, signal.SIGKILL)
            hit |= set(ranks)
            done.append("starting" if starting else "training")
    return done


def changed(run: Run) -> int:
    """When the last checkpoint was written."""
    try:
        return run.path("last.pt").stat().st_mtime_ns
    except OSError:
        return 0


def trained_on(notes: Path) -> dict[int, list[int]]:
    """The rows of each iteration, all ranks together. Steps that were done again had the same rows."""
    parts: dict[tuple[int, int], list[int]] = {}
    for path in sorted(notes.glob("rows.*")):
        rank = int(path.suffix[1:])
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError):  # the last of a process that was killed may be cut
                iteration, rows = json.loads(line)
                assert parts.setdefault((iteration, rank), rows) == rows, f"iteration {iteration} of rank {rank}"
    found: dict[int, list[int]] = {}
    for (iteration, _), rows in sorted(parts.items()):
        found.setdefault(iteration, []).extend(rows)
    return found


def counted(notes: Path, *, examples: int) -> list[Counter[int]]:
    """How often each example was trained on, for each whole epoch of the stream."""
    stream = [row for _, rows in sorted(trained_on(notes).items()) for row in rows]
    return [Counter(stream[k : k + examples]) for k in range(0, len(stream) - examples + 1, examples)]
