"""Nets that end in softmax: their outputs are probabilities, and are not flattened by a second one."""

from pathlib import Path

import numpy as np
import pytest
import torch

import reslab
from reslab.ship.export.subjects import subject

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, end):
        super().__init__()
        torch.manual_seed(0)
        self.head, self.end = nn.Linear(64, 10), end

    def forward(self, x):
        z = 3 * self.head(x.flatten(1))
        return z.softmax(1) if self.end == "softmax" else z.sigmoid() if self.end == "sigmoid" else z

def plain(): return Net("")
def softmaxed(): return Net("softmax")
def sigmoid(): return Net("sigmoid")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path / "nets.py"


def made(file: Path, name: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """What the graph gives for some digits, and the notes."""
    found = subject(f"{file}:{name}", data="digits", normalize="channel")
    graph = found.graphs()[0]
    images = torch.from_numpy(found.proof(20)[0].inputs["images"])
    with torch.no_grad():
        values = graph.module(images)
    return dict(zip(graph.outputs, (value.numpy() for value in values), strict=True)), found.notes


def test_outputs_that_are_probabilities_are_taken_as_they_are(file: Path) -> None:
    """The same net with its softmax and without gives the same probabilities, and the softmax of the scores is them."""
    (plain, quiet), (ours, notes) = made(file, "plain"), made(file, "softmaxed")
    assert np.allclose(ours["probabilities"], plain["probabilities"], atol=1e-6)
    e = np.exp(ours["scores"])
    assert np.allclose(e / e.sum(axis=1, keepdims=True), plain["probabilities"], atol=1e-6)
    assert ours["probabilities"].max() > 0.3  # with two it would be 0.14
    assert any("the net's outputs are probabilities already" in note for note in notes)
    assert not any("probabilities already" in note for note in quiet)


def test_numbers_between_0_and_1_alone_are_no_probabilities(file: Path) -> None:
    values, notes = made(file, "sigmoid")
    assert values["scores"].min() > 0
    assert values["scores"].max() < 1
    assert not any("probabilities already" in note for note in notes)


def test_an_exported_folder_predicts_the_net_s_own_probabilities(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    found = subject(f"{file}:softmaxed", data="digits", normalize="channel")
    from reslab.ship.export.job import export

    export(found, out=tmp_path / "out", to="openvino", precision="fp32", samples=60)
    images = found.proof(20)[0].inputs["images"]
    (plain, _) = made(file, "plain")
    ours = reslab.predict(tmp_path / "out")(images)
    assert np.allclose([one.values for one in ours], plain["probabilities"], atol=1e-5)
