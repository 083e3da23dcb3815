"""The training images that a run's page shows are the first that the training sees."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from reslab.images.data import ImageData, Pixels
from reslab.images.data.images import to_tensor
from reslab.images.pictures.samples import MANY, SAMPLES, gather
from reslab.images.task import ImageTask
from reslab.images.train import train
from reslab.run import Run
from reslab.train.recipe import Recipe

CPU = torch.device("cpu")


@pytest.fixture
def flat(few: ImageData) -> ImageData:
    """Image k is of one gray level, 3 * k, so that JPEG changes next to nothing."""
    levels = (3 * torch.arange(80)).to(torch.uint8).view(-1, 1, 1, 1).expand(80, 1, 8, 8).contiguous()
    return replace(few, train=Pixels(pixels=levels, labels=few.train.labels))


def level(sample: dict[str, Any]) -> float:
    data = base64.b64decode(sample["thumbnail"].removeprefix("data:image/jpeg;base64,"))
    return to_tensor(Image.open(io.BytesIO(data))).float().mean().item()


def test_they_are_the_first_of_the_training(flat: ImageData) -> None:
    task = ImageTask(flat, Recipe(iterations=1, batch=32, augment="resized-crop", mean="channel", std=True), CPU)
    found = gather(task)["pictures"]
    (batch,) = task.batches(0, 1)
    assert len(found) == MANY
    assert [level(one) for one in found] == pytest.approx((3 * batch.index[:MANY]).tolist(), abs=2)
    assert [one["shares"] for one in found] == [[[k, 1.0]] for k in batch.y[:MANY].tolist()]


def test_repeats_and_mixed_labels(flat: ImageData) -> None:
    task = ImageTask(flat, Recipe(iterations=1, batch=30, repeats=5, mixup=1.0), CPU)
    found = gather(task)
    assert (len(found["pictures"]), found["repeats"]) == (20, 5)
    assert len({tuple(map(tuple, one["shares"])) for one in found["pictures"]}) <= 4  # 4 images, 5 copies each
    for one in found["pictures"]:
        assert sum(share for _, share in one["shares"]) == pytest.approx(1, abs=0.011)


def test_stored_only_if_something_is_random(begin: Callable[..., Run], few: ImageData, tmp_path: Path) -> None:
    for augment, there in (("none", False), ("crop", True)):
        run = begin(tmp_path / augment, few, augment=augment, iterations=1)
        train(run.folder, data=few, device="cpu")
        assert run.has(SAMPLES) is there
