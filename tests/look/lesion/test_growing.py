"""The growing pass against the same lesions written into the model's own forward: float64, every kind of addition."""

from itertools import count
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from reslab.look import find
from reslab.look.lesion.growing import GrowthError, grow
from reslab.look.lesion.silencing import agree, groups

KINDS = ("plus", "turned", "into_branch", "into_skip", "minus", "projected", "parallel", "nested", "both", "blended",
         "stacked", "rectified", "twice")  # fmt: skip


class Toy(nn.Module):
    """Blocks of these kinds one after another; `silent` holds the merges, in order, that lack their branches."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        super().__init__()
        self.kinds, self.silent = kinds, frozenset[int]()
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(3 * len(kinds))).double()

    def forward(self, x: Tensor) -> Tensor:
        self.merges = count()
        for i, kind in enumerate(self.kinds):
            x = getattr(self, kind)(x, *self.layers[3 * i : 3 * i + 3])
        return x

    def heard(self, branch: Tensor, merge: int | None = None) -> Tensor:
        merge = next(self.merges) if merge is None else merge
        return torch.zeros_like(branch) if merge in self.silent else branch

    def plus(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        return x + self.heard(f(x).tanh())

    def turned(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        return self.heard(f(x).tanh()) + x

    def into_branch(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        y = self.heard(f(x).tanh())
        y += x
        return y

    def into_skip(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        x = x.clone()
        x.add_(self.heard(f(x).tanh()))
        return x

    def minus(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        return x - self.heard(f(x).tanh())

    def projected(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        return h(x) + self.heard(g(f(x).tanh()))

    def parallel(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        merge = next(self.merges)
        return self.heard(f(x).tanh(), merge) + self.heard(g(x).tanh(), merge) + x

    def nested(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        y = f(x).tanh()
        y = y + self.heard(g(y).tanh())
        return x + self.heard(h(y).tanh())

    def both(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        """Two branches, one of which begins after the other was added and contains another merge."""
        inner, outer = next(self.merges), next(self.merges)
        half = x + self.heard(f(x).tanh(), outer)
        y = g(x).tanh()
        y = y + self.heard(h(y).tanh(), inner)
        return half + self.heard(y, outer)

    def blended(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        return torch.lerp(x, self.heard(f(x).tanh()), 0.3)

    def stacked(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        return torch.stack([x, self.heard(f(x).tanh())]).sum(dim=0)

    def rectified(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        y = self.heard(g(f(x).relu_()))
        y += x
        return y.relu_()

    def twice(self, x: Tensor, f: nn.Module, g: nn.Module, h: nn.Module) -> Tensor:
        """One module, two merges."""
        x = x + self.heard(f(x).tanh())
        return x + self.heard(f(x).tanh())


def by_hand(toy: Toy, lesions: list[frozenset[int]], x: Tensor) -> Tensor:
    found = []
    for silent in [frozenset[int](), *lesions]:
        toy.silent = silent
        found.append(toy(x))
    toy.silent = frozenset()
    return torch.stack(found)


@torch.no_grad()
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5).map(tuple),
    n=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_equal_to_lesions_by_hand(kinds: tuple[str, ...], n: int, seed: int) -> None:
    torch.manual_seed(seed)
    toy, x = Toy(kinds), torch.randn(n, 3, dtype=torch.float64)
    merges = find(toy, x)
    by_hand(toy, [], x)
    assert len(merges) == next(toy.merges)
    several = [frozenset(i for i in range(len(merges)) if torch.rand(1) < 0.5) or frozenset({0}) for _ in range(4)]
    lesions = [*(frozenset({merge.index}) for merge in merges), *several]
    assert (grow(toy, merges, lesions, x) - by_hand(toy, lesions, x)).abs().max() < 1e-12


@torch.no_grad()
def test_half_the_work() -> None:
    """Rows through the layers of 8 even blocks: 8 single lesions go through 1 + 2 + ... + 8 copies, not 9 x 8."""
    toy, x = Toy(("plus",) * 8), torch.randn(2, 3, dtype=torch.float64)
    merges, rows = find(toy, x), []
    for layer in toy.layers:
        layer.register_forward_hook(lambda _m, args, _out: rows.append(len(args[0])))
    grow(toy, merges, [frozenset({i}) for i in range(8)], x)
    assert rows == [2 * copies for copies in range(1, 9)]


@torch.no_grad()
@pytest.mark.parametrize("shape", [(4, 3, 5, 5), (1, 3, 5, 5)])
def test_the_layout_is_the_models_own(shape: tuple[int, ...]) -> None:
    """A grown sum of channels-last tensors is channels-last, as the layers after it are used to."""
    net = nn.Sequential(Block(), Block()).to(memory_format=torch.channels_last)
    x = torch.randn(shape).contiguous(memory_format=torch.channels_last)
    seen: list[bool] = []
    net[1].conv.register_forward_hook(
        lambda _m, args, _out: seen.append(args[0].is_contiguous(memory_format=torch.channels_last))
    )
    merges = find(net, x)
    grow(net, merges, [frozenset({0}), frozenset({1})], x)
    assert seen == [True] * 3  # two passes of find, one that grows


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class Masked(nn.Module):
    """Two blocks that add a mask, made before the first of them, of one row a sample."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.f, self.g, self.how = nn.Linear(3, 3), nn.Linear(3, 3), how

    def forward(self, x: Tensor) -> Tensor:
        mask = x.sign()
        x = x + self.f(x)
        y = self.g(x)
        match self.how:
            case "times":
                y = y * mask
            case "in place":
                y = mask.mul_(y)
            case "refused":
                assert y.shape == mask.shape, "no mask for so many"
        return x + y


