"""Small images in the first part of training, and images mirrored in every other epoch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from quick import QUICK, digits, few, pngs  # noqa: F401 - fixtures

from reslab.errors import UsageError
from reslab.images.data import ImageData, load
from reslab.images.data.images import Pixels
from reslab.images.small import Small, shrunk
from reslab.images.task import ImageTask
from reslab.nets import net
from reslab.train.recipe import change
from reslab.train.tune import Choice

SHORT = {"augment": "crop", "pad": 0, "flip": True, "flip_alternate": True}


def test_the_first_part_of_training_sees_small_images(few: ImageData) -> None:  # noqa: F811
    """Of 12 iterations the first 3: a quarter. Evaluation sees whole images."""
    task = ImageTask(few, change(QUICK, small=6, small_until=0.25), torch.device("cpu"))
    whole = ImageTask(few, QUICK, torch.device("cpu"))
    sides = [batch.x.shape[2] for batch in task.batches(0, 12)]
    assert sides == [6] * 3 + [8] * 9
    assert next(iter(task.batches(3, 4))).x.equal(next(iter(whole.batches(3, 4))).x)
    assert next(iter(task.batches(2, 3))).x.equal(shrunk(next(iter(whole.batches(2, 3))).x, 6))
    assert "small 6" in task.varies()
    seen: list[int] = []

    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.shape[2])
            return torch.zeros(len(x), 10)

    task.evaluate(Net(), "test", Choice())
    assert set(seen) == {8}


def test_a_shrunk_image_keeps_its_mean_and_its_shape() -> None:
    x = torch.arange(2.0 * 3 * 8 * 16).view(2, 3, 8, 16)
    assert shrunk(x, 4).shape == (2, 3, 4, 8)
    torch.testing.assert_close(shrunk(x, 4).mean((2, 3)), x.mean((2, 3)))
    assert shrunk(x[:0], 4).shape == (0, 3, 4, 8)


def test_small_images_that_are_not_smaller() -> None:
    with pytest.raises(UsageError, match="small must be below the 8 pixels of the images, got 8"):
        Small.of(change(QUICK, small=8), shape=(1, 8, 10), examples=80)
    with pytest.raises(UsageError, match="small_until must be positive with small, got 0"):
        change(QUICK, small=6, small_until=0)
    with pytest.raises(UsageError, match="flip_alternate needs flip"):
        change(QUICK, flip_alternate=True)


def test_a_net_that_takes_no_small_images(few: ImageData) -> None:  # noqa: F811
    """A linear layer that reads 64 pixels, against one that reads means; the modes of modules stay as they were."""
    small = Small.of(change(QUICK, small=6), shape=few.shape, examples=80)
    fixed = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout().eval(), torch.nn.Linear(64, 10))
    with pytest.raises(UsageError, match=r"does not take the images of small=6, 6x6 pixels \(mat1 and mat2"):
        small.check(fixed, shape=few.shape)
    assert [module.training for module in fixed.modules()] == [True, True, False, True]
    small.check(net("resnet8", channels=1, size=8), shape=few.shape)
    Small(0, 0).check(fixed, shape=few.shape)


def test_alternating_images_are_mirrored_in_every_other_epoch(few: ImageData) -> None:  # noqa: F811
    """About half of the images begin mirrored; whatever iteration a training starts at, it sees the same."""
    part = few.train
    assert isinstance(part, Pixels)
    numbered = torch.arange(80, dtype=torch.uint8).view(80, 1, 1, 1).repeat(1, 1, 8, 8)
    numbered[..., 4:] = 200  # bright on the right; mirrored, on the left
    data = replace(few, train=replace(part, pixels=numbered))
    task = ImageTask(data, change(QUICK, **SHORT, mean="none", iterations=20), torch.device("cpu"))
    mirrored = torch.zeros(4, 80, dtype=torch.bool)
    batches = list(task.batches(0, 20))  # four epochs of 5
    for batch in batches:
        mirrored[batch.iteration // 5, batch.index] = batch.x[:, 0, 0, 0] > 0.5
    assert 25 < mirrored[0].sum() < 55
    assert mirrored[1].equal(~mirrored[0])
    assert mirrored[2].equal(mirrored[0])
    assert mirrored[3].equal(~mirrored[0])
    assert all(a.x.equal(b.x) for a, b in zip(batches[7:], task.batches(7, 20), strict=True))
    other = ImageTask(data, change(QUICK, **SHORT, mean="none", iterations=20, seed=1), torch.device("cpu"))
    assert not all(a.x.equal(b.x) for a, b in zip(batches, other.batches(0, 20), strict=True))


def test_files_alternate_as_images_in_memory_do(pngs: Path) -> None:  # noqa: F811
    """Where workers mirror what they decode, and where the device does."""
    recipe = change(QUICK, augment="resized-crop", area=1.0, aspect=1.0, flip=True, flip_alternate=True, mean="none")
    parts = [load(str(pngs), memory=size) for size in (10**9, 0)]
    inside, encoded = (ImageTask(one, recipe, torch.device("cpu")) for one in parts)
    assert isinstance(inside.train, Pixels) != isinstance(encoded.train, Pixels)
    for a, b in zip(inside.batches(0, 12), encoded.batches(0, 12), strict=True):
        torch.testing.assert_close(a.x, b.x, rtol=0, atol=1.01 / 255)
