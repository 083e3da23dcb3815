"""Batches as people have them, graphs whose rows are nodes, and advice that can be followed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from reslab import look
from reslab.errors import UsageError
from reslab.look.batches import as_batches


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(self.a(x).tanh())


class Net(nn.Sequential):
    def forward(self, x: Tensor, **_: Any) -> Tensor:
        return super().forward(x)  # type: ignore[no-any-return]


def net() -> nn.Module:
    torch.manual_seed(0)
    return Net(Block(), Block(), nn.Linear(4, 3))


X, Y = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 2, 1, -100])
LOADER = DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=True)
FORMS: dict[str, Callable[[], Any]] = {
    "pairs": lambda: [(X, Y)],
    "pair": lambda: (X, Y),
    "pair in a list": lambda: [X, Y],
    "lists": lambda: [[X, Y]],
    "loader": lambda: LOADER,
    "generator": lambda: ((X[i : i + 2], Y[i : i + 2]) for i in (0, 2, 4)),
    "zip": lambda: zip(X.split(3), Y.split(3), strict=True),
    "int32": lambda: [(X, Y.int())],
    "numpy": lambda: [(X.numpy(), Y.numpy())],
    "numpy pair": lambda: (X, Y.numpy().astype(np.int16)),
    "list of labels": lambda: [(X, Y.tolist())],
    "pair with a list": lambda: (X, Y.tolist()),
    "dicts": lambda: [{"x": X[:2], "labels": Y[:2]}, {"x": X[2:], "labels": Y[2:]}],
    "dict": lambda: {"input": X, "labels": Y.tolist()},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_measured_alike(form: str) -> None:
    model = Net(*net()) if "dict" not in form else Named(*net())
    torch.manual_seed(7)
    before = torch.get_rng_state()
    found = look.lesions(model, FORMS[form](), ks=(), swaps=())
    assert torch.equal(torch.get_rng_state(), before)
    expected = look.lesions(net(), [(X, Y)], ks=(), swaps=())
    assert (found.n, expected.n) == (5, 5)
    for one, two in zip(found.single, expected.single, strict=True):
        assert one.values == pytest.approx(two.values, rel=1e-4)


class Named(Net):
    def forward(self, x: Tensor | None = None, input: Tensor | None = None) -> Tensor:  # type: ignore[override]
        return super().forward(x if x is not None else input)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given", [X, [X], [X[:3], X[3:]], (X, None), [(X, None)], [(X,)], X.numpy(), DataLoader(TensorDataset(X))]
)
def test_without_labels(given: Any) -> None:
    batches = as_batches(given)
    assert all(labels is None for _, labels in batches)
    assert torch.equal(torch.cat([example for example, _ in batches]), X)


def test_every_verb_takes_a_pair() -> None:
    for verb in (look.lesions, look.readout, look.paths, look.influence, look.responses, look.gradients):
        assert verb(net(), (X, Y)) == verb(net(), [(X, Y)])  # type: ignore[operator]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, r"the batches are of type int: pass \[\(input, labels\), ...\]"),
        ("images", "the batches are of type str"),
        (nn.Linear(2, 2), "the batches are of type Linear"),
        ([(X, Y, Y)], r"a batch has 3 items: .*several inputs stand in a tuple or dict"),
        ([7], "a batch is of type int"),
        ([(X, ["cat", "dog"])], "the labels must be whole numbers, one per sample, got list"),
        ([(X, Y.float())], "labels are float32; classes must be whole numbers"),
        (iter(()), "no batches"),
    ],
)
def test_what_is_no_batch(given: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        look.lesions(net(), given)


def test_edits_that_were_not_called() -> None:
    model = net()
    merges = look.find(model, X)
    with torch.no_grad():
        with look.intervene(model, merges, {0: look.silence()}):
            expected = model(X)
        with look.intervene(model, merges, {0: look.silence}):  # type: ignore[dict-item]
            assert torch.equal(model(X), expected)
    for edits, words in (
        ({0: torch.zeros_like}, r"the edit of merge 0 is zeros_like, not an Edit; use silence\(\)"),
        ([look.silence()], "edits must be a dict from merge index to edit"),
    ):
        with pytest.raises(UsageError, match=words), look.intervene(model, merges, edits):  # type: ignore[arg-type]
            pass


class Graph(nn.Module):
    """x + A f(x) over 5 nodes; the edges name nodes by number."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        for f in self.f:
            sent = f(x).tanh()[edges[0]]
            x = x + torch.zeros_like(x).index_add(0, edges[1], sent)
        return x


EDGES = torch.tensor([[0, 1, 2, 3, 4, 4], [1, 2, 3, 4, 0, 2]])


def test_rows_that_are_nodes_go_in_whole() -> None:
    torch.manual_seed(0)
    model, data = Graph(), [((torch.randn(5, 4), EDGES), torch.tensor([0, 1, 2, 3, 0]))]
    found = look.lesions(model, data, swaps=())
    assert (len(found.single), found.method) == (2, "naive")
    assert len(look.responses(model, data).merges) == 2
    assert len(look.influence(model, data).merges) == 2
    assert len(look.gradients(model, data).merges) == 2
    assert len(look.readout(model, data).depths) == 3
    with pytest.raises(UsageError, match=r"depends on the other samples of the batch.*; lesions and readout can"):
        look.paths(model, data)


class Times(nn.Module):
    def __init__(self, first: bool | None = None) -> None:
        super().__init__()
        self.f = nn.Linear(4, 4)
        if first is not None:
            self.attention = nn.MultiheadAttention(4, 1, batch_first=first)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1)
        return (x + self.f(x).tanh()).mean(0)


def test_advice_is_given_where_it_can_be_followed() -> None:
    x = torch.randn(3, 5, 4)
    with pytest.raises(UsageError, match=r"need the 2 samples in the first dimension; lesions and readout can measure"):
        look.paths(Times(), [(x, None)])
    with pytest.raises(UsageError, match=r"; build the model with batch_first=True$"):
        look.paths(Times(False), [(x, None)])
    assert len(look.lesions(Times(), [(x, None)]).single) == 1
