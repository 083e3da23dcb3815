"""Training batches: bit-identical from any start, for any number of workers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reslab.errors import ReslabError, UsageError
from reslab.images.data import Augment, Encoded, Normalize, Part, Pixels, load, training_batches
from reslab.images.data.augment import crop_and_flip, to_mirror
from reslab.images.data.batches import drawn
from reslab.images.data.boxes import UNITS, crop_boxes
from reslab.images.data.chance import AREA, Chance
from reslab.train.batch import Batch
from reslab.train.order import CROP, Order, batch_indices, draws

IDENTITY = Normalize(torch.zeros(3, 1, 1), torch.ones(3, 1, 1))


def run(part: Part, start: int, stop: int, *, kind: str = "crop", workers: int = 0, **options: object) -> list[Batch]:
    scale, color = options.pop("scale", (8, 12)), options.pop("color", False)
    given_ = {"batch": 4, "seed": 3, "normalize": IDENTITY, "device": "cpu", **options}
    augment = Augment(kind=kind, pad=2, scale=scale, color=color, **options.pop("more", {}))
    given_.pop("more", None)
    return list(training_batches(part, start=start, stop=stop, augment=augment, workers=workers, **given_))


def same(ours: list[Batch], theirs: list[Batch]) -> bool:
    return len(ours) == len(theirs) and all(
        a.x.equal(b.x) and a.y.equal(b.y) and a.index.equal(b.index) and a.skipped == b.skipped
        for a, b in zip(ours, theirs, strict=True)
    )


@pytest.fixture
def encoded(fill: Callable[..., Path], tmp_path: Path) -> Encoded:
    for name in "ab":
        fill(f"d/train/{name}", 5)
        fill(f"d/test/{name}", 1)
    part = load(str(tmp_path / "d"), memory=0).train
    assert isinstance(part, Encoded)
    return part


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(start=st.integers(0, 12), kind=st.sampled_from(["none", "crop"]), color=st.booleans(), seed=st.integers(0, 99))
def test_resume_from_any_start(pixels: Pixels, start: int, kind: str, color: bool, seed: int) -> None:
    whole = run(pixels, 0, 12, kind=kind, color=color, seed=seed)
    assert [batch.iteration for batch in whole] == list(range(12))
    assert same(whole[start:], run(pixels, start, 12, kind=kind, color=color, seed=seed))


def test_a_batch_is_its_rows(pixels: Pixels) -> None:
    normalize = Normalize(torch.rand(3, 6, 5), torch.ones(3, 1, 1))
    for batch in run(pixels, 0, 6, kind="crop", normalize=normalize):
        rows = batch_indices(10, batch=4, iteration=batch.iteration, seed=3)
        assert batch.index.equal(rows)
        assert batch.y.equal(pixels.labels[rows])
        words = draws(10, batch=4, iteration=batch.iteration, seed=3, stream=CROP)
        # zeros come in after the mean is taken away (the paper, section 4.2)
        assert batch.x.equal(crop_and_flip(normalize(pixels.pixels[rows]), words, pad=2, flip=True))
    (plain,) = run(pixels, 7, 8, kind="none")
    assert plain.x.equal(pixels.pixels[plain.index].float() / 255)


@pytest.mark.parametrize("color", [False, True])
def test_a_batch_of_one(pixels: Pixels, color: bool) -> None:
    batches = run(pixels, 0, 10, batch=1, color=color)
    assert torch.cat([batch.index for batch in batches]).sort().values.tolist() == list(range(10))
    assert {batch.x.shape for batch in batches} == {(1, 3, 6, 5)}


def test_copies_are_augmented_differently_and_any_start_gives_the_same(pixels: Pixels, encoded: Encoded) -> None:
    """Each image twice in a batch, in neighboring positions, with crops of their own."""
    order = Order(n=10, batch=4, seed=3, repeats=2, labels=pixels.labels)
    whole = run(pixels, 0, 8, order=order)
    for batch in whole:
        assert batch.index.equal(order.rows(batch.iteration))
        assert batch.index[::2].equal(batch.index[1::2])
        assert batch.y.equal(pixels.labels[batch.index])
    assert sum(not batch.x[::2].equal(batch.x[1::2]) for batch in whole) > 6
    assert same(whole[5:], run(pixels, 5, 8, order=order))
    order = Order(n=10, batch=4, seed=3, repeats=2, labels=encoded.labels)
    files = run(encoded, 0, 4, order=order)
    assert same(files[1:], run(encoded, 1, 4, order=order, workers=1))


def test_global_random_state_is_left_alone(pixels: Pixels, encoded: Encoded) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    run(pixels, 0, 3)
    run(encoded, 0, 2)
    run(encoded, 0, 2, workers=1)
    assert torch.get_rng_state().equal(before)


ALL = {"jitter": (0.4, 0.4, 0.4, 0.1), "policy": "rand", "policy_ops": 3, "erase": 0.5, "mixup": 0.8, "cutmix": 1.0,
       "cutout": 3, "alternate": True}  # fmt: skip


@pytest.mark.parametrize("kind", ["none", "crop", "resized-crop"])
def test_resume_with_everything_random(pixels: Pixels, kind: str) -> None:
    whole = run(pixels, 0, 8, kind=kind, more=ALL, classes=3)
    assert same(whole[3:], run(pixels, 3, 8, kind=kind, more=ALL, classes=3))
    assert not same(whole, run(pixels, 0, 8, kind=kind, more=ALL, classes=3, seed=4))
    assert {batch.y.shape for batch in whole} == {(4, 3)}
    assert torch.stack([batch.y.sum(dim=1) for batch in whole]).allclose(torch.ones(()))
    assert any(0 < share < 1 for share in torch.cat([batch.y for batch in whole]).flatten().tolist())


def test_a_batch_of_eight_is_eight_batches_of_one(pixels: Pixels) -> None:
    """Without mixing, which needs a partner: an image's numbers depend on its position alone."""
    more = {key: value for key, value in ALL.items() if key not in ("mixup", "cutmix")}
    (whole,) = run(pixels, 0, 1, kind="resized-crop", batch=8, more=more)
    alone = run(pixels, 0, 8, kind="resized-crop", batch=1, more=more)
    assert whole.x.equal(torch.cat([batch.x for batch in alone]))