@torch.no_grad()
def test_masks_are_lengthened() -> None:
    torch.manual_seed(0)
    model, x = Masked("times"), torch.randn(4, 3)
    merges = find(model, x)
    found = grow(model, merges, [frozenset({0}), frozenset({1})], x)
    assert torch.allclose(found[1], x + model.g(x) * x.sign(), atol=1e-6)
    assert torch.allclose(found[2], x + model.f(x), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize(("how", "why"), [("in place", "must match"), ("refused", "no mask for so many")])
def test_what_cannot_grow_says_why(how: str, why: str) -> None:
    model, x = Masked(how), torch.randn(4, 3)
    with pytest.raises(GrowthError, match=why):
        grow(model, find(model, x), [frozenset({0}), frozenset({1})], x)


@torch.no_grad()
def test_rows_that_are_no_samples() -> None:
    """Tokens of all samples in one dimension: twice 5 rows, where two samples went in."""

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(0, 1)
            return x + self.f(x)

    x = torch.randn(2, 5, 3)
    with pytest.raises(GrowthError, match=r"\[10, 3\], whose rows are not the 2 samples"):
        grow(model := Flat(), find(model, x), [frozenset({0})], x)


@given(
    lesions=st.lists(st.frozensets(st.integers(0, 9), min_size=1), max_size=30, unique=True),
    most=st.integers(1, 12),
)
def test_groups_hold_each_lesion_once(lesions: list[frozenset[int]], most: int) -> None:
    found = groups(lesions, most)
    assert sorted(i for group in found for i in group) == list(range(len(lesions)))
    assert all(1 <= len(group) <= most for group in found)
    firsts = [min(lesions[i]) for group in found for i in group]
    assert firsts == sorted(firsts)


def test_agreement_is_up_to_rounding() -> None:
    x = torch.tensor([1.0, -100.0])
    assert agree(x + 1e-4, x)
    assert not agree(x + 1e-1, x)
    assert not agree(x + 1e-4, torch.tensor([float("nan"), 1.0]))
    assert not agree(x[:1], x)
    assert agree((x + 1).bfloat16(), x.bfloat16())
    assert not agree(x.double() + 1e-5, x.double())
    empty: Any = torch.empty(0, 3)
    assert agree(empty, empty)
