"""Folders as `reslab train`, `reslab eval` and `reslab study` leave them, with invented numbers."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = {
    "name": "digits", "train": 1437, "test": 360, "classes": [str(d) for d in range(10)], "shape": [1, 8, 8],
    "fingerprint": "9f2c61d0a7b4", "about": "scikit-learn's 8 by 8 handwritten digits", "skipped": 0,
}  # fmt: skip
ENV = {
    "reslab": "0.1.0", "torch": "2.13.0", "python": "3.11.2", "device": "cpu", "device_name": "a CPU with two cores",
    "threads": 2, "commit": "0123abc", "machine": "x86_64",
}  # fmt: skip
RECIPE = {"batch": 128, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0001, "drops": [240, 360], "iterations": 480}
DROPS = [240, 360]


def curve(end: float, seed: int, step: int, noise: float = 0.06) -> list[list[float]]:
    """An error that falls from 90 % to `end`, in stairs at the drops, as a training curve does."""
    dice = random.Random(seed)
    points = []
    for i in range(step, 481, step):
        stairs = 1 + 1.3 * (i < DROPS[0]) + 0.35 * (i < DROPS[1])
        points.append([i, round((90 - end) * math.exp(-i / 35) + end * stairs * (1 + dice.gauss(0, noise)), 4)])
    return [*points[:-1], [480, end]]


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Any]:
    """The content of a degradation study's study.json: four depths, two kinds, three seeds."""
    ends = {"plain": {20: 8.1, 32: 8.9, 44: 10.6, 56: 13.2}, "residual": {20: 7.4, 32: 6.6, 44: 6.1, 56: 5.7}}
    curves, runs, table = [], [], []
    for kind, depths in ends.items():
        for depth, end in depths.items():
            net = f"{'plain' if kind == 'plain' else 'resnet'}{depth}"
            tests = []
            for seed in range(3):
                final = round(end + 0.35 * (seed - 1) + 0.01 * depth, 4)
                tests.append(final)
                whose = {"net": net, "kind": kind, "depth": depth, "seed": seed}
                train = curve(round(final * 0.6, 4), 7 * depth + seed, 6)
                curves.append(whose | {"train": train, "test": curve(final, depth + seed, 24)})
                errors = {"train_error": round(final * 0.6, 4), "train_error_eval": round(final * 0.5, 4)}
                size = {"folder": f"{net}-s{seed}", "parameters": 13500 * depth - 300, "seconds": 31.25 + depth}
                runs.append(whose | size | errors | {"test_error": final})
            mean = sum(tests) / 3
            row = {"net": net, "kind": kind, "depth": depth, "n": 3, "parameters": 13500 * depth - 300}
            for key, part in (("train", 0.6), ("train_eval", 0.5), ("test", 1.0)):
                row |= {f"{key}_mean": round(mean * part, 4), f"{key}_std": round(0.35 * part, 4)}
            table.append(row)
    welch = {"name": "Welch t", "value": 14.32, "p": 0.00014, "n": 3}
    verdicts = [
        {"question": "Does depth hurt the plain net's training error?", "answer": "yes", "statistic": welch,
         "sentence": "plain56 ends 3.22 points above plain20 on the training set."},
        {"question": "Does the residual net train better when deeper?", "answer": "yes", "statistic": welch,
         "sentence": "resnet56 ends 0.89 points below resnet20 on the training set."},
        {"question": "Does the deeper residual net also test better?", "answer": "not shown",
         "sentence": "The difference of 0.4 points lies within the spread of three seeds.",
         "statistic": {"name": "Welch t", "value": 1.31, "p": 0.26, "n": 3}},
    ]  # fmt: skip
    return {
        "study": "degradation", "title": "The degradation problem and its cure", "created": "2026-01-15",
        "command": "reslab study degradation --data digits --depths 20,32,44,56 --seeds 3",
        "data": DATA, "recipe": RECIPE, "env": ENV, "drops": DROPS, "runs": runs, "curves": curves, "table": table,
        "verdicts": verdicts, "caveats": ["Digits are 8 by 8 pixels: the nets are far too large for them."],
    }  # fmt: skip


@pytest.fixture
def study_folder(tmp_path: Path, study: dict[str, Any]) -> Path:
    folder = tmp_path / "degradation"
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(study))
    return folder


def confusion(classes: int, n: int, seed: int) -> list[list[int]]:
    """Counts of n images a class, about nine of ten right."""
    dice = random.Random(seed)
    rows = [[0] * classes for _ in range(classes)]
    for i in range(classes):
        for _ in range(n):
            right = dice.random() < 0.97 - 0.25 * dice.random() * (i % 4 == 3)
            rows[i][i if right else dice.randrange(classes)] += 1
    return rows


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """make_run("name", end=7.3, classes=[...]) writes a finished, evaluated run and returns its folder."""

    def make(name: str = "resnet56-digits", *, end: float = 7.3, classes: list[str] | None = None) -> Path:
        folder = tmp_path / name
        (folder / "results").mkdir(parents=True)
        names = classes or DATA["classes"]
        spec = {"name": "resnet56", "family": "resnet", "stages": [9, 9, 9], "shortcut": "A", "classes": len(names)}
        times = {"fp32 NCHW": 25.1, "fp32 NHWC": 22.7, "bf16 NHWC": 17.9}
        choice = {"precision": "bf16", "memory_format": "NHWC", "compile": False, "milliseconds": times}
        events: list[dict[str, Any]] = [{"event": "choice", **choice}]
        for (i, loss), (_, error) in zip(curve(0.21, 1, 4), curve(end * 0.6, 2, 4), strict=True):
            lr = 0.1 * 0.1 ** sum(i > d for d in DROPS)
            events.append(
                {"event": "train", "iteration": i, "epoch": i / 12, "loss": loss / 25, "error": error, "lr": lr}
            )
        for i, error in curve(end, 3, 20):
            events.append(
                {"event": "eval", "iteration": i, "part": "test", "loss": error / 28, "error": error, "n": 360}
            )
        events += [{"event": "lr", "iteration": d, "lr": 0.01, "reason": "drop"} for d in DROPS]
        events.append({"event": "skipped", "name": "7/broken.png", "reason": "cannot identify image file"})
        train = {
            "net": "resnet56", "parameters": 853018, "macs": 125485056, "iterations": 480, "epochs": 40.0, "seed": 0,
            "train_error": round(end * 0.6, 4), "train_error_eval": 0.14, "test_error": end, "test_top5": 0.28,
            "test_loss": 0.2611, "test_n": 360, "validation_error": None, "seconds": 391.2, "drops": DROPS,
            "examples_per_second": 2043.7, "choice": choice,
            "command": f"reslab train resnet56 --data digits --out {name}",
        }  # fmt: skip
        seen = {
            "error": end, "error_low": end * 0.7, "error_high": end * 1.45, "top5": 0.28, "n": 360, "loss": 0.2611,
            "views": "single view", "precision": "fp32", "classes": names,
            "confusion": confusion(len(names), 36, 4), "data": DATA, "command": f"reslab eval {name}",
        }  # fmt: skip
        toml = "\n".join(f"{key} = {value}" for key, value in RECIPE.items())
        (folder / "recipe.toml").write_text(f"# reslab train resnet56\n{toml}\n")
        (folder / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
        stored = {"spec": spec, "data": DATA | {"classes": names}, "env": ENV}
        for file, value in {**stored, "results/train": train, "results/eval": seen}.items():
            (folder / f"{file}.json").write_text(json.dumps(value))
        return folder

    return make
