"""What an estimator's fit owes its surroundings: its folder, the signals, torch's random state."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from reslab.errors import UsageError
from reslab.nets.table import TableSpec
from reslab.run import Run
from reslab.tables.training import Parts, train_net
from reslab.train.progress import Tell
from reslab.train.recipe import Recipe
from reslab.train.signals import Interrupted
from reslab.train.training import Training

ABOUT = "table.json"  # in a folder to go on in: what is trained there


def take_up(run: Run, about: dict[str, Any]) -> None:
    """Begin or go on in a folder. Raises UsageError where another training, or something else, lies there."""
    about = json.loads(json.dumps(about))
    if run.has(ABOUT):
        there = run.read_json(ABOUT)
        if differ := [key for key in about if there.get(key) != about[key]]:
            raise UsageError(f"{run.folder} holds another training ({', '.join(differ)} differ); name a new folder")
    elif run.folder.is_dir() and not all(path.name == "results" for path in run.folder.iterdir()):
        raise UsageError(f"{run.folder} is not empty and holds no training of this kind; name a new folder")
    run.make()
    run.write_json(ABOUT, about)


def train_or_leave(
    parts: Parts, spec: TableSpec, *, recipe: Recipe, run: Run, device: torch.device, tell: Tell
) -> Training:
    """Train; stopped by a signal, leave by what no search over parameters takes for a failed fit."""
    try:
        training = train_net(parts, spec, recipe=recipe, run=run, device=device, tell=tell)
        if not training.asked:
            return training
        number = training.asked
    except Interrupted as error:
        number = error.exit_code - 128
    if number == signal.SIGINT:
        raise KeyboardInterrupt("training stopped; with a folder the same fit goes on from there")
    raise SystemExit(128 + number)


@contextmanager
def untouched(device: torch.device) -> Iterator[None]:
    """Inside, torch is seeded and set as a recipe says; afterwards it is as it was."""
    devices = range(torch.cuda.device_count()) if device.type == "cuda" else []
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    strict, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(strict, warn_only=warned)
