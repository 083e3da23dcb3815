"""Tiny models of the three families, in run folders whose files name places of this machine."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from text_models import trained

import reslab
from reslab.nets import to_dict
from reslab.run import MEMBERS, Run
from reslab.train.checkpoint import write_weights

FOLDERS = Path(__file__).parents[2] / "golden" / "folders"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A ResNet-8 with random weights as a finished run; 45 of 50 test images right."""
    run = Run(tmp_path / "home" / "me" / "birds")
    run.make()
    torch.manual_seed(0)
    net = reslab.net("resnet8", classes=3, shortcut="B")
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)  # type: ignore[union-attr]
    run.write_json("spec.json", to_dict(net.spec))
    write_weights(run, net, to_dict(net.spec))
    run.write_json("data.json", {
        "word": str(tmp_path / "home" / "me" / "photos"), "name": "photos", "options": {"root": str(tmp_path)},
        "about": f"Images of {tmp_path}/home/me/photos, unchanged.", "shape": [3, 32, 32],
        "classes": ["hen", "/m/01yrx", "owl"], "fingerprint": "ab" * 32, "train": 100, "test": 50, "start": "01",
    })  # fmt: skip
    run.write_json("normalize.json", {"mean": [[[0.5]]] * 3, "std": [[[0.2]]] * 3})
    run.write_text("recipe.toml", f"# reslab train --data {tmp_path}\nbatch = 32\nseed = 4\n")
    run.write_json("results/train.json", {
        "net": "resnet8", "test_error": 10.0, "test_n": 50, "test_balanced": 12.0, "parameters": 75_000,
        "temperature": {"temperature": 1.5, "n": 20, "before": 1.0, "after": 0.9, "at_limit": False},
        "command": f"reslab train --data {tmp_path}/home/me/photos", "iterations": 10, "batch": 32, "seed": 4,
    })  # fmt: skip
    run.write_json("env.json", {"device_name": "a secret machine"})
    return run.folder


@pytest.fixture
def questions(tmp_path: Path, facts: Path, bert: tuple[Path, Any]) -> Path:
    """A reader whose encoder is a folder of this machine."""
    return trained(tmp_path / "home" / "reader", facts, encoder=bert[0], tokenizer=bert[1])


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDERS / "tables-finished", tmp_path / "home" / "rooms"))


@pytest.fixture
def several(tables: Path, tmp_path: Path) -> Path:
    """Two nets of one table; the second has other weights."""
    folder = tmp_path / "home" / "both"
    for name in ("first", "second"):
        shutil.copytree(tables, folder / name)
    net = reslab.tables.load(tables).members[0]
    for tensor in net.net.parameters():
        tensor.data.mul_(0.5)
    from reslab.tables.net.spec import to_dict as table_dict

    write_weights(Run(folder / "second"), net.net, table_dict(net.spec))
    Run(folder).write_json(MEMBERS, {"members": ["first", "second"]})
    return folder


@pytest.fixture
def pixels() -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8))
