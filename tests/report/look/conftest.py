"""Folders as `reslab look` leaves them, with invented numbers that behave as real ones do."""

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Facts = dict[str, Any]
CLASSES = [str(d) for d in range(10)]


def invented(stages: Sequence[int], *, module: str = "stages.{stage}.{block}", labels: bool = True) -> Facts:
    """All results of one residual net: `stages` blocks in each stage, a projection where the shape changes."""
    dice = random.Random(sum(stages))
    places = [(stage, block) for stage, blocks in enumerate(stages) for block in range(blocks)]
    n = len(places)
    names = [module.format(stage=stage, block=block) for stage, block in places]
    kinds = ["projection" if stage and not block else "identity" for stage, block in places]
    shapes = [[2, 16 << stage % 8, max(32 >> stage, 1), max(32 >> stage, 1)] for stage, _ in places]
    merges, single, steps, sums, ends, layers, norms = [], [], [], [], [], [], []
    for i, (name, kind, shape) in enumerate(zip(names, kinds, shapes, strict=True)):
        jump, error = kind == "projection", round(0.17 + (0.2 if kind == "projection" else 0.03) * dice.random(), 4)
        merges.append({
            "index": i, "module": name, "path": name, "kind": kind, "before": shapes[max(i - 1, 0)], "shape": shape,
            "depth": 0, "parent": None, "params": 4672 << 2 * places[i][0] % 16, "macs": 9437184, "named": False,
            "shortcut_params": 0, "cuttable": not jump, "out": {"path": name, "count": 0}, "skip": None, "branches": [],
            "why": "its shortcut maps the shape" if jump else "the ReLU after the addition changes nothing",
        })  # fmt: skip
        values = {"error": error, "loss": error * 6, "kl": error / 2} if labels else {"drift": error}
        single.append({"merge": i, "module": name, "kind": kind, "values": values})
        cosine = None if not labels else round(-0.1 * dice.random() * i / n + 0.004, 5)
        steps.append({"index": i, "module": name, "influence": 0.02 + 0.1 * jump, "ratio": 0.2, "cosine": cosine})
        sums.append({"index": i, "module": name, "skip": 1.0, "branch": 0.3 + 0.2 * jump, "out": 1.1})
        ends.append({"index": i, "module": name, "out": 2 - i / n, "signal": 1.5})
        for half in (1, 2):
            layer = {"index": len(layers), "module": f"{name}.branch.conv{half}", "norm": None, "call": 0,
                     "kind": "Conv2d", "shape": shape[1:], "merge": i, "shortcut": False, "head": False}  # fmt: skip
            layers.append(layer | {"kernel": [3, 3], "std": 0.3 + 0.1 * dice.random() + 0.2 * (half == 1), "mean": 0.0})
            norms.append(layer | {"weight": 0.4, "weight_size": 4.0, "activation": 2 - i / n, "signal": 0.5})
    head = {"index": 2 * n, "module": "head.linear", "kind": "Linear", "shape": [10], "merge": None, "head": True}
    metrics = ["error", "loss", "kl"] if labels else ["drift"]
    whole = {"error": 0.168, "loss": 0.9, "kl": 0.0} if labels else {"drift": 0.0}
    main = metrics[0]
    ks = sorted({1, max(1, n // 4), max(1, n // 2), n})
    drawn = [{"k": k, "values": {main: [min(0.9, 0.17 + 0.7 * k / n + 0.01 * j) for j in range(5)]}} for k in ks]
    orders = [
        {"swaps": s, "tau": 1 - s / n - j / 99, "values": {main: 0.2 + 0.6 * s / n}} for s in (1, 2) for j in (0, 1)
    ]
    health = {"verdict": "healthy", "words": "healthy", "ratio": 3.0, "slope": -0.01, "start": 0.3, "fit": 0.5,
              "change": 0.3, "zeros": 0}  # fmt: skip
    depths = [{"depth": d, "module": names[d - 1] if d else None, "projections": kinds[d:].count("projection"),
               "values": {main: 0.9 - 0.73 * (d / n) ** 4}} for d in range(n + 1)]  # fmt: skip
    counts = [math.comb(n, k) for k in range(n + 1)]
    norm = [2.0 * 0.3**k for k in range(n + 1)]
    product = [float(c) * y if c < 10**250 else 0.0 for c, y in zip(counts, norm, strict=True)]
    exact = [math.exp(-((k - 0.2 * n) ** 2) / (0.1 * n + 1)) for k in range(n + 1)]
    return {
        "merges": {"model": "ResNet", "batch": 2, "merges": merges, "sums": [], "notes": []},
        "lesions": {"n": 1000, "metrics": metrics, "whole": whole, "method": "growing", "why": "", "single": single,
                    "random": drawn, "reorder": orders, "layers": [], "notes": []},
        "paths": {"n": 4, "merges": n, "at": "input", "method": "shrinking", "counts": counts, "exact": exact,
                  "share": [y / sum(exact) for y in exact], "gradient": 1.0, "deviation": 3.4e-7, "sampled": norm,
                  "sampled_paths": 20, "product": product, "effective": [1, n // 3 + 1], "effective_share": 0.004537,
                  "effective_exact": [0, n // 2], "effective_exact_share": 0.1},
        "influence": {"n": 1000, "merges": steps},
        "readout": {"n": 1000, "metrics": metrics, "renorm": False, "depths": depths},
        "responses": {"model": "ResNet", "n": 1000, "layers": [*layers, head | {"std": 9.0}], "ranked": [],
                      "median": 0.4, "merges": sums, "notes": []},
        "gradients": {"model": "ResNet", "n": 100, "training": False, "of": "cross-entropy", "loss": 0.7,
                      "layers": [*norms, head | {"weight": 9.0, "weight_size": 1.0, "activation": 9.0, "signal": 9.0}],
                      "merges": ends, "activations": health, "weights": health, "signal": health, "notes": []},
    }  # fmt: skip


def plain_net(layers: int) -> Facts:
    """The results of a net without merges."""
    found = invented([1])
    rows = [{"index": i, "module": f"features.{i}", "norm": None, "call": 0, "kind": "Conv2d", "kernel": [3, 3],
             "shape": [64 << i * 3 // layers, 8, 8], "merge": None, "shortcut": False, "head": i == layers - 1}
            for i in range(layers)]  # fmt: skip
    left = [{"layer": i, "module": f"features.{i}", "kind": "Conv2d", "values": {"error": 0.8, "loss": 2.2, "kl": 2.0}}
            for i in range(0, layers - 1, 2)]  # fmt: skip
    measured = {"weight": 0.4, "weight_size": 4.0, "activation": 2.0, "signal": 0.5}
    notes = ["no residual connection was recognized in VGG: no sum of a skip and a branch was found"]
    return {
        "merges": {"model": "VGG", "batch": 2, "merges": [], "sums": [], "notes": notes},
        "lesions": found["lesions"] | {"single": [], "random": [], "reorder": [], "layers": left, "why": "nothing"},
        "responses": found["responses"] | {"layers": [r | {"std": 1.0, "mean": 0.0} for r in rows], "merges": []},
        "gradients": found["gradients"] | {"layers": [r | measured for r in rows], "merges": []},
    }


@pytest.fixture
def make_look(tmp_path: Path) -> Callable[..., Path]:
    """make_look("name", results) writes a folder as `reslab look` leaves it; `results` from `invented` or so."""

    def make(name: str = "resnet56", results: Facts | None = None, *, model: Facts | None = None) -> Path:
        folder = tmp_path / f"looked-{len(list(tmp_path.glob('looked-*')))}"
        (folder / "results").mkdir(parents=True)
        results = invented((9, 9, 9)) if results is None else results
        about = {"word": name, "name": name, "class": "ResNet", "kind": "images", "parameters": 853018, "notes": []}
        told = {
            "n": 1000, "data": {"name": "cifar10", "part": "test", "of": 10000, "classes": CLASSES},
            "settings": {"precision": "fp32", "batch": None, "seed": 0, "environment": {"device": "cpu", "threads": 2}},
            "seconds": 12.5, "when": "2026-01-15T12:00:00", "command": f"reslab look all {name} --data cifar10",
        }  # fmt: skip
        for verb, found in results.items():
            (folder / "results" / f"look-{verb}.json").write_text(json.dumps(found))
        seen = dict.fromkeys(results, told)
        (folder / "look.json").write_text(json.dumps({"model": about | (model or {}), "seen": seen}))
        return folder

    return make


@pytest.fixture
def net() -> Callable[..., Facts]:
    return invented


@pytest.fixture
def plain() -> Callable[..., Facts]:
    return plain_net
