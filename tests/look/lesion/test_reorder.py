"""Blocks that change places: which can, that they come back, and how far an order is from the model's own."""

from itertools import combinations, pairwise
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import reslab
from reslab.errors import UsageError
from reslab.look import find
from reslab.look.lesion.lesion import lesions
from reslab.look.lesion.reorder import Blocks, arranged, find_blocks, kendall_tau, shuffled


@pytest.mark.parametrize(
    ("order", "tau"),
    [
        ((0, 1, 2), 1.0),
        ((2, 1, 0), -1.0),
        ((1, 0, 2), 1 / 3),  # two pairs of three in order
        ((3, 1, 2, 0), -4 / 6),  # only 1 before 2 is left of six
        ((0,), 1.0),
    ],
)
def test_kendall_tau_by_hand(order: tuple[int, ...], tau: float) -> None:
    assert kendall_tau(order) == pytest.approx(tau, abs=1e-15)


@settings(deadline=None)
@given(st.integers(2, 12).flatmap(lambda n: st.permutations(range(n))))
def test_kendall_tau_counts_pairs(order: list[int]) -> None:
    pairs = list(combinations(order, 2))
    assert kendall_tau(order) == pytest.approx(sum(1 if a < b else -1 for a, b in pairs) / len(pairs), abs=1e-12)


def test_the_same_seed_gives_the_same_order_on_any_machine() -> None:
    blocks = Blocks(tuple("abcde"), ((0, 1), (0, 2), (1, 2), (3, 4)), "")
    assert [shuffled(blocks, n, Random(f"0 reorder {n} 0")) for n in (1, 2, 5)] == [
        (0, 1, 2, 4, 3),
        (2, 1, 0, 4, 3),
        (2, 0, 1, 4, 3),
    ]
    assert shuffled(blocks, 0, Random(0)) == (0, 1, 2, 3, 4)


class Affine(nn.Module):
    """x + a x + b."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.f = nn.Linear(2, 2)
        self.f.weight.data, self.f.bias.data = a * torch.eye(2), torch.full((2,), float(b))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


def model() -> nn.Sequential:
    return nn.Sequential(*(Affine(a, b) for a, b in ((1, 1), (0, 2), (2, -1), (0.5, 0)))).double()


def test_reordered_as_by_hand() -> None:
    """Every trial's drift is that of the four functions applied in the order that tau was computed from."""
    net, x = model(), torch.tensor([[1.0, 0.0], [2.0, 3.0]], dtype=torch.float64)
    found = lesions(net, [(x, None)], ks=(), swaps=(1, 2, 5), repeats=4)
    assert [trial.swaps for trial in found.reorder] == [1] * 4 + [2] * 4 + [5] * 4
    blocks = find_blocks(net, find(net, x), x)
    assert len(blocks.pairs) == 6
    orders = [shuffled(blocks, n, Random(f"0 reorder {n} {i}")) for n in (1, 2, 5) for i in range(4)]
    whole = net(x)
    for trial, order in zip(found.reorder, orders, strict=True):
        y = x
        for i in order:
            y = net[i](y)
        assert trial.tau == kendall_tau(order)
        drift = ((y - whole).norm(dim=-1) / whole.norm(dim=-1)).mean().item()
        assert trial.values["drift"] == pytest.approx(drift, abs=1e-6)
    assert any(trial.values["drift"] > 0.1 for trial in found.reorder)


