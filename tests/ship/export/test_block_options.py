"""Nets with options of later papers' blocks, trained for two steps: an exported one gives the net's scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quick import QUICK

from reslab.images.data import load
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.ship.engines import engine
from reslab.ship.export.convert import convert
from reslab.ship.export.images import ImagesExport
from reslab.ship.export.subjects import subject
from reslab.ship.record import Config
from reslab.train.recipe import change

slow = pytest.mark.slow
CASES: list[Any] = [
    {"streams": "stochastic-dynamic:2"},
    {"scale": "layer:0.5", "gate": "exclusive:-1"},
    pytest.param({"streams": "free:3"}, marks=slow),
    pytest.param({"streams": "free-dynamic:3", "activation": "pre"}, marks=slow),
    pytest.param({"streams": "stochastic:2", "scale": "depth"}, marks=slow),
    pytest.param({"scale": "zero"}, marks=slow),
    pytest.param({"scale": "fixup", "norm": False}, marks=slow),
    pytest.param({"gate": "half"}, marks=slow),
    pytest.param({"gate": "shortcut:-6", "activation": "pre"}, marks=slow),
    pytest.param({"gate": "dropout:0.5"}, marks=slow),
]


@pytest.mark.parametrize("options", CASES, ids=str)
@pytest.mark.parametrize("which", ["openvino", pytest.param("onnx", marks=slow)])
def test_any_batch_gives_the_scores_of_the_net(options: dict[str, Any], which: Any, tmp_path: Path) -> None:
    pytest.importorskip(which)
    recipe = change(QUICK, iterations=2)
    prepare(tmp_path / "run", net=spec("resnet8", widths=(4, 6, 8), **options), data=load("digits"), word="digits",
            recipe=recipe)  # fmt: skip
    train(tmp_path / "run", device="cpu")
    made = subject(str(tmp_path / "run"))
    assert isinstance(made, ImagesExport)
    with torch.no_grad():
        for i, p in enumerate(made.net.parameters()):
            p += 0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i))
    file, inputs, outputs = convert(made.graphs()[0], which, tmp_path, "model")
    config = Config(kind="images", engine=which, precision="fp32", name="", word="", files=(file,), inputs=inputs,
                    outputs=outputs, license="")  # fmt: skip
    model = engine(tmp_path, config)
    images = made.proof(5)[0].inputs["images"]
    wanted = made.reference(0, {"images": images})["scores"]
    for batch in (1, 2, 5):
        found = [model.run({"images": images[k : k + batch]})["scores"] for k in range(0, 5, batch)]
        assert np.abs(np.concatenate(found) - wanted).max() <= 1e-4 * np.abs(wanted).max()
