"""Path lengths: counts by hand, and the exact spectrum against a separate pass along every path."""

import itertools
import math
import random
from collections import Counter

import pytest
import torch
from torch import Tensor, nn

import reslab
from reslab.errors import UsageError
from reslab.look import detach_branch, detach_skip, find, intervene
from reslab.look.path.entry import Entry
from reslab.look.path.lengths import Lengths, effective_range, share
from reslab.look.path.paths import paths
from reslab.look.path.sampling import gates
from reslab.look.path.spectrum import gradient, spectrum

DOUBLE = torch.float64


class Block(nn.Module):
    def __init__(self, inner: nn.Module, *, style: str = "plus") -> None:
        super().__init__()
        self.inner, self.style = inner, style

    def forward(self, x: Tensor) -> Tensor:
        if self.style == "plus":
            return x + self.inner(x)
        out = self.inner(x)
        if self.style == "in place":
            out += x
        else:
            out.add_(x)  # a statement: nothing takes what it returns
        return out


def tanh_layer() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))


def net(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    if name.startswith("cifar"):
        options = {"block": "bottleneck"} if name.endswith("bottleneck") else {}
        x = torch.randn(3, 3, 16, 16, dtype=DOUBLE)
        return reslab.net(name.split()[0], widths=(4, 8, 16), shortcut="B", **options).to(DOUBLE), x
    x = torch.randn(3, 4, dtype=DOUBLE)
    if name == "nested":
        inner = nn.Sequential(Block(tanh_layer()), nn.Linear(4, 4), Block(tanh_layer()))
        return nn.Sequential(Block(tanh_layer()), Block(inner), nn.Linear(4, 5)).to(DOUBLE), x
    blocks = [Block(tanh_layer(), style=name) for _ in range(4)]
    return nn.Sequential(*blocks, nn.Linear(4, 5)).to(DOUBLE), x


NETS = ["cifar_resnet20", "plus", "in place", "statement", "nested"]
LABELS = torch.tensor([0, 4, 2])


def one_by_one(model: nn.Module, x: Tensor) -> list[Tensor]:
    """The second way: the gradient along every path, each from a separate pass, summed by length."""
    merges = find(model, x)
    entry = Entry(model, merges, x)
    sums: list[Tensor] = [torch.zeros_like(x) for _ in range(len(merges) + 1)]
    for taken in itertools.product([False, True], repeat=len(merges)):
        if any(
            take and merge.parent is not None and not taken[merge.parent]
            for take, merge in zip(taken, merges, strict=True)
        ):
            continue  # no path goes through a branch inside a branch that it does not take
        edits = {i: detach_skip() if take else detach_branch() for i, take in enumerate(taken)}
        try:
            sums[sum(taken)] += gradient(model, (x, LABELS), entry, merges, edits, None)
        except UsageError:  # nothing at all goes back along this path
            assert taken
    return sums


@pytest.mark.parametrize("name", [*NETS[1:], pytest.param("cifar_resnet20", marks=pytest.mark.slow)])
def test_the_spectrum_is_every_path_followed(name: str) -> None:
    model, x = net(name)
    model.eval()
    merges = find(model, x)
    parts, _, _ = spectrum(model, (x, LABELS), Entry(model, merges, x), merges, None, "shrinking")
    brute = one_by_one(model, x)
    for k, by_hand in enumerate(brute[: parts.shape[0]]):
        torch.testing.assert_close(parts[k], by_hand.reshape(3, -1), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", NETS)
def test_the_spectrum_sums_to_the_gradient(name: str) -> None:
    model, x = net(name)
    model.eval()
    result = paths(model, [(x, LABELS)])
    assert result.deviation < 1e-10
    assert sum(result.share) == pytest.approx(1, abs=1e-10)
    assert result.method == ("copies" if name == "statement" else "shrinking")
    assert result.at == "input"
    whole = x.clone().requires_grad_()
    nn.functional.cross_entropy(model(whole), LABELS, reduction="sum").backward()
    assert whole.grad is not None
    assert result.gradient == pytest.approx(float(whole.grad.reshape(3, -1).norm(dim=1).mean()))


def test_both_methods_agree() -> None:
    model, x = net("nested")
    model.eval()
    merges = find(model, x)
    entry = Entry(model, merges, x)
    shrinking, _, one = spectrum(model, (x, LABELS), entry, merges, None, "shrinking")
    copies, _, other = spectrum(model, (x, LABELS), entry, merges, None, "copies")
    assert (one, other) == ("shrinking", "copies")
    torch.testing.assert_close(shrinking, copies, rtol=1e-12, atol=1e-15)


def test_by_hand() -> None:
    """h = x + a x, y = h + b h: dy/dx = 1 + (a + b) + ab."""

    class Scale(nn.Module):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2, bias=False)
            nn.init.constant_(self.linear.weight, 0)
            self.linear.weight.data.fill_diagonal_(by)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.linear(x)

    model = nn.Sequential(Scale(2.0), Scale(5.0))
    x = torch.tensor([[1.0, 0.0]])
    result = paths(model, [(x, None)], loss=lambda scores, _: scores[:, 0].sum())
    assert result.counts == (1, 2, 1)
    assert result.exact == (1.0, 7.0, 10.0)
    assert result.gradient == 18.0
    assert result.share == pytest.approx((1 / 18, 7 / 18, 10 / 18))


def test_sampling_follows_single_paths() -> None:
    """Along length 0 and the longest there is only one path to follow: sampled and exact are then the same."""
    model, x = net("plus")
    result = paths(model, [(x, LABELS)], sample=3)
    assert result.sampled[0] == pytest.approx(result.exact[0], rel=1e-12)
    assert result.sampled[-1] == pytest.approx(result.exact[-1], rel=1e-12)
    assert result.product == tuple(c * s for c, s in zip(result.counts, result.sampled, strict=True))


def test_sampled_means_come_near_the_means_over_all_paths() -> None:
    model, x = net("plus")
    merges = find(model, x)
    entry = Entry(model, merges, x)
    result = paths(model, [(x, LABELS)], merges=merges, sample=300, seed=1)
    for k in range(5):
        norms = []
        for taken in itertools.combinations(range(4), k):
            edits = {i: detach_skip() if i in taken else detach_branch() for i in range(4)}
            norms.append(gradient(model, (x, LABELS), entry, merges, edits, None).norm(dim=1).mean())
        assert result.sampled[k] == pytest.approx(float(torch.stack(norms).mean()), rel=0.1)


def test_lengths_are_binomial() -> None:
    model = reslab.net("cifar_resnet110")
    counts = Lengths(find(model, torch.randn(1, 3, 8, 8))).counts()
    assert counts == [math.comb(54, k) for k in range(55)]
    assert round(100 * share(counts, 5, 17), 4) == 0.4537  # Veit et al.: 0.45 % of all paths


def test_lengths_of_merges_in_merges() -> None:
    """(1 + z) for the first; 1 + z (1 + z)^2 for the one with two inside."""
    model, x = net("nested")
    lengths = Lengths(find(model, x))
    assert lengths.counts() == [1, 2, 3, 3, 1]
    generator = random.Random(0)
    seen = Counter(tuple(sorted(lengths.draw(2, generator).items())) for _ in range(3000))
    assert len(seen) == 3  # first and outer; outer and either of the inner
    assert all(abs(n - 1000) < 120 for n in seen.values())


def test_parallel_branches_are_a_choice() -> None:
    class Parallel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = tanh_layer(), tanh_layer()

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) + self.b(x) + x

    model = nn.Sequential(Parallel(), Parallel(), nn.Linear(4, 5)).to(DOUBLE)
    x = torch.randn(3, 4, dtype=DOUBLE)
    result = paths(model, [(x, LABELS)], sample=4)
    assert result.counts == (1, 4, 4)
    assert result.deviation < 1e-10
    assert result.sampled[0] == pytest.approx(result.exact[0])