def test_blocks_come_back_after_an_exception() -> None:
    net, x = model(), torch.randn(2, 2).double()
    before = list(net)
    blocks = find_blocks(net, find(net, x), x)
    with arranged(net, blocks, (3, 0, 2, 1)):
        assert list(net) == [before[i] for i in (3, 0, 2, 1)]
    assert list(net) == before

    def fail(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
        if not torch.equal(scores, whole):
            raise RuntimeError("stop")
        return torch.zeros(1)

    with pytest.raises(RuntimeError, match="stop"):
        lesions(net, [(x, None)], metrics=[fail], ks=(), swaps=(1,))
    assert list(net) == before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_only_blocks_of_one_shape_change_places() -> None:
    """ResNet-14 has 3 stages of 2; the first block of stages 2 and 3 changes the shape; its second has no partner."""
    net = reslab.net("cifar_resnet20").eval()
    x = torch.randn(2, 3, 16, 16)
    blocks = find_blocks(net, find(net, x), x)
    assert blocks.paths == tuple(f"stages.{i}.{j}" for i in range(3) for j in range(3))
    assert sorted(blocks.pairs) == [(0, 1), (0, 2), (1, 2), (4, 5), (7, 8)]


@pytest.mark.filterwarnings("ignore")
def test_attention_and_mlp_move_together() -> None:
    """BERT's merges have modules of their own, one within the other: the outer one is the block."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=8, vocab_size=9
    )
    bert, ids = transformers.BertModel(config).eval(), {"input_ids": torch.arange(5)[None]}
    merges = find(bert, ids)
    assert {merge.module for merge in merges} >= {"encoder.layer.0", "encoder.layer.0.attention"}
    assert find_blocks(bert, merges, ids).paths == tuple(f"encoder.layer.{i}" for i in range(3))


class Inline(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.f(x)
        return x + self.g(x)


class Elsewhere(nn.Module):
    """Runs its blocks from a separate list."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = model().float()
        self.order = list(self.blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.order:
            x = block(x)
        return x


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Affine(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.block(x))


class Funnel(nn.Module):
    """Blocks of different shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Affine(1, 1), Affine(2, 0)])

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.blocks
        return second(first(x)[:, None].expand(-1, 3, -1))


@pytest.mark.parametrize(
    ("net", "x", "why"),
    [
        (Inline(), torch.randn(2, 3), "the blocks of Inline are written inline in one forward"),
        (Elsewhere(), torch.randn(2, 2), "Elsewhere does not run its blocks in the order of its modules"),
        (Twice(), torch.randn(2, 2), "the blocks of Twice are one module that runs 2 times"),
        (Funnel(), torch.randn(2, 2), "no two blocks of Funnel have the same input and output shapes"),
    ],
)
def test_what_cannot_be_reordered_says_why(net: nn.Module, x: Tensor, why: str) -> None:
    found = lesions(net, [(x, None)], ks=())
    assert found.reorder == ()
    assert len(found.single) == len(find(net, x))
    assert [why in note for note in found.notes] == [True]
    assert lesions(net, [(x, None)], ks=(), swaps=()).notes == ()  # not asked


def test_swaps_double_by_default() -> None:
    x = torch.randn(2, 2).double()
    found = lesions(model(), [(x, None)], ks=(), repeats=1)
    assert [trial.swaps for trial in found.reorder] == [1, 2, 4]
    assert all(-1 <= trial.tau < 1 for trial in found.reorder[:1])
    with pytest.raises(UsageError, match="swaps must be at least 1, got 0"):
        lesions(model(), [(x, None)], swaps=(1, 0))


def test_pairs_are_drawn_evenly() -> None:
    blocks = Blocks(tuple("abc"), ((0, 1), (0, 2), (1, 2)), "")
    orders = [shuffled(blocks, 1, Random(str(i))) for i in range(300)]
    counts = sorted(orders.count(order) for order in set(orders))
    assert len(counts) == 3
    assert all(b - a < 40 for a, b in pairwise(counts))


class Plain(nn.Module):
    """Two layers without a skip."""

    def __init__(self, n: int = 4) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(n, n), nn.BatchNorm1d(n), nn.Linear(n, n)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.norm(self.a(x)).relu()).relu()  # type: ignore[no-any-return]


def test_plain_blocks_of_one_shape_change_places() -> None:
    """Three equal blocks after a stem, then one of another shape: by hand, the net with two of its blocks swapped."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Sequential(Plain(), Plain(), Plain()), nn.Linear(4, 6), Plain(6)).eval()
    x = torch.randn(5, 3)
    blocks = find_blocks(net, find(net, x), x)
    assert blocks.paths == ("0", "1.0", "1.1", "1.2", "2", "3")
    assert blocks.pairs == ((1, 2), (1, 3), (2, 3))
    found = lesions(net, [(x, None)], swaps=(1,), repeats=6, layers=False)
    assert len(found.reorder) == 6
    inner, drifts = net[1], set()
    for i, j in ((0, 1), (0, 2), (1, 2)):
        order = [0, 1, 2]
        order[i], order[j] = order[j], order[i]
        with torch.no_grad():
            swapped = net[3](net[2](nn.Sequential(*(inner[k] for k in order))(net[0](x))))
            whole = net(x)
        drifts.add(round(((swapped - whole).norm(dim=1) / whole.norm(dim=1)).mean().item(), 5))
    assert {round(each.values["drift"], 5) for each in found.reorder} <= drifts
    assert not any("reordered" in note for note in found.notes)


def test_plain_layers_change_places_with_their_norms() -> None:
    torch.manual_seed(0)
    parts = [part for _ in range(2) for part in (nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())]
    net = nn.Sequential(nn.Conv2d(3, 4, 1), *parts, nn.Flatten(), nn.Linear(64, 2)).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
    x = torch.randn(3, 3, 4, 4)
    blocks = find_blocks(net, (), x)
    assert [blocks.paths[i] for pair in blocks.pairs for i in pair] == ["1", "4"]
    order = list(range(len(blocks.paths)))
    i, j = blocks.pairs[0]
    order[i], order[j] = order[j], order[i]
    with torch.no_grad(), arranged(net, blocks, order):
        found = net(x)
    with torch.no_grad():
        by_hand = nn.Sequential(net[0], net[4], net[5], net[3], net[1], net[2], net[6], net[7], net[8])(x)
    assert torch.equal(found, by_hand)


def test_a_model_without_two_alike_says_so() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 2))
    found = lesions(net, [(torch.randn(2, 3), None)], layers=False)
    assert found.reorder == ()
    assert "no two modules that keep the shape are alike" in found.notes[-1]
