"""Cells run once: needs, failures, dead workers, two commands with one cache.

A worker is stood in for by a small process that speaks as one and starts in no time; the last tests start real ones.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reslab.errors import ReslabError, Sentence, arg
from reslab.run import Run
from reslab.study.grid import Cell, plan, run, worker
from reslab.study.grid.cell import cell
from reslab.study.grid.plan import schedule
from reslab.study.grid.run import Board
from reslab.study.grid.works import WORKS, Work
from reslab.study.pool import Failed

STUB = """
import json, os, sys, time
from pathlib import Path
def key_of(plain, keys): return keys[json.dumps(plain, sort_keys=True)]
keys = json.loads(sys.argv[1])
for line in sys.stdin:
    order = json.loads(line)
    one = order["cell"]
    folder = Path(order["cache"], keys[json.dumps(one, sort_keys=True)])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "starts").open("a") as file: file.write("x")
    starts = len((folder / "starts").read_text())
    do = one["settings"]["do"]
    print("a library says hello", flush=True)
    print('{"done": 1, "total": 2, "note": "", "phase": false}', flush=True)
    if do == "die" or (do == "die once" and starts == 1): os.kill(os.getpid(), 9)
    if do == "exit": print("no such library"); sys.exit(3)
    if do == "busy" and starts < 3: print('{"ended": "busy"}', flush=True); continue
    if do == "fail":
        print(json.dumps({"error": ["set another ", {"name": "lr"}]}))
        print('{"ended": "failed"}', flush=True)
        continue
    needed = [json.loads(Path(order["cache"], keys[json.dumps(n, sort_keys=True)], "cell.json").read_text())
              for n in one["needs"]]
    value = one["settings"].get("value", 0) + sum(n["values"]["value"] for n in needed)
    kept = {"work": "toy", "settings": one["settings"], "values": {"value": value, "pid": os.getpid()}, "seconds": 0.5}
    (folder / "cell.json").write_text(json.dumps(kept))
    print('{"ended": "done"}', flush=True)
