"""What checking the digests costs: loading with the check against loading without it, measured in turn.

    python bench/digests.py [--rounds 15] [--nets resnet20 resnet110 resnet50]

CPU seconds of this process, files in the page cache (from a disk, the check costs less of the whole): reslab.load of a
run folder, a net and its optimizer from a checkpoint, reslab.tables.load and reslab.qa.load. Medians of single loads,
with and without the check in turn. The ratio should stay at or below 1.05.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

import reslab
from reslab.nets import build, spec, to_dict
from reslab.run import Run, processor
from reslab.stored import tensors
from reslab.train.checkpoint import read_last, write_last, write_weights


def image_run(folder: Path, name: str) -> Run:
    """A run folder of a net with random weights, and a checkpoint with its momentum."""
    run, one = Run(folder), spec(name)
    run.make()
    net = build(one)
    write_weights(run, net, to_dict(one))
    run.write_json("spec.json", to_dict(one))
    momentum = {k: {"momentum_buffer": torch.randn_like(weight)} for k, weight in enumerate(net.parameters())}
    write_last(run, {
        "iteration": 1, "seconds": 1.0, "epoch_error": 1.0, "net": net.state_dict(), "sums": torch.zeros(2, 3),
        "optimizer": {"state": momentum, "param_groups": []}, "schedule": {
            "warm": False, "left_at": None, "best": 1.0, "waited": 0, "plateaus": 0},
        "skipped": [], "choice": {}, "generators": {},
    })  # fmt: skip
    return run


def table_run(folder: Path) -> Path:
    draws = np.random.default_rng(0)
    table = {f"x{k}": draws.normal(size=400) for k in range(8)} | {"town": draws.choice(["a", "b", "c"], 400)}
    model = reslab.tables.ResidualClassifier(recipe={"epochs": 1}, random_state=0).fit(table, draws.choice([0, 1], 400))
    return model.save(folder)


def question_run(folder: Path) -> Path:
    """A reader of reslab's small encoder, not trained."""
    from reslab.qa.folder import Reading, load, prepare, small
    from reslab.qa.net.net import QASpec, build_qa
    from reslab.qa.net.net import to_dict as qa_dict
    from reslab.train.recipe import read

    word = str(Path(__file__).parents[1] / "docs" / "examples" / "questions.json")
    reading, data = load(word, Reading(rule="", share=0.2))
    encoder, tokenizer = small(data)
    one = QASpec(name="small", encoder=encoder, head="sds", length=384)
    run = prepare(folder, spec=one, tokenizer=tokenizer, data=data, word=word, reading=reading, recipe=read("qa-small"))
    write_weights(run, build_qa(one), qa_dict(one))
    run.write_json("qa.json", {"rule": "squad1", "length": 384, "stride": 128})
    return run.folder


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    with (
        patch.object(tensors, "check_tensors", lambda path: True),
        patch.object(tensors, "check_archive", lambda path: True),
    ):
        yield


def resumed(run: Run, name: str) -> Any:
    """A net and its optimizer as a checkpoint has them, as resuming restores them."""
    net, saved = build(spec(name)), read_last(run)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net.load_state_dict(saved["net"])
    saved["optimizer"]["param_groups"] = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict(saved["optimizer"])
    return net, optimizer


def seconds(load: Callable[[], Any]) -> float:
    began = time.process_time()
    load()
    return time.process_time() - began


def measure(name: str, load: Callable[[], Any], files: list[Path], rounds: int) -> None:
    """Print the medians of loads with and without the check, one after the other."""
    load()
    pairs = rounds * max(1, round(0.1 / seconds(load)))
    found: dict[bool, list[float]] = {True: [], False: []}
    for k in range(pairs):
        for check in (True, False) if k % 2 else (False, True):
            with contextlib.nullcontext() if check else unchecked():
                found[check].append(seconds(load))
    size = sum(file.stat().st_size for file in files) / 1e6
    with_it, without = (1000 * median(found[check]) for check in (True, False))
    print(f"{name:<18} {size:6.1f} MB {with_it:8.2f} ms with the check, {without:8.2f} ms without: "
          f"ratio {with_it / without:.3f} (n={pairs})", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--nets", nargs="+", default=["resnet20", "resnet110", "resnet50"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{processor()}, 1 thread, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as root:
        for name in asked.nets:
            run = image_run(Path(root) / name, name)
            weights, last = run.path("weights.safetensors"), run.path("last.pt")
            measure(f"load {name}", lambda run=run: reslab.load(run.folder), [weights], asked.rounds)
            measure(f"resume {name}", lambda run=run, name=name: resumed(run, name), [last], asked.rounds)
        table = table_run(Path(root) / "table")
        measure(
            "load a table's net", lambda: reslab.tables.load(table), list(table.glob("*.safetensors")), asked.rounds
        )
        reader = question_run(Path(root) / "reader")
        measure("load a reader", lambda: reslab.qa.load(reader), list(reader.glob("*.safetensors")), asked.rounds)


if __name__ == "__main__":
    main()