def test_resized_crops_of_files_are_boxes_of_those_in_memory(encoded: Encoded, tmp_path: Path) -> None:
    """The same boxes and mirrorings as in memory, each box resized by itself: apart by rounding to levels."""
    memory = load(str(tmp_path / "d")).train
    for a in run(encoded, 0, 6, kind="resized-crop"):
        chance = Chance.of(drawn(10, batch=4, iteration=a.iteration, seed=3), kept=[0, 1, 2, 3])
        boxes = crop_boxes(np.full((4, 2), 8), chance.units(AREA, UNITS), area=0.08, aspect=4 / 3)
        turned = to_mirror(chance.words(CROP))
        for k, (top, left, h, w) in enumerate(boxes.tolist()):
            box = memory.pixels[a.index[k], :, top : top + h, left : left + w].float()[None] / 255
            alone = F.interpolate(box, (8, 8), mode="bilinear", antialias=True)[0]
            assert (a.x[k] - (alone.flip(2) if turned[k] else alone)).abs().max() < 1.01 / 255


@pytest.mark.parametrize("kind", ["none", "crop", "scale", "resized-crop"])
def test_workers_change_nothing(encoded: Encoded, kind: str) -> None:
    whole = run(encoded, 0, 6, kind=kind)
    assert same(whole, run(encoded, 0, 6, kind=kind, workers=2))
    assert same(whole[4:], run(encoded, 4, 6, kind=kind, workers=1))
    assert {batch.x.shape for batch in whole} == {(4, 3, 8, 8)}


def test_encoded_equals_in_memory(encoded: Encoded, tmp_path: Path) -> None:
    assert same(run(encoded, 0, 6), run(load(str(tmp_path / "d")).train, 0, 6))


def test_scale_without_freedom_is_the_image(encoded: Encoded) -> None:
    (batch,) = run(encoded, 0, 1, kind="scale", scale=(8, 8))
    for x, i in zip(batch.x, batch.index.tolist(), strict=True):
        image = encoded.pixels(i).float() / 255
        assert x.equal(image) or x.equal(image.flip(2))


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_images_are_left_out_and_named(encoded: Encoded, tmp_path: Path, workers: int) -> None:
    whole = run(encoded, 0, 5)
    (tmp_path / "d/train/a/2.png").write_bytes(b"oops")  # row 2
    got = run(encoded, 0, 5, workers=workers)
    reason = "train/a/2.png: it is not an image that Pillow can read as BMP, GIF, JPEG, PNG, PPM, TIFF or WebP"
    for before, after in zip(whole, got, strict=True):
        kept = before.index != 2
        assert after.index.equal(before.index[kept])
        assert after.x.equal(before.x[kept])
        assert after.skipped == (reason,) * int((~kept).sum())


def test_a_batch_of_broken_images_is_passed_over(encoded: Encoded, tmp_path: Path) -> None:
    (tmp_path / "d/train/a/2.png").write_bytes(b"oops")
    got = run(encoded, 0, 20, batch=1)
    assert len(got) == 18  # two epochs of ten, one broken in each
    assert sum(len(batch.skipped) for batch in got) + (20 - 1 - got[-1].iteration) == 2
    for file in (tmp_path / "d/train").rglob("*.png"):
        file.write_bytes(b"oops")
    with pytest.raises(ReslabError, match=r"no training image can be read \(first: "):
        run(encoded, 0, 20)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"kind": "scale"}, "in memory at 6 x 5: use augment 'crop'"),
        ({"batch": 0}, "batch must be positive, got 0"),
        ({"seed": -1}, "seed must be zero or more, got -1"),
    ],
)
def test_what_cannot_be(pixels: Pixels, wrong: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        run(pixels, 0, 1, **wrong)


def test_more_that_cannot_be(pixels: Pixels, encoded: Encoded) -> None:
    with pytest.raises(UsageError, match=r"starts at 7 pixels, smaller than the 8 x 8 crops.*size=224"):
        run(encoded, 0, 1, kind="scale", scale=(7, 9))
    with pytest.raises(UsageError, match="the training part is empty"):
        run(pixels.subset([]), 0, 1)
