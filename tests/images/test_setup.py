"""What a training that starts from a run takes from it: the data and how they are read, or only their size."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import reslab
from reslab.errors import UsageError
from reslab.images.data import ImageData, load
from reslab.images.data.arrays import WORD
from reslab.images.plan import Asked
from reslab.images.setup import planned
from reslab.images.train import like_run, prepare, train
from reslab.nets import net, spec
from reslab.run import Run

Begin = Callable[..., Run]
SHORT: dict[str, Any] = {"iterations": 1}


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list of 20 gray images of 12 x 12 of two classes, whose columns have names of their own."""
    (tmp_path / "images").mkdir()
    for k in range(20):
        Image.new("L", (12, 12), 9 * k + 5).save(tmp_path / "images" / f"{k}.png")
    path = tmp_path / "images" / "list.csv"
    path.write_text("id,where,what\n" + "".join(f"{k},{k}.png,{'even' if k % 2 else 'odd'}\n" for k in range(20)))
    return path


@pytest.fixture
def trained(tmp_path: Path, listed: Path) -> Run:
    from quick import QUICK

    options = {"size": 10, "file_column": "where", "label_columns": ("what",)}
    data = load(str(listed), **options)
    run = prepare(tmp_path / "run", net=spec("resnet8"), data=data, word=str(listed), options=options,
                  recipe=replace(QUICK, **SHORT))  # fmt: skip
    train(run.folder, data=data, device="cpu")
    return run


def test_without_data_they_are_the_run_s_own_as_it_read_them(trained: Run, listed: Path) -> None:
    plan = planned(Asked(start=str(trained.folder), recipe="digits"))
    assert plan.data.fingerprint == trained.read_json("data.json")["fingerprint"]
    assert (plan.data.shape, plan.data.classes, plan.asked.word) == ((1, 10, 10), ("even", "odd"), str(listed))
    assert plan.reasons[0].startswith(
        f"data {listed} (size 10, file_column where, label_columns what), as of the weights; net resnet8"
    )
    larger = planned(Asked(start=str(trained.folder / "weights.safetensors"), options={"size": 11}))
    assert larger.data.shape == (1, 11, 11)


def test_weights_without_a_net_are_asked_for_the_net_that_they_look_like(tmp_path: Path) -> None:
    torch.save(net("resnet14", classes=3).state_dict(), tmp_path / "w.pth")
    with pytest.raises(UsageError, match=r"which net its weights are of: .*resnet14.* \(it looks like resnet14\)"):
        planned(Asked(data="digits", start=str(tmp_path / "w.pth")))


def test_other_data_get_the_run_s_size(trained: Run, listed: Path, fill: Callable[..., Path], tmp_path: Path) -> None:
    for name in "ab":
        fill(f"other/{name}", 6, size=(20, 16), mode="L")
    word = str(tmp_path / "other")
    plan = planned(Asked(data=word, start=str(trained.folder)))
    assert plan.data.shape == (1, 10, 10)
    assert "images resized to 10 x 10, the size of the weights" in plan.reasons[0]
    assert "size10" in plan.names()[0]
    given = planned(Asked(data=word, start=str(trained.folder), options={"size": 14}))
    assert (given.data.shape, "the size of the weights" in given.reasons[0]) == ((1, 14, 14), False)
    assert planned(Asked(data="digits", start=str(trained.folder))).data.shape == (1, 8, 8)


def test_a_run_on_arrays_asks_for_data(begin: Begin, few: ImageData, tmp_path: Path) -> None:
    run = begin(tmp_path / "run", few, word=WORD)
    with pytest.raises(UsageError, match=r"run was trained on arrays in memory, which no file holds: name the data"):
        planned(Asked(start=str(run.folder)))
    assert planned(Asked(net="resnet8")).data.name == "digits"


def test_other_data_are_read_at_the_size_of_the_run(tmp_path: Path) -> None:
    """64 x 64 images at 24 pixels: evaluating the very same photographs by name gives the same loss."""
    for part in ("train", "test"):
        for k, name in enumerate(("ant", "bee")):
            (tmp_path / "photos" / part / name).mkdir(parents=True)
            for i in range(4):
                noise = np.random.default_rng([k, i]).integers(0, 256, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(noise).save(tmp_path / "photos" / part / name / f"{i}.png")
    word = str(tmp_path / "photos")
    run = reslab.train(word, net="resnet8", out=tmp_path / "run", size=24, iterations=1, precision="fp32",
                       memory_format="NCHW", validation=0)  # fmt: skip
    assert run.evaluate(data=word).loss == run.evaluate().loss
    assert like_run(run, word)["size"] == 24