class Two(nn.Module):
    """x + f(x) + g(x), where f, g or both hold a(x) + tanh(b(a(x))); or with such a merge on a projected skip."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.layers, self.where = nn.ModuleDict({name: nn.Linear(4, 4) for name in "abcdefgh"}), where

    def inner(self, x: Tensor, first: str, second: str) -> Tensor:
        x = self.layers[first](x).tanh()
        return x + self.layers[second](x).tanh()

    def forward(self, x: Tensor) -> Tensor:
        a, c = self.layers["a"](x).tanh(), self.layers["c"](x).tanh()
        match self.where:
            case "g":
                return x + a + self.inner(x, "e", "f")
            case "f":
                return x + self.inner(x, "e", "f") + a
            case "both":
                return x + self.inner(x, "e", "f") + self.inner(x, "g", "h")
            case "two in g":
                y = self.inner(x, "e", "f")
                return x + a + (y + self.layers["g"](y).tanh())
            case "skip":
                y = self.layers["b"](self.layers["g"](self.layers["h"](c).tanh()).tanh()).tanh()
                return self.layers["d"](self.inner(x, "e", "f")) + y
        raise AssertionError


# The paths: from the fork to the sum, how many of each length; then a merge in a row with it.
SIDES = {"g": (1, 2, 1), "f": (1, 2, 1), "both": (1, 2, 2), "two in g": (1, 2, 2, 1), "skip": (1, 2)}


@pytest.mark.parametrize("where", SIDES)
def test_merges_in_parallel_branches(where: str) -> None:
    """Every path, followed one at a time by gates: the count of each length, and the exact and sampled gradients."""
    torch.manual_seed(0)
    model = nn.Sequential(Two(where), Block(tanh_layer()), nn.Linear(4, 5)).to(DOUBLE)
    x = torch.randn(3, 4, dtype=DOUBLE)
    merges = find(model, x)
    entry = Entry(model, merges, x)
    lengths, one = Lengths(merges), SIDES[where]
    counts = [sum(one[k - j] for j in (0, 1) if 0 <= k - j < len(one)) for k in range(len(one) + 1)]  # (1 + z) * one
    assert lengths.counts() == counts
    generator = random.Random(0)
    by_hand, means = [], []
    for k, n in enumerate(counts):
        known = {tuple(sorted(lengths.draw(k, generator).items())) for _ in range(60 * n)}
        assert len(known) == n
        each = [
            gradient(model, (x, LABELS), entry, merges, gates(merges, [dict(path)] * 3, x.device), None)
            for path in known
        ]
        by_hand.append(torch.stack(each).sum(0))
        means.append(float(torch.stack(each).norm(dim=2).mean()))
    whole = gradient(model, (x, LABELS), entry, merges, {}, None)
    torch.testing.assert_close(torch.stack(by_hand).sum(0), whole)  # no path is missing, none is counted twice
    for method in ("shrinking", "copies"):
        parts, _, how = spectrum(model, (x, LABELS), entry, merges, None, method)
        assert how == method
        torch.testing.assert_close(parts, torch.stack(by_hand))
    found = paths(model, [(x, LABELS)], sample=100)
    single = [k for k, n in enumerate(counts) if n == 1]
    assert [found.sampled[k] for k in single] == pytest.approx([found.exact[k] for k in single])
    assert found.sampled == pytest.approx(means, rel=0.15)


def test_effective_range() -> None:
    assert effective_range([0, 1, 8, 8, 1, 0], level=0.8) == (2, 3)
    assert effective_range([1, 0, 0]) == (0, 0)
    assert effective_range([0, 0]) == (0, 1)
    assert effective_range([1, 1, 1, 1], level=0.5) == (0, 1)  # the first of three as short
    assert effective_range([3, 0, 3, 1], level=0.4) == (0, 0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mask", [False, True])
def test_language_models_are_read_at_their_embeddings(mask: bool) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, vocab_size=30
    )
    model = transformers.BertForMaskedLM(config).to(DOUBLE)
    ids = torch.arange(14).reshape(2, 7)
    example = {"input_ids": ids, "attention_mask": (ids != 6).long()} if mask else {"input_ids": ids}
    result = paths(model, [(example, ids)])
    assert result.at == "bert.embeddings"
    assert result.counts == (1, 4, 6, 4, 1)
    assert result.deviation < 1e-10


def test_the_model_comes_back_as_it_was() -> None:
    model, x = net("in place")
    model.train()
    paths(model, [(x, LABELS)], sample=1)
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    with intervene(model, find(model, x), {}):
        assert model(x).grad_fn is not None


def test_no_merges_no_paths() -> None:
    with pytest.raises(UsageError, match="only one path to follow"):
        paths(reslab.net("cifar_plain20"), [(torch.randn(1, 3, 8, 8), None)])


def test_tokens_first_is_refused() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 1, enable_nested_tensor=False)
    with pytest.raises(UsageError, match="batch_first=True"):
        paths(encoder, [(torch.randn(5, 3, 8), None)])


def test_labels_outside_what_the_model_scores() -> None:
    model, x = net("plus")
    with pytest.raises(UsageError, match="labels range from 0 to 7, but the model has 5 classes"):
        paths(model, [(x, torch.tensor([0, 7, 1]))])


def test_gradients_that_nearly_cancel_are_no_fault() -> None:
    """A trained net is sure of its answer: long and short paths are large and cancel. y = x - x + small x."""

    class Minus(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2, bias=False)
            self.linear.weight.data = torch.diag(torch.tensor([-1 + 1e-6, -1 + 1e-6]))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.linear(x)

    result = paths(Minus(), [(torch.tensor([[1.0, 1.0]]), None)], loss=lambda s, _: s[:, 0].sum())
    assert result.exact == pytest.approx((1.0, 1.0), rel=1e-5)
    assert result.gradient == pytest.approx(1e-6, rel=0.1)


def test_shares_of_samples_with_tiny_gradients() -> None:
    """The squares of gradients of 1e-22 and 1e-30 are 0 in float32; a sample's share does not depend on its scale."""
    model, x = net("plus")
    factor = torch.tensor([1.0, 1e-22, 1e-30])

    def tiny(scores: Tensor, labels: Tensor | None) -> Tensor:
        return (scores[:, 1] * factor).sum()

    def first(scores: Tensor, labels: Tensor | None) -> Tensor:
        return scores[:, 1].sum()

    alone = [paths(model, [(x[i : i + 1], None)], loss=first).share for i in range(3)]
    found = paths(model.float(), [(x.float(), None)], loss=tiny)
    assert found.share == pytest.approx([sum(share) / 3 for share in zip(*alone, strict=True)], abs=1e-5)
    assert sum(found.share) == pytest.approx(1, abs=1e-5)
    assert found.flat == 0


def test_samples_without_a_gradient_have_no_share() -> None:
    model, x = net("plus")

    def two(scores: Tensor, labels: Tensor | None) -> Tensor:
        return scores[:2, 0].sum()

    found, short = paths(model, [(x, None)], loss=two), paths(model, [(x[:2], None)], loss=two)
    assert (found.flat, short.flat) == (1, 0)
    assert found.share == pytest.approx(short.share)
    assert found.gradient == pytest.approx(short.gradient * 2 / 3)
    none = paths(model, [(x, None)], loss=lambda scores, _: (scores * 0).sum())
    assert (none.flat, none.share, none.gradient) == (3, (), 0)


def test_of_equal_ranges_the_first_is_taken() -> None:
    """Lengths 1 to 2 and 2 to 3 both hold 95 % of 0, 1, 18, 1, 0; of 20 equal weights, any 19 in a row do."""
    assert effective_range([0, 1, 18, 1, 0]) == (1, 2)
    assert effective_range([1.0] * 20) == (0, 18)
    assert effective_range([5, 90, 5, 0]) == (0, 1)
