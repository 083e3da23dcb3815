"""Each of several processes reads its part of a batch: together they are the batch, to the bit, mixed images too."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.images.data import Augment, Encoded, ImageData, Pixels, load, measure, training_batches
from reslab.images.data.batches import Places
from reslab.train.order import Order
from reslab.train.world import World

PLAIN: dict[str, Any] = {"kind": "crop", "pad": 1, "flip": True}
CASES: dict[str, dict[str, Any]] = {
    "crops": PLAIN,
    "all changes": {**PLAIN, "jitter": (0.4, 0.0, 0.0, 0.0), "policy": "rand", "erase": 0.5},
    "mixup": {**PLAIN, "mixup": 0.3},
    "cutmix": {**PLAIN, "cutmix": 1.0},
    "both": {"kind": "resized-crop", "mixup": 0.3, "cutmix": 1.0},
}


@pytest.fixture(scope="module")
def broken(pngs: Path, tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    """60 files, of which every third cannot be read."""
    folder = tmp_path_factory.mktemp("broken") / "images"
    shutil.copytree(pngs, folder)
    data = load(str(folder), memory=0)
    for k, path in enumerate(sorted(folder.glob("*/*.png"))):
        if k % 3 == 1:
            path.write_bytes(b"no image")
    return data


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_the_parts_are_the_batch(case: str, repeats: int, size: int, broken: ImageData, few: ImageData) -> None:
    for part in (broken.train, few.train):
        order = Order(n=len(part), batch=18, seed=3, repeats=repeats)
        how: dict[str, Any] = {
            "batch": 18, "start": 2, "stop": 6, "seed": 3, "augment": Augment(**CASES[case]), "device": "cpu",
            "normalize": measure(few.train, mean="none", std=False), "classes": 10, "order": order,
        }  # fmt: skip
        whole = list(training_batches(part, **how))
        shares = [World(rank=rank, size=size).part(18) for rank in range(size)]
        parts = zip(*(training_batches(part, share=share, **how) for share in shares), strict=True)
        for batch, pieces in zip(whole, parts, strict=True):
            for name in ("x", "y", "index"):
                assert torch.equal(torch.cat([getattr(one, name) for one in pieces]), getattr(batch, name))
            assert {one.iteration for one in pieces} == {batch.iteration}
            found = [name for one in pieces for name in one.skipped]
            assert list(dict.fromkeys(found)) == list(batch.skipped)
            assert isinstance(part, Pixels) or batch.skipped


def test_a_part_without_readable_images_is_an_empty_batch(broken: ImageData, few: ImageData) -> None:
    """Of one image a process, a third of the processes have none."""
    assert isinstance(broken.train, Encoded)
    augment, plain = Augment(**CASES["mixup"]), measure(few.train, mean="none", std=False)
    sizes = []
    for rank in range(6):
        (batch,) = training_batches(broken.train, batch=6, start=0, stop=1, seed=0, augment=augment, normalize=plain,
                                    device="cpu", classes=3, share=range(rank, rank + 1))  # fmt: skip
        assert batch.x.shape == (len(batch.y), *broken.shape)
        assert batch.y.shape == (len(batch.y), 3)
        assert len(batch.y) + len(batch.skipped) == 1
        sizes.append(len(batch.y))
    assert 0 < sum(sizes) < 6


def test_partners_lie_before_ones_own_around_the_batch() -> None:
    assert list(Places(own=range(2, 4), batch=6, partners=1).before()) == [1, 0, 5, 4]
    assert list(Places(own=range(2), batch=4, partners=1).before()) == [3, 2]
    assert list(Places(own=range(4), batch=4, partners=1).before()) == []
    assert list(Places(own=range(2), batch=4).before()) == []
