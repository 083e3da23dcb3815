"""A grid on a Ray cluster of two nodes of this machine: a killed worker, a stop, nodes that do not see the cache."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reslab.errors import ReslabError, UsageError
from reslab.images.data import load
from reslab.run import Run
from reslab.study.grid import Cell, run
from reslab.study.grid.cell import cell
from reslab.study.grid.on_ray import cluster, packed, unpack
from reslab.study.grid.one import do, read
from reslab.study.work.train import RUN


def test_a_folder_travels(tmp_path: Path) -> None:
    """The result last, as it says that all is there; a path that leads elsewhere is refused."""
    for name in ("cell.json", "run/weights", "z", ".lock", "run/.lock"):
        (tmp_path / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / name).write_text(name)
    pack = packed(tmp_path / "a")
    assert [name for name, _ in pack] == ["run/weights", "z", "cell.json"]
    unpack(pack, tmp_path / "b")
    assert packed(tmp_path / "b") == pack
    with pytest.raises(ReslabError, match=r"outside of its cell's folder: \.\./evil"):
        unpack([("../evil", b"")], tmp_path / "b")
    assert not (tmp_path / "evil").exists()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes with one core each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # its workers find what this process finds
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    yield nodes.address
    nodes.shutdown()


def train_cells(word: Path, *seeds: int, iterations: int) -> list[Cell]:
    about = {"word": str(word), "options": {}, "fingerprint": load(str(word)).fingerprint}
    changes = {"epochs": 0, "drops": [], "iterations": iterations, "batch": 8}
    return [cell("train", {"net": "resnet8", "recipe": "digits", "options": {"widths": [4, 4, 4]}, "changes": changes,
                           "data": about, "seed": seed}) for seed in seeds]  # fmt: skip


def told(folder: Run) -> dict[str, list[int]]:
    """Iterations of each kind of event."""
    found: dict[str, list[int]] = {}
    for event in folder.metrics():
        found.setdefault(event["event"], []).append(event.get("iteration", 0))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_worker_killed_midway(address: str, pngs: Path, tmp_path: Path, same_end: Any) -> None:
    """Four trainings on two nodes, an actor of one killed by SIGKILL: all are done, the others once, with the bits of
    here."""
    cells = train_cells(pngs, 0, 1, 2, 3, iterations=150)
    folders = [Run(tmp_path / "ray" / one.key / RUN) for one in cells]
    victims: list[int] = []
    said: list[str] = []

    def rows(name: str) -> Any:
        def report(done: int, total: int, note: str = "", /) -> None:
            if not victims and all(len(folder.metrics()) > 2 for folder in folders[:2]):
                victims.append(actor_pids()[0])
                os.kill(victims[0], signal.SIGKILL)

        return report

    found = run(cells, tmp_path / "ray", on=f"ray:{address}", device="cpu", rows=rows, say=said.append)
    assert len(victims) == 1
    assert sum("died" in sentence and "started again" in sentence for sentence in said) == 1
    assert "4 cells: 0 cached, 4 to do" in said[0]
    assert "with 2 workers" in said[0]
    resumed = [len(told(folder).get("resume", [])) for folder in folders]
    assert sorted(resumed) == [0, 0, 0, 1]  # the killed one went on from where it was; the others ran once
    for one, folder in zip(cells, folders, strict=True):
        do(one, tmp_path / "here", device="cpu")
        here = read(one, tmp_path / "here")
        assert here is not None
        assert found[one].values == here.values
        same_end(Run(here.folder / RUN), folder)


def actor_pids() -> list[int]:
    """Processes of Ray that hold one of our workers."""
    listed = subprocess.run(["pgrep", "-f", "ray::Node"], capture_output=True, text=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_nodes_that_do_not_see_the_cache(
    address: str, pngs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_end: Any
) -> None:
    """The folder of a training comes back, and is sent to whoever measures it."""
    monkeypatch.setattr("reslab.study.grid.on_ray.Remote.shares", lambda self: False)
    (trained,) = train_cells(pngs, 0, iterations=10)
    looked = cell("responses", {**trained.settings, "samples": 8}, trained)
    found = run([looked], tmp_path / "ray", on=f"ray:{address}", device="cpu")
    do(trained, tmp_path / "here", device="cpu")
    do(looked, tmp_path / "here", device="cpu")
    here = [read(one, tmp_path / "here") for one in (trained, looked)]
    assert [found[one].values for one in (trained, looked)] == [one.values for one in here if one is not None]
    same_end(Run(tmp_path / "here" / trained.key / RUN), Run(tmp_path / "ray" / trained.key / RUN))


@pytest.mark.parametrize("where", ["127.0.0.1:9", "127.0.0.1:port"])
def test_no_cluster_there(where: str, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=rf"^no Ray cluster answers at {where} .*; give its address as on=.ray:HOST"),
        cluster(f"ray:{where}", tmp_path, jobs=0, device="cpu"),
    ):
        pass


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("nproc", "jobs"), [(1, 2), (2, 1)])
def test_ray_started_by_the_command(nproc: int, jobs: int, tmp_path: Path) -> None:
    """On this machine alone: it ends with an error if Ray would listen to others. The second time nothing is done.

    With two processes per training, one training at a time: Ray holds two cores for each.
    """
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "reslab", "study", "grid", "--net", "resnet8", "--seeds", "2", "--iterations", "2",
               "--on", "ray", "--jobs", str(jobs), "--nproc", str(nproc), "--device", "cpu"]  # fmt: skip
    for cached in (0, 2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"2 cells: {cached} cached, {2 - cached} to do" in done.stderr
    recorded = [json.loads(path.read_text()).get("processes", 1) for path in tmp_path.glob("runs/cells/*/run/env.json")]
    assert recorded == [nproc] * 2