"""


class Toy(Work):
    def load(self) -> Any:
        return Toy

    @staticmethod
    def cost(settings: dict[str, Any]) -> float:
        return float(settings.get("cost", 1.0))


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Toy cells are done by stand-ins for the workers; the cells must be put in the list, for their keys."""
    monkeypatch.setitem(WORKS, "toy", Toy(module="toy"))
    known: list[Cell] = []

    def start() -> "subprocess.Popen[str]":
        keys = {json.dumps(plain_sorted(one), sort_keys=True): one.key for one in known}
        return subprocess.Popen([sys.executable, "-S", "-c", STUB, json.dumps(keys)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip

    monkeypatch.setattr(worker, "start", start)
    return known


def plain_sorted(one: Cell) -> dict[str, Any]:
    return {"work": one.work, "settings": one.settings, "needs": [plain_sorted(needed) for needed in one.needs]}


@pytest.fixture
def toy(stub: list[Cell]) -> Any:
    def make(do: str = "add", *needs: Cell, **settings: Any) -> Cell:
        stub.append(cell("toy", {"do": do, **settings}, *needs))
        return stub[-1]

    return make


def starts(cache: Path, one: Cell) -> int:
    path = cache / one.key / "starts"
    return len(path.read_text()) if path.exists() else 0


def test_needs_first_each_once_by_workers_that_last(toy: Any, tmp_path: Path) -> None:
    """1 + 2 = 3, 3 + 10 = 13, 3 + 20 = 23; what is needed twice is done once; a second call reads all."""
    a, b = toy(value=1), toy(value=2)
    both = toy("add", a, b)
    ends = [toy("add", both, value=10), toy("add", both, value=20)]
    said: list[str] = []
    found = run([*ends, ends[0]], tmp_path, jobs=2, say=said.append)
    assert {one: found[one].values["value"] for one in (a, b, both, *ends)} == {a: 1, b: 2, both: 3, ends[0]: 13,
                                                                                 ends[1]: 23}  # fmt: skip
    assert len({found[one].values["pid"] for one in found}) <= 2
    again = run(ends, tmp_path, jobs=2, say=said.append)
    assert again[ends[0]] == found[ends[0]]
    assert [starts(tmp_path, one) for one in found] == [1] * 5
    # The longest of the chains, with two workers: a and b side by side, then the sum, then the ends side by side.
    assert said == [
        "5 cells: 0 cached, 5 to do: about 5 s of CPU time, 3 s with 2 workers (estimated for the machine of "
        "docs/claims.md)",
        "2 cells: 2 cached, 0 to do",
    ]


def test_a_failure_is_named_after_the_others_are_done(toy: Any, tmp_path: Path) -> None:
    bad = toy("fail", value=1)
    after, other = toy("add", bad), toy("add", value=5)
    with pytest.raises(ReslabError) as caught:
        run([after, other], tmp_path, jobs=1)
    assert caught.value.sentence.parts == (f"{bad.name}: ", "set another ", arg("lr"),
                                           " (1 cell that needs it was not done)")  # fmt: skip
    assert run([other], tmp_path)[other].values["value"] == 5
    assert starts(tmp_path, other) == 1
    assert starts(tmp_path, after) == 0
    failures: dict[Cell, Sentence] = {}
    found = run([after, other], tmp_path, jobs=1, failures=failures)
    assert list(found) == [other]
    assert failures == {bad: f"{bad.name}: set another lr", after: f"{bad.name}: set another lr"}


def test_a_killed_worker_s_cell_is_started_again_once(toy: Any, tmp_path: Path) -> None:
    once, twice, fine = toy("die once", value=1), toy("die", value=2), toy("add", value=3)
    said: list[str] = []
    why = "its worker process was killed by signal 9 (out of memory?)"
    with pytest.raises(ReslabError, match=rf"^{re.escape(twice.name)}: {re.escape(why)}$"):
        run([once, twice, fine], tmp_path, jobs=1, say=said.append)
    assert [starts(tmp_path, one) for one in (once, twice, fine)] == [2, 2, 1]
    assert said[1:] == [f"{one.name}: {why}; it is started again in a new worker" for one in (once, twice)]


def test_a_worker_that_ends_says_why(toy: Any, tmp_path: Path) -> None:
    one = toy("exit")
    with pytest.raises(ReslabError, match=rf"^toy \({one.key}\): no such library$"):
        run([one], tmp_path)


def test_another_command_s_cell_is_waited_for(toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reslab.study.pool.AGAIN", 0.05)
    one, other = toy("busy", value=1), toy("add", value=2)
    said: list[str] = []
    found = run([one, other], tmp_path, jobs=1, say=said.append)
    assert found[one].values["value"] == 1
    assert said[1:] == [f"another command is doing {one.name}; its result will be read"]


@pytest.mark.parametrize("damage", ['{"values": {}', '{"values": {}}', "[]", ""])
def test_a_damaged_result_is_done_again_and_said(damage: str, toy: Any, tmp_path: Path) -> None:
    one = toy(value=1)
    run([one], tmp_path)
    (tmp_path / one.key / "cell.json").write_text(damage)
    said: list[str] = []
    assert run([one], tmp_path, say=said.append)[one].values["value"] == 1
    assert starts(tmp_path, one) == 2
    assert f"{one.key}/cell.json is damaged" in said[0]
    assert said[0].endswith(f"; {one.name} is done again")


def test_the_result_of_other_settings_is_not_taken(toy: Any, tmp_path: Path) -> None:
    """A folder copied under another name."""
    one, other = toy(value=1), toy(value=2)
    run([one], tmp_path)
    Run(tmp_path / other.key).make()
    (tmp_path / other.key / "cell.json").write_bytes((tmp_path / one.key / "cell.json").read_bytes())
    said: list[str] = []
    assert run([other], tmp_path, say=said.append)[other].values["value"] == 2
    assert "is the result of other settings" in said[0]


def test_what_only_a_cached_cell_needs_is_not_done(toy: Any, tmp_path: Path) -> None:
    """The folder of a training may be deleted to save space: what was measured of it stays."""
    a = toy(value=1)
    b = toy("add", a)
    run([b], tmp_path)
    (tmp_path / a.key / "cell.json").unlink()
    assert list(run([b], tmp_path)) == [b]
    assert list(plan([b], tmp_path).todo) == []
    assert next(iter(plan([toy("add", a, value=4)], tmp_path).todo)) == a


def test_the_time_with_workers(toy: Any) -> None:
    """Two workers: 5 alone beside 3, then 1 and 1 (5 in all); a chain of 3 and 4 takes 7 with any number."""
    costs = [toy(cost=each) for each in (5.0, 3.0, 1.0, 1.5)]
    assert schedule({one: one.settings["cost"] for one in costs}, 2) == 5.5
    assert schedule({one: one.settings["cost"] for one in costs}, 1) == 10.5
    first = toy(cost=3.0, value=1)
    second = toy("add", first, cost=4.0)
    assert schedule({first: 3.0, second: 4.0}, 8) == 7.0
    assert schedule({}, 2) == 0.0


def test_progress_counts_in_cpu_seconds(toy: Any, tmp_path: Path) -> None:
    """One of 30 s, half done when it says so, then one of 10 s."""
    told: list[tuple[int, int, str]] = []
    cells = [toy(cost=30, seed=1), toy(cost=10, seed=2)]
    run(cells, tmp_path, jobs=1, rows=lambda name: lambda done, total, note="": told.append((done, total, str(note))))
    assert told == [
        (0, 40, "0 of 2 cells done, running: toy seed 1"),
        (15, 40, "0 of 2 cells done, running: toy seed 1"),
        (30, 40, "1 of 2 cells done"),
        (30, 40, "1 of 2 cells done, running: toy seed 2"),
        (35, 40, "1 of 2 cells done, running: toy seed 2"),
        (40, 40, "2 of 2 cells done"),
    ]


def test_progress_tells_failed_from_stopped(toy: Any, tmp_path: Path) -> None:
    """A failed cell is over, one that was stopped is not."""
    told: list[tuple[int, int, str]] = []
    cells = [toy("fail", cost=30), toy(cost=10)]
    failures: dict[Cell, Sentence] = {}
    run(cells, tmp_path, jobs=1, failures=failures,
        rows=lambda name: lambda done, total, note="": told.append((done, total, str(note))))  # fmt: skip
    assert told[-1] == (40, 40, "1 of 2 cells done, 1 failed")
    board = Board(plan([toy(cost=7, seed=3)], tmp_path), lambda name: lambda *report: told.append(report), print)
    board.began(next(iter(board.costs)))
    board.ended(next(iter(board.costs)), Failed(why="", code=143))
    assert told[-1] == (0, 7, "0 of 1 cells done")
