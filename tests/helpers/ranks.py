"""Several processes of one training: what each of them does (this file is their program), and how a test starts them.

A job is a dict: {"do": the name of a function here, ...}. Its result is what the function gives, or, of a ReslabError,
[the class's name, the exit code, the sentence].
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from rows import flats
from torch import Tensor, nn

from reslab.errors import ReslabError, ReslabWarning
from reslab.run import Run
from reslab.train.batch import Batch
from reslab.train.exchange import all_json
from reslab.train.gradient_sum import GradientSum
from reslab.train.joined import joined
from reslab.train.same_weights import digest, refuse_difference
from reslab.train.sync_norm import synced_norms
from reslab.train.training import Training
from reslab.train.tune import Choice
from reslab.train.world import World

Job = dict[str, Any]
RARE = 1.0  # of the toy's examples, those whose first number is larger take a branch of their own


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def variables(rank: int, size: int, port: int) -> dict[str, str]:
    """The variables that torchrun sets."""
    return {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # fmt: skip


def start(command: list[str], size: int, **how: Any) -> list[subprocess.Popen[str]]:
    """The processes of a command, by rank."""
    port = free_port()
    return [subprocess.Popen(command, env=os.environ | variables(rank, size, port), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, **how) for rank in range(size)]  # fmt: skip


def together(size: int, jobs: list[Job], folder: Path) -> list[list[Any]]:
    """The results of the jobs, by rank, of processes that do them one after the other."""
    folder.mkdir(exist_ok=True)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    ranks = start([sys.executable, "-W", "error", __file__, str(folder)], size)
    told = [rank.communicate(timeout=900)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0] * size, "\n".join(told)
    return [json.loads((folder / f"results-{rank}.json").read_text()) for rank in range(size)]


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with joined() as world:
        results = []
        for job in json.loads((folder / "jobs.json").read_text()):
            words = {key: value for key, value in job.items() if key != "do"}
            try:
                results.append(globals()[job["do"]](world, **words))
            except ReslabError as error:
                results.append([type(error).__name__, error.exit_code, str(error)])
        (folder / f"results-{world.rank}.json").write_text(json.dumps(results))


def train(
    world: World, *, family: str, folder: str, stop: list[int] | None = None, nan: list[int] | None = None,
    drift: list[int] | None = None, factor: float = 1.0,
) -> dict[str, Any]:  # fmt: skip
    """Train a run folder; its result, the warnings, and the rows that this process saw in each iteration.

    stop: (k, rank): SIGTERM comes to that process in step k. nan: the same for a loss that is not a number. drift: the
    same for one of its weights, which is multiplied by `factor` after the step.
    """
    from reslab.images.train import train as on_images
    from reslab.qa.train import train as on_questions
    from reslab.tables.train import train as on_table

    rows: list[list[int]] = []
    with (
        watched(rows, stop=at(stop, world), nan=at(nan, world), drift=at(drift, world), factor=factor),
        warned() as told,
    ):
        learn: Any = {"images": on_images, "questions": on_questions, "tables": on_table}[family]
        try:
            result = learn(Path(folder), device="cpu", world=world)
        except ReslabError as error:
            return {"error": [type(error).__name__, error.exit_code, str(error)], "rows": rows}
    return {"result": result, "rows": rows, "warned": [str(one.message) for one in told]}


@contextlib.contextmanager
def warned() -> Iterator[list[warnings.WarningMessage]]:
    """The warnings of reslab inside; others are errors as ever."""
    with warnings.catch_warnings(record=True) as told:
        warnings.filterwarnings("always", category=ReslabWarning)
        yield told


def at(where: list[int] | None, world: World) -> int:
    """The iteration that is meant for this process, or 0."""
    return where[0] if where and where[1] == world.rank else 0


@contextlib.contextmanager
def watched(
    rows: list[list[int]], *, stop: int = 0, nan: int = 0, drift: int = 0, factor: float = 1.0
) -> Iterator[None]:  # fmt: skip
    """Inside, the rows of each step are noted; in step `stop` comes SIGTERM, in `nan` a NaN, after `drift` a change."""
    plain = Training.step

    def step(self: Training, batch: Batch) -> None:
        rows.append(batch.index.tolist())
        if nan == self.iteration + 1:
            assert isinstance(batch.x, Tensor)
            batch = replace(batch, x=batch.x * torch.nan)
        if stop == self.iteration + 1:
            os.kill(os.getpid(), signal.SIGTERM)
        plain(self, batch)
        if drift == self.iteration:
            with torch.no_grad():
                self.weights[0].view(-1)[0] *= factor

    Training.step = step  # type: ignore[method-assign]
    try:
        yield
    finally:
        Training.step = plain  # type: ignore[method-assign]


class Scores:
    """A task whose loss is a mean, weighted by the class as F.cross_entropy does it."""

    device = torch.device("cpu")

    def __init__(self, weights: list[float] | None) -> None:
        self.weights = None if weights is None else torch.tensor(weights)
        if weights is not None:
            self.weight = lambda y: torch.tensor(weights)[y].sum()

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(out, y, weight=self.weights)

    def wrong(self, out: Tensor, y: Tensor) -> Tensor:
        return (out.argmax(dim=1) != y).sum()


class Center(nn.Module):
    """Keeps the mean of what it saw, the number of its calls, and one thing that is not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(5))
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("last", torch.zeros(0), persistent=False)

    def forward(self, x: Tensor) -> None:
        self.mean = 0.5 * self.mean + 0.5 * x.detach().mean(0)  # another tensor in its place
        self.calls += 1
        self.last = x[:, 0].detach()


