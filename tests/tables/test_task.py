"""Losses and batches of the task of tables, by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from reslab.errors import UsageError
from reslab.tables.data.encoder import TableEncoder
from reslab.tables.data.frame import read_frame
from reslab.tables.task import TILE, TableTask, outputs
from reslab.train.order import epoch_order
from reslab.train.recipe import Recipe
from reslab.train.tune import Choice

CPU = torch.device("cpu")


def task(
    y: Any, *, kind: Any = "classes", weights: Any = None, part: str = "train", heavy: Any = None, **changes: Any
) -> TableTask:
    frame = read_frame({"a": np.arange(len(y)) / 7})
    recipe = Recipe(**{"iterations": 1, "batch": 4, **changes})
    table = TableEncoder.fit(frame).transform(frame)
    weights = None if weights is None else torch.tensor(weights)
    rows = None if heavy is None else {"train": torch.tensor(heavy), part: torch.tensor(heavy)}
    return TableTask({"train": table, part: table}, {"train": torch.tensor(y), part: torch.tensor(y)}, recipe, CPU,
                     kind=kind, weights=weights, row_weights=rows)  # fmt: skip


class Says(torch.nn.Module):
    """Returns the given values, row by row, of the column a = row / 7."""

    def __init__(self, out: Any) -> None:
        super().__init__()
        self.out = torch.tensor(out)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        z = numbers[:, 0, 1]  # the standardized value: equal steps from row to row
        rows = (z - z.min()) / (z.max() - z.min()) * (len(self.out) - 1)
        return self.out[rows.round().long()]


def test_losses_by_hand() -> None:
    out = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])  # probabilities 1/4, 3/4 and a half each
    y = torch.tensor([0, 1])
    one, two = math.log(4), math.log(2)
    assert task([0, 1]).loss(out, y).item() == pytest.approx((one + two) / 2)
    assert task([0, 1], weights=[3.0, 0.5]).loss(out, y).item() == pytest.approx((3 * one + 0.5 * two) / 2)
    smooth = 0.9 * one + 0.1 * (one + math.log(4 / 3)) / 2, two
    assert task([0, 1], label_smoothing=0.1).loss(out, y).item() == pytest.approx(sum(smooth) / 2)
    labels = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    each = two + math.log(4 / 3) + two + two  # sigmoid(ln 3) = 3/4
    assert task([[0.0], [1.0]], kind="labels").loss(out, labels).item() == pytest.approx(each / 4)
    numbers = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert task([[0.0], [1.0]], kind="numbers").loss(out, numbers).item() == pytest.approx(
        (1 + math.log(3) ** 2 + 4) / 4
    )


def test_a_batch_of_light_rows_weighs_little() -> None:
    """A mean over the weights of a batch would make it as loud as any other."""
    weighed = task([0, 1], weights=[2.0, 1e-6])
    assert weighed.loss(torch.zeros(2, 2), torch.tensor([1, 1])).item() < 1e-5


def test_what_is_wrong() -> None:
    out = torch.tensor([[1.0, 2.0], [1.0, -2.0]])
    assert task([0, 1]).wrong(out, torch.tensor([1, 1])).item() == 1
    assert task([[0.0], [1.0]], kind="labels").wrong(out, torch.tensor([[1.0, 1.0], [0.0, 0.0]])).item() == 1
    assert task([[0.0], [1.0]], kind="numbers").wrong(out, torch.tensor([[0.0, 2.0], [1.0, 0.0]])).item() == 0.5 + 2


def test_evaluation() -> None:
    """Three rows right, the last of class 1 wrong; by weights of 0.5 and 2 it is 2 of 3.5."""
    net = Says([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
    right, missed = math.log(1 + math.exp(-4)), math.log(1 + math.exp(4))
    plain = task([0, 0, 0, 1], part="validation").evaluate(net, "validation", Choice())
    assert plain == pytest.approx({"error": 25, "loss": (3 * right + missed) / 4, "n": 4})
    weighed = task([0, 0, 0, 1], part="validation", weights=[0.5, 2.0]).evaluate(net, "validation", Choice())
    assert weighed == pytest.approx({"error": 100 * 2 / 3.5, "loss": (1.5 * right + 2 * missed) / 3.5, "n": 4})
    assert task([0, 1]).evaluate(net, "train", Choice()) is None
    assert task([0, 1]).evaluate(net, "test", Choice()) is None
    with pytest.raises(UsageError, match="precise_bn is for images"):
        task([0, 1]).average_norms(net)


def test_batches_are_the_rows_of_the_order_of_epochs() -> None:
    one = task(list(range(10)), kind="classes", seed=3)
    order = torch.cat([epoch_order(10, 3, epoch) for epoch in (0, 1)])
    batches = list(one.batches(1, 4))
    assert [batch.iteration for batch in batches] == [1, 2, 3]
    for i, batch in enumerate(batches, 1):
        rows = order[4 * i : 4 * i + 4]
        assert batch.index.tolist() == rows.tolist() == one.rows(i)
        assert batch.y.tolist() == rows.tolist()  # y of row k is k
        assert torch.equal(batch.x["numbers"], one.parts["train"].numbers[rows])


def test_a_row_s_outputs_do_not_depend_on_its_neighbors() -> None:
    """To the last bit, and of any number of rows; the net is left as it was."""
    draws = np.random.default_rng(0)
    frame = read_frame({"a": draws.normal(size=100), "b": draws.normal(size=100), "c": ["x", "y"] * 50,
                        "d": ["p|q", "q", "p|r", "p|q|r"] * 25})  # fmt: skip
    encoder = TableEncoder.fit(frame, {"d": "categories"})
    from reslab.tables.net.net import build_table
    from reslab.tables.net.spec import table_spec

    torch.manual_seed(0)
    table = encoder.transform(frame)
    net = build_table(table_spec("gated", outputs=3, width=40, inner=24, depth=3, embedding=8, **table.sizes)).train()
    whole = outputs(net, table, device=CPU, choice=Choice())
    assert net.training
    assert whole.shape == (100, 3)
    for rows in ([5], [99, 0, 5], draws.permutation(100)[:TILE], draws.permutation(100)[: TILE + 1]):
        some = outputs(net, encoder.transform(frame.take(np.array(rows))), device=CPU, choice=Choice())
        assert torch.equal(some, whole[torch.as_tensor(np.array(rows))])


@pytest.mark.parametrize(("kind", "y", "out", "weights"), [
    ("classes", [0, 1, 1], [[0.3, 1.0], [2.0, -1.0], [0.0, 0.5]], None),
    ("classes", [0, 1, 1], [[0.3, 1.0], [2.0, -1.0], [0.0, 0.5]], [0.5, 3.0]),
    ("labels", [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]], [[0.3, 1.0], [2.0, -1.0], [0.0, 0.5]], None),
    ("numbers", [[0.5], [-1.0], [2.0]], [[0.3], [2.0], [0.0]], None),
])  # fmt: skip
def test_a_row_of_weight_2_is_two_rows(kind: Any, y: Any, out: Any, weights: Any) -> None:
    """The loss of a batch of all rows, the training error, and both of a validation part."""
    n, twice = 3, [0, 1, 1, 2]
    heavy = [n * w / 4 for w in (1.0, 2.0, 1.0)]  # of mean 1, as training has them
    how: dict[str, Any] = {"kind": kind, "weights": weights, "part": "validation"}
    weighed, repeated = task(y, heavy=heavy, **how), task([y[k] for k in twice], **how)
    given, copied = torch.tensor(out), torch.tensor([out[k] for k in twice])
    (batch,), (plain,) = ([next(iter(one.batches(0, 1)))] for one in (weighed, repeated))
    whole, both = weighed.targets["train"], repeated.targets["train"]
    assert weighed.loss(given, whole).item() == pytest.approx(repeated.loss(copied, both).item())
    assert weighed.wrong(given, whole).item() / n == pytest.approx(repeated.wrong(copied, both).item() / 4)
    assert (batch.y.shape[1], len(plain.y)) == (plain.y.view(len(plain.y), -1).shape[1] + 1, 4)
    found = weighed.evaluate(Says(out), "validation", Choice())
    wanted = repeated.evaluate(Says([out[k] for k in (0, 1, 1, 2)]), "validation", Choice())
    assert found is not None
    assert wanted is not None
    assert (found["error"], found["loss"]) == pytest.approx((wanted["error"], wanted["loss"]))
