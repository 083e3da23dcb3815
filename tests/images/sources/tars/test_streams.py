"""What loaders of shards are known to get wrong: each test is of a kind of fault that others' issues report.

Samples repeated or lost where shards do not divide by processes and workers (webdataset #65, #194, #225); a resume
that starts over, repeats or skips (streaming #437, #880, litData #316, #760, datasets #7901); bunching because a buffer
sees a few shards only (webdataset #71).
"""

from collections.abc import Iterator

import pytest
import torch
from tars import examples, shard

from reslab.images.data import Augment, Batch, ImageData, Normalize, load, training_batches
from reslab.train.world import World

ZERO = Normalize.from_dict({"mean": [[[0.0]]] * 3, "std": [[[1 / 255]]] * 3})  # pixels stay 0 .. 255
AUGMENT = Augment(kind="none", flip=True)
SIZES = (1, 20, 2, 7, 11)  # images of each shard: no number of processes divides them


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    """41 training images in five shards of very different sizes, 6 test images; image k is red k."""
    root, first = tmp_path_factory.mktemp("uneven"), 0
    for s, n in enumerate(SIZES):
        shard(root / f"train-{s}.tar", examples(range(first, first + n)))
        first += n
    shard(root / "test-0.tar", examples(range(200, 206)))
    return load(str(root), memory=0)


def stream(data: ImageData, *, start: int = 0, stop: int = 24, workers: int = 0, share: range | None = None,
           batch: int = 12) -> Iterator[Batch]:  # fmt: skip
    return training_batches(data.train, batch=batch, start=start, stop=stop, seed=5, augment=AUGMENT, normalize=ZERO,
                            device="cpu", workers=workers, share=share)  # fmt: skip


def reds(batches: Iterator[Batch]) -> list[int]:
    return [round(float(x[0, 0, 0])) for batch in batches for x in batch.x]


@pytest.mark.parametrize(("ranks", "workers"), [(1, 0), (1, 2), (2, 0), (3, 2), (5, 0), (7, 0), (12, 0)])
def test_each_image_once_an_epoch_whatever_the_numbers(data: ImageData, ranks: int, workers: int) -> None:
    """Over lcm(41, 12) positions: 12 epochs in 41 steps, also for more ranks than shards."""
    shares = [World(rank=rank, size=ranks).part(12) for rank in range(ranks)]
    seen = [list(stream(data, stop=41, workers=workers, share=share)) for share in shares]
    assert [len(one) for one in seen] == [41] * ranks  # no rank waits for another
    steps = [reds(iter([one[t] for one in seen])) for t in range(41)]
    assert steps == [reds(iter([batch])) for batch in stream(data, stop=41)]
    every = [red for step in steps for red in step]
    for epoch in range(12):
        assert sorted(every[41 * epoch : 41 * (epoch + 1)]) == list(range(41))


@pytest.mark.parametrize(("start", "workers"), [(1, 0), (3, 0), (4, 2), (11, 0), (23, 2)])
def test_a_resume_in_the_middle_goes_on_to_the_bit(data: ImageData, start: int, workers: int) -> None:
    """With other workers than before, and in the middle of an epoch or of a shard."""
    whole, rest = list(stream(data)), list(stream(data, start=start, workers=workers))
    for one, other in zip(whole[start:], rest, strict=True):
        assert one.iteration == other.iteration
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.x, other.x)


def test_an_abandoned_stream_leaves_nothing_behind(data: ImageData) -> None:
    """Breaking off early, and starting again, three times: the third time is as the first (litData #760)."""
    first = [next(iter(stream(data, start=2))).index.tolist() for _ in range(3)]
    assert first[0] == first[1] == first[2]


def test_the_order_mixes_all_shards(data: ImageData) -> None:
    """A permutation of all images: each batch of 20 has images of both large shards; epochs differ."""
    ends = [sum(SIZES[: s + 1]) for s in range(len(SIZES))]
    orders = [reds(stream(data, batch=41, start=t, stop=t + 1)) for t in range(3)]
    assert orders[0] != orders[1] != orders[2]
    for order in orders:
        for batch in (order[:20], order[20:40]):
            assert {1, 3} <= {next(s for s, end in enumerate(ends) if red < end) for red in batch}