def toy(seed: int = 0) -> nn.Module:
    """A net with BatchNorm, a layer that is not used, and one that only some examples use."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3))
    net.unused, net.rare, net.center = nn.Linear(2, 2), nn.Linear(5, 3), Center()
    usual = nn.Sequential(*list(net)[:4]).forward

    def forward(x: Tensor) -> Tensor:
        some = x[:, 0] > RARE
        net.center(x)
        return usual(x).index_add(0, some.nonzero()[:, 0], net.rare(x[some])) if some.any() else usual(x)

    net.forward = forward  # type: ignore[method-assign]
    return net


def examples(n: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(n, 5, generator=g), torch.randint(0, 3, (n,), generator=g)


def gradients(
    world: World, *, bounds: list[int], weights: list[float] | None = None, parts: int = 1, synced: bool = False
) -> dict[str, Any] | None:  # fmt: skip
    """Loss, wrong predictions, count, gradients and statistics; process r has the examples bounds[r]..bounds[r + 1]."""
    net = toy().train()
    x, y = examples(bounds[-1])
    own = slice(bounds[world.rank], bounds[world.rank + 1])
    batch = Batch(x=x[own], y=y[own], index=torch.arange(bounds[-1])[own], iteration=0)
    found = GradientSum(net, synced=synced).add(Scores(weights), net, batch, choice=Choice(), parts=parts)  # type: ignore[arg-type]
    if found is None:
        return None
    named = {name: None if p.grad is None else p.grad.tolist() for name, p in net.named_parameters()}
    return {"told": [float(one) for one in found], "gradients": named,
            "buffers": {name: value.tolist() for name, value in net.named_buffers()}}  # fmt: skip


def counters(world: World) -> dict[str, Any]:
    """A net that counted its passes otherwise in each process: what becomes of that, and of nothing else."""
    net = nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad():
        net[0].weight.fill_(1)
        net[0].bias.fill_(2)
    net.register_buffer("calls", torch.tensor(7 - world.rank))
    net.register_buffer("seen", torch.tensor([not world.rank, True]))
    refuse_difference(net, all_json(digest(net)), iteration=3, world=world)
    return {name: value.tolist() for name, value in net.state_dict().items()}


def norms(world: World, *, bounds: list[int]) -> dict[str, Any]:
    """BatchNorm2d of some images of 3 x 2 numbers in double precision: outputs, gradients, statistics."""
    g = torch.Generator().manual_seed(2)
    x = torch.randn(bounds[-1], 4, 3, 2, generator=g, dtype=torch.float64) * 3 + 1
    weight = torch.randn(x.shape, generator=g, dtype=torch.float64)
    own = slice(bounds[world.rank], bounds[world.rank + 1])
    mine = x[own].requires_grad_()
    norm = nn.BatchNorm2d(4).double()
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1, 5))
    with synced_norms():
        out = norm(mine)
    (out * weight[own]).sum().backward()
    assert mine.grad is not None
    return {"out": out.tolist(), "grad": mine.grad.tolist(), "mean": norm.running_mean.tolist(),  # type: ignore[union-attr]
            "var": norm.running_var.tolist()}  # type: ignore[union-attr]  # fmt: skip


def scores(world: World, *, family: str, folder: str) -> Any:
    """What a trained net gives for each of its training images, rows or windows; each process has several batches."""
    device, run = torch.device("cpu"), Run(folder)
    if family == "images":
        from reslab.images.data import Normalize
        from reslab.images.evaluate import evaluate
        from reslab.images.train import stored_data
        from reslab.nets import load

        with mock.patch("reslab.images.evaluate.BATCH", 7):
            found = evaluate(load(folder), stored_data(run).train, device=device, world=world,
                             normalize=Normalize.from_dict(run.read_json("normalize.json")))  # fmt: skip
        assert found.scores is not None
        return found.scores.tolist()
    if family == "tables":
        from reslab.tables.model import load as load_table

        model = load_table(folder, device="cpu")
        model.world = world
        with mock.patch("reslab.tables.task.CPU_ROWS", 32):
            return model.scores(flats()).tolist()
    from reslab.qa.features import compute
    from reslab.qa.folder import cut, stored_data
    from reslab.qa.predict import predict
    from reslab.qa.reader import load

    reader = load(folder, device="cpu")
    windows = cut(stored_data(run).train, run, reader.net.spec)
    with mock.patch("reslab.qa.data.windows.CPU_TOKENS", 60):
        assert len(windows.groups(device)) > 3
        spans = predict(reader.net, windows, device=device, choice=reader.choice, world=world)
        features = compute(reader.net.encoder, windows, device=device, choice=reader.choice, world=world)
    found = {name: np.asarray(value).tolist() for name, value in vars(spans).items() if value is not None}
    return found | {"features of the encoder": features.values.tolist()}


def whole_part(world: World, *, folder: str, broken: list[int]) -> dict[str, Any]:
    """Precise BN of a net and the features of its head, over a training part of which some images are broken."""
    from reslab.images.data import Encoded, Normalize, load
    from reslab.images.features import compute
    from reslab.images.precise import average_norms
    from reslab.nets import build, spec
    from reslab.train.features import extract

    torch.manual_seed(0)
    part = load(folder, memory=0).train
    assert isinstance(part, Encoded)
    net = build(spec("resnet8", channels=1, size=8, classes=3)).train()
    normalize = Normalize(torch.full((1, 1, 1), 0.3), torch.ones(1, 1, 1))
    average_norms(net, part, normalize, torch.device("cpu"), batch=5, world=world)
    state = {name: value.tolist() for name, value in net.state_dict().items() if "running" in name or "num_" in name}
    with mock.patch("reslab.images.features.BATCH", 7), mock.patch("reslab.images.evaluate.BATCH", 7):
        found = compute(part, lambda x: extract(net.eval(), "head", Choice(), x), normalize=normalize, workers=0,
                        device=torch.device("cpu"), skip=True, done=lambda _: None, world=world)  # fmt: skip
    assert sorted(found.broken) == broken
    return {"state": state, "features": found.values.tolist(), "broken": [list(one) for one in found.broken.items()]}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
