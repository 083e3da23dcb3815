"""Run cells: each once, in parallel processes that last, resumable."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from reslab.errors import ReslabError, Sentence, UsageError, arg
from reslab.progress import Progress, Rows, quiet
from reslab.study.grid.cell import Cell, Found, widest
from reslab.study.grid.one import read
from reslab.study.grid.plan import Plan, chains, plan
from reslab.study.grid.worker import Worker
from reslab.study.pool import Busy, Failed, Hand, Outcome, work_off

Crew = Callable[[int, Callable[[Cell], Progress]], Sequence[Hand]]


def run(
    cells: Sequence[Cell], cache: Path, *, jobs: int = 0, device: str = "auto", rows: Rows = quiet,
    say: Callable[[str], None] = lambda text: None, on: str = "local", failures: dict[Cell, Sentence] | None = None,
) -> dict[Cell, Found]:  # fmt: skip
    """What every cell found; those that are done in `cache` are read, the others are done, with what they need.

    `jobs`: worker processes, 0: one per usable core, or one on an accelerator. `rows`: for one row of progress, in CPU
    seconds. `say`: is told the plan, and what is out of order.

    `on`: "local", "ray" (started on this machine) or "ray:HOST:PORT": where they are done; on_ray.py says what is
    assumed of a cluster.

    Two commands may share a cache: neither does a cell that the other is doing. SIGINT or SIGTERM lets every worker
    save, then Interrupted is raised; the same call resumes. A cell whose worker dies is done once more. After a
    failure, all cells that do not need the failed one are finished; then ReslabError names it. With `failures`,
    nothing is raised: the reason for each cell that was not done is stored there, and the others are returned.
    """
    if on != "local" and on.partition(":")[0] != "ray":
        raise UsageError("cells can be run with ", arg("on", "local"), ", ray or ray:HOST:PORT, got ", repr(on))
    to_do = plan(cells, cache, jobs=jobs, say=say)
    if on == "local" or not to_do.todo:
        say(str(to_do))
    found = dict(to_do.found)
    if not to_do.todo:
        return found
    with crew(on, cache, jobs=jobs, device=device, to_do=to_do) as (at_once, make):
        to_do = replace(to_do, jobs=at_once)
        if on != "local":
            say(str(to_do))
        board = Board(to_do, rows, say)
        chain = chains(to_do.todo)
        failed = work_off({one: one.needs for one in to_do.todo}, make(min(at_once, len(to_do.todo)), board.progress),
                          first=chain.__getitem__, go_on=True, began=board.began, ended=board.ended)  # fmt: skip
    for one in to_do.todo:
        if one not in failed and not any(needed not in found for needed in one.needs):
            kept = read(one, cache)
            assert kept is not None
            found[one] = kept
    reasons = why_not(to_do, found, failed)
    if failures is not None:
        failures.update(reasons)
    elif reasons:
        raise ReslabError(summed_up(reasons, failed))
    return found


@contextmanager
def crew(on: str, cache: Path, *, jobs: int, device: str, to_do: Plan) -> Iterator[tuple[int, Crew]]:
    """(how many cells at once, what makes the hands that do them) here, or on the Ray cluster that `on` names."""
    if on == "local":
        yield to_do.jobs, lambda n, progress: [Worker(cache, device, progress) for _ in range(n)]
        return
    from reslab.study.grid.on_ray import cluster

    with cluster(on, cache, jobs=jobs, device=device, each=widest(to_do.todo)) as found:
        yield found


def why_not(to_do: Plan, found: Mapping[Cell, Found], failed: Mapping[Cell, Failed]) -> dict[Cell, Sentence]:
    """For each cell that was not done, the reason: its own failure, or that of a cell that it needs."""
    reasons: dict[Cell, Sentence] = {}
    for one in to_do.todo:
        if one in failed:
            reasons[one] = Sentence(f"{one.name}: ", failed[one].why or f"ended with code {failed[one].code}")
        elif one not in found:
            reasons[one] = next(reasons[needed] for needed in one.needs if needed in reasons)
    return reasons


def summed_up(reasons: Mapping[Cell, Sentence], failed: Mapping[Cell, Failed]) -> Sentence:
    """One sentence for all failures: the first, and how many more cells failed or were not begun."""
    first, *more = failed
    left = len(reasons) - len(failed)
    also = [f"{len(more)} more cell{'s' * (len(more) > 1)} failed"] * bool(more)
    also += [f"{left} cell{'s' * (left > 1)} that need{'s' * (left == 1)} {'it' if not more else 'them'} "
             f"{'were' if left > 1 else 'was'} not done"] * bool(left)  # fmt: skip
    return Sentence(reasons[first], f" ({'; '.join(also)})" if also else "")


class Board:
    """One row of progress for all cells: CPU seconds of what is done, and which cells run."""

    def __init__(self, to_do: Plan, rows: Rows, say: Callable[[str], None]) -> None:
        self.costs, self.say = to_do.todo, say
        self.report = rows("CPU seconds")
        self.share: dict[Cell, float] = {}  # of each running cell, how much of it is done
        self.done: set[Cell] = set()
        self.failed: set[Cell] = set()
        self.waiting: set[Cell] = set()  # for another command
        self.died: set[Cell] = set()
        self.lock = threading.Lock()

    def began(self, one: Cell) -> None:
        with self.lock:
            self.share[one] = 0.0
            self.show()

    def progress(self, one: Cell) -> Progress:
        def step(done: int, total: int, note: str = "", /) -> None:
            with self.lock:
                if one in self.share and total:
                    self.share[one] = max(self.share[one], min(done / total, 0.99))
                    self.show()

        return step

    def ended(self, one: Cell, outcome: Outcome) -> None:
        with self.lock:
            self.share.pop(one, None)
            if isinstance(outcome, Busy):
                if one not in self.waiting:
                    self.waiting.add(one)
                    self.say(f"another command is doing {one.name}; its result will be read")
                return
            if isinstance(outcome, Failed) and outcome.died and one not in self.died:
                self.died.add(one)
                self.say(f"{one.name}: {outcome.why}; it is started again in a new worker")
                return
            if isinstance(outcome, Failed):
                if outcome.died or outcome.code < 128:  # else it was stopped: it is neither done nor failed
                    self.failed.add(one)
            else:
                self.done.add(one)
            self.show()

    def show(self) -> None:
        seconds = sum(self.costs[one] for one in self.done | self.failed) + sum(
            self.costs[one] * s for one, s in self.share.items()
        )
        running = ", ".join(one.name.rpartition(" (")[0] for one in self.share)
        failed = f", {len(self.failed):,} failed" if self.failed else ""
        note = f"{len(self.done):,} of {len(self.costs):,} cells done{failed}" + (
            f", running: {running}" * bool(running)
        )
        total = max(1, round(sum(self.costs.values())))
        self.report(min(round(seconds), total), total, note)
