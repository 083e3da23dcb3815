"""Trainings of a grid by several processes each: how many fit at once, what they ask of a cluster, and one for real."""

import json
from pathlib import Path
from typing import Any

import pytest

from reslab.cli import main
from reslab.errors import ReslabError, UsageError
from reslab.run import Run
from reslab.study.grid import Cell
from reslab.study.grid.cell import cell, widest
from reslab.study.grid.combine import Asked, combinations
from reslab.study.grid.on_ray import Remote, cluster
from reslab.study.grid.on_slurm import job
from reslab.study.grid.plan import Plan
from reslab.study.jobs import fair_jobs
from reslab.study.work.train import RUN


def test_it_is_part_of_what_decides_the_result() -> None:
    """BatchNorm sees other parts of the batch; one process is what it was before there could be several."""
    alone, again, four = (
        combinations(Asked(nets=["resnet8"], changes={"iterations": 2}, **many))[0][0].cells([0])[0]
        for many in ({}, {"nproc": 1}, {"nproc": 4})
    )
    assert alone == again
    assert alone.key != four.key
    assert [alone.cores, four.cores, widest([alone, four]), widest([])] == [1, 4, 4, 1]
    with pytest.raises(UsageError, match=r"^nproc must be at least 1, got 0$"):
        combinations(Asked(nets=["resnet8"], nproc=0))


def test_as_many_at_once_as_have_their_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reslab.study.jobs.usable_cores", lambda: 10)
    assert [fair_jobs(20, each=each) for each in (1, 4, 5, 16)] == [10, 2, 2, 1]
    cells = {cell("train", {"net": "resnet8", "seed": seed, "nproc": 4}): 40.0 for seed in range(4)}
    assert Plan(todo=cells, found={}, jobs=2).wall == 20.0  # two rounds of 40 CPU seconds in 4 processes


def test_slurm_is_asked_for_the_cores() -> None:
    text = job(Path("plan"), tasks=2, at_once=0, seconds=1.0, gpu=True, cores=4)
    assert "#SBATCH --cpus-per-task=4\n#SBATCH --gres=gpu:4\n" in text


class FakeRay:
    """A cluster of nodes with so many CPUs each; it keeps what actors ask for."""

    def __init__(self, *cpus: int) -> None:
        self.cpus, self.asked, self.killed = cpus, [], 0  # type: ignore[var-annotated]

    class exceptions:  # noqa: N801 - its name in Ray
        RayActorError = RuntimeError

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(sum(self.cpus))}

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": float(n)}} for n in self.cpus]

    def shutdown(self) -> None:
        pass


def test_ray_is_asked_for_the_cores_of_one_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes of 8, 3 and 4 cores hold two trainings of 4 processes, and one: not (8 + 3 + 4) / 4."""
    monkeypatch.setattr("reslab.study.grid.on_ray.connected", lambda address, jobs: FakeRay(8, 3, 4))
    with cluster("ray", tmp_path, jobs=0, device="cpu", each=4) as (at_once, make):
        assert at_once == 3
        assert len(make(2, lambda one: print)) == 2
    with (
        pytest.raises(ReslabError, match=r"^no node of the Ray cluster has 9 CPUs$"),
        cluster("ray", tmp_path, jobs=0, device="cpu", each=9),
    ):
        pass


def test_a_worker_is_replaced_by_one_with_the_cores_of_the_next_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    def begin(self: Remote, cores: int) -> None:
        begun.append(cores)
        self.actor, self.cores = object(), cores

    monkeypatch.setattr(Remote, "begin", begin)
    monkeypatch.setattr(Remote, "close", lambda self: setattr(self, "actor", None))
    monkeypatch.setattr(Remote, "here", lambda self, one: None)
    hand = Remote(FakeRay(4), tmp_path, "cpu", lambda one: print, gpu=False)
    cells: list[Cell] = [cell("train", {"net": "resnet8", "seed": seed, "nproc": nproc})
                         for seed, nproc in enumerate((4, 4, 1, 4))]  # fmt: skip
    for one in cells:
        assert hand.do(one) is None
    assert begun == [4, 1, 4]


@pytest.mark.slow
def test_trained_by_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = "study grid --net resnet8 --seeds 1 --iterations 4 --nproc 2 --device cpu --out runs/grid".split()
    assert main(words) == 0
    (one,) = Run("runs/grid").read_json("results/grid.json")["runs"]
    found = json.loads((Path(one["folder"]) / "env.json").read_text())
    assert (found["processes"], Path(one["folder"]).name, one["iterations"]) == (2, RUN, 4)
    assert one["cpu_seconds"] > 2  # those of the processes, which import torch, too
