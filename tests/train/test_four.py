"""Four processes train as two and as one do: the same batches and losses, exact resume, also by fewer of them."""

import itertools

import pytest
from ranks import train
from shared_work import Work, lines, resumed_exactly
from shipping import facts

from reslab.train.world import ALONE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # seven processes, a minute of CPU
FAMILIES = ("images", "questions", "tables")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """All that four processes do for this file, then two, then one."""
    pytest.importorskip("tokenizers")
    made = Work(tmp_path_factory.mktemp("four"))
    facts(made.root / "facts.json", unanswerable=True)
    options = {"augment": "crop", "flip": True, "mixup": 0.2, "ema": 0.9, "clip": 1.0}
    down = made.images("down", sync_bn=True)
    for number in ("1", "2", "4"):
        made.images(f"images {number}", sync_bn=True, stochastic_depth=0.3, **options)
        made.questions(f"questions {number}")
        made.table(f"tables {number}")
    for size in (4, 2):
        for family in FAMILIES:
            made.ask(f"{family} {size}", "train", family=family, folder=str(made.root / f"{family} {size}"))
        if size == 4:
            for name in ("whole", "broken"):
                made.images(name, **options)
            made.ask("whole", "train", family="images", folder=str(made.root / "whole"))
            made.ask("broken", "train", family="images", folder=str(made.root / "broken"), stop=[3, 3])
            made.ask("resumed", "train", family="images", folder=str(made.root / "broken"))
        made.ask(f"down {size}", "train", family="images", folder=str(down.folder), stop=[2 if size == 4 else 5, 1])
        made.run(size)
    for name in (*FAMILIES, "down"):
        family, folder = ("images", name) if name == "down" else (name, f"{name} 1")
        made.ranks[f"{name} 1"] = [train(ALONE, family=family, folder=str(made.root / folder))]
    return made


def seen(work: Work, name: str) -> list[list[int]]:
    """The rows of each batch: the parts of all processes, one after the other."""
    every = (rank["rows"] for rank in work.ranks[name])
    return [list(itertools.chain(*parts)) for parts in zip(*every, strict=True)]


@pytest.mark.parametrize("family", FAMILIES)
def test_one_two_and_four_see_the_same_batches_and_losses(family: str, work: Work) -> None:
    """15 images, 5 questions or 11 rows a batch: the parts are unequal. Losses and evaluations agree to 2e-5."""
    alone = seen(work, f"{family} 1")
    assert seen(work, f"{family} 2") == seen(work, f"{family} 4") == alone
    parts = [[len(rows) for rows in rank["rows"]] for rank in work.ranks[f"{family} 4"]]
    assert {max(sizes) - min(sizes) for sizes in zip(*parts, strict=True)} == {1}
    for event in ("train", "eval"):
        logs = [lines(work.root / f"{family} {number}", event) for number in (1, 2, 4)]
        assert len(logs[0]) == len(logs[1]) == len(logs[2]) > 0
        for one, *others in zip(*logs, strict=True):
            for other, key in itertools.product(others, ("error", "loss", "f1", "balanced")):
                assert other.get(key, 0) == pytest.approx(one.get(key, 0), rel=2e-5)
    assert [work.ranks[f"{family} {number}"][0]["result"].get("processes") for number in (1, 2, 4)] == [None, 2, 4]


def test_four_resume_with_the_same_bits(work: Work) -> None:
    """SIGTERM in step 3 of rank 3 alone; resumed, the checkpoint at the end is that of an unbroken training."""
    assert [len(rank["rows"]) for rank in work.ranks["broken"]] == [4] * 4
    resumed_exactly(work)


def test_four_then_two_then_one_see_every_example_once_an_epoch(work: Work) -> None:
    """Three iterations of 15 images by four processes, three by two, two by one: more than two epochs."""
    n = len(work.data.train)
    pieces = [seen(work, f"down {size}") for size in (4, 2, 1)]
    assert [len(piece) for piece in pieces] == [3, 3, 2]
    stream = [row for piece in pieces for rows in piece for row in rows]
    assert sorted(stream[:n]) == sorted(stream[n : 2 * n]) == list(range(n))
    assert work.ranks["down 1"][0]["result"]["iterations"] == 8
