"""Which windows come when, and what is asked of them."""

import math

import numpy as np
import pytest
import torch

from reslab.errors import UsageError
from reslab.nets.heads import OUTSIDE, Scores
from reslab.qa.data.question import Answer, Question
from reslab.qa.data.windows import Windows, windows
from reslab.qa.task import GROUP, QATask
from reslab.train.recipe import Recipe

tokenizers = pytest.importorskip("tokenizers")

CPU = torch.device("cpu")
WORDS = "[PAD] [CLS] [SEP] [UNK] who is here one two three four five six seven eight nine".split()


def cut(*contexts: str, answer: str | None = "two", length: int = 24) -> Windows:
    """Each context with the question "who is here", its answer the first word `answer`."""
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    asked = [
        Question(id=str(n), question="who is here", context=context, impossible=answer is None,
                 answers=() if answer is None else (Answer(answer, context.index(answer)),))
        for n, context in enumerate(contexts)
    ]  # fmt: skip
    return windows(asked, backend, length=length, stride=2)


def made(part: Windows, *, rule: str = "squad1", batch: int = 2, **more: Windows) -> QATask:
    return QATask({"train": part, **more}, Recipe(iterations=1, batch=batch), CPU, rule=rule)


def test_every_window_once_an_epoch_those_of_like_length_together() -> None:
    """32 windows of 9 to 16 tokens, four of each; one group of 16 batches of 2 is one epoch."""
    part = cut(*(" ".join(["two", *["one"] * (n // 4)]) for n in range(32)))
    task = made(part)
    first, second = ([task.rows(t) for t in range(e * GROUP, (e + 1) * GROUP)] for e in (0, 1))
    for epoch in (first, second):
        assert sorted(row for rows in epoch for row in rows) == list(range(32))
        assert all(len({part.sizes(np.array([row]))[0] for row in rows}) == 1 for rows in epoch)
    assert first != second
    assert first != sorted(first, key=lambda rows: rows[0] // 4)  # nor the shortest batches first


def test_batches_are_the_same_wherever_one_starts() -> None:
    task = made(cut(*["two one"] * 5))
    whole, late = list(task.batches(0, 6)), list(task.batches(4, 6))
    assert [batch.iteration for batch in whole] == [0, 1, 2, 3, 4, 5]
    for a, b in zip(whole[4:], late, strict=True):
        assert a.index.tolist() == b.index.tolist() == task.rows(a.iteration)
        assert torch.equal(a.x["ids"], b.x["ids"])


def test_a_batch_by_hand() -> None:
    """[CLS] who is here [SEP] one two [SEP]: "two" is token 6; answers may be at tokens 5 and 6, and at [CLS]."""
    batch = next(made(cut("one two"), batch=1).batches(0, 1))
    assert batch.y.tolist() == [[6, 6]]
    assert batch.x["ids"].tolist() == [[1, 4, 5, 6, 2, 7, 8, 2]]
    assert batch.x["context"].int().tolist() == [[1, 0, 0, 0, 0, 1, 1, 0]]
    assert batch.x["types"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 1]]
    assert set(batch.x) == {"ids", "mask", "types", "context"}


def test_a_window_without_the_answer_points_at_the_beginning() -> None:
    """Length 10 leaves 4 tokens of context, of which neighbors share 2: the 8th, "two", is the last of the third."""
    part = cut("one one one one one one one two", length=10)
    task = made(part, batch=len(part))
    assert sorted(next(task.batches(0, 1)).y[:, 0].tolist()) == [0, 0, 8]


def test_windows_of_an_answer_that_none_holds_are_not_trained_on() -> None:
    long = cut("two three four five six seven eight", answer="two three four five six seven", length=10)
    assert not long.known.any()
    with pytest.raises(UsageError, match="no window holds an answer, so there is nothing to train on"):
        made(long)


def test_loss_by_hand() -> None:
    """Three tokens that may be an answer have equal scores: the loss is log 3 of start and of end."""
    span = torch.full((2, 5, 2), OUTSIDE)
    span[:, :3] = 7.0
    y, task = torch.tensor([[1, 2], [0, 0]]), made(cut("one two"))
    assert task.loss(Scores(span, None), y).item() == pytest.approx(math.log(3), abs=1e-6)
    sure = torch.tensor([math.log(3), -math.log(3)])  # probability 3/4 that there is an answer, and 1/4
    both = task.loss(Scores(span, sure), y).item()
    assert both == pytest.approx(math.log(3) - math.log(3 / 4), abs=1e-6)


def test_wrong_are_windows_whose_start_or_end_is_another() -> None:
    span = torch.zeros(3, 4, 2)
    span[0, 1, 0] = span[0, 2, 1] = 1  # right
    span[1, 1, 0] = span[1, 3, 1] = 1  # another end
    span[2, 0, 0] = span[2, 2, 1] = 1  # another start
    assert made(cut("one two")).wrong(Scores(span, None), torch.tensor([[1, 2]] * 3)).item() == 2


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_parts_that_are_not_there_are_not_evaluated(part: str) -> None:
    assert made(cut("one two")).evaluate(torch.nn.Linear(1, 1), part, None) is None  # type: ignore[arg-type]


def test_norms_are_not_averaged() -> None:
    with pytest.raises(UsageError, match="precise_bn needs BatchNorm"):
        made(cut("one two")).average_norms(torch.nn.Linear(1, 1))
