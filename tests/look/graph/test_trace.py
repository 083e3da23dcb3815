"""The pass that finds merges: what it holds, and on which tensors it runs."""

import functools
import weakref

import pytest
import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look import certify, find
from reslab.look.graph.passes import as_it_was
from reslab.look.graph.shapes import graph_of


class Counting(nn.Module):
    """Ten residual blocks; after each it counts how many of the branches so far are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(7, 7) for _ in range(10))

    def forward(self, x: Tensor) -> Tensor:
        branches = []
        for layer in self.layers:
            branch = layer(x).tanh()
            branches.append(weakref.ref(branch))
            x = x + branch
            ALIVE.append(sum(branch() is not None for branch in branches))
        return x


ALIVE: list[int] = []


def test_find_holds_no_tensor_longer_than_the_model_does() -> None:
    ALIVE.clear()
    assert len(find(Counting(), torch.ones(3, 7))) == 10
    assert ALIVE == [1] * 10 * 2  # one pass finds, one checks


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Linear(7, 7)
        self.cache: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x).tanh()


X = torch.ones(3, 7)


def test_shapes_are_enough_for_most_models() -> None:
    ALIVE.clear()
    net = Counting()
    found = find(net, X)
    assert (found.found_on, found.notes) == ("shapes", ())
    assert find(net, X, values=True).found_on == "values"
    assert ALIVE == [1] * 10 * 4


@pytest.mark.parametrize("kind", ["item", "if", "numpy", "nonzero"])
def test_values_where_the_model_needs_them(kind: str) -> None:
    class Needs(Block):
        def forward(self, x: Tensor) -> Tensor:
            match kind:
                case "item":
                    x = x * x.sum().item()
                case "if":
                    x = x if x.sum() > 0 else -x
                case "numpy":
                    x = x + torch.from_numpy(x.numpy())
                case "nonzero":
                    x = x[x[:, 0].nonzero()[:, 0]]
            return super().forward(x)

    found = find(Needs(), X)
    assert found.found_on == "values"
    assert len(found) == 1
    assert found.notes[-1].startswith("found in a pass with values, because the model does not run on shapes alone (")


GRIDS: dict[int, Tensor] = {}
LAST: Tensor | None = None


@functools.lru_cache
def grid(n: int) -> Tensor:
    return torch.arange(n) / n


def test_no_tensor_without_values_is_left_behind() -> None:
    """In an attribute, a global, a dict of the file or a cache: the model must still run, on real tensors."""

    class Caches(Block):
        def forward(self, x: Tensor) -> Tensor:
            global LAST
            if self.cache is None:
                self.cache = torch.ones(7)
            if LAST is None:
                LAST = torch.ones(7)
            n = x.shape[1]
            if n not in GRIDS:
                GRIDS[n] = torch.ones(n)
            return super().forward(x * (self.cache + LAST + GRIDS[n] + grid(n)))

    net = Caches()
    with as_it_was(net):
        assert graph_of(net, X)[1] == "shapes"
    assert (net.cache, LAST, GRIDS, grid.cache_info().currsize) == (None, None, {}, 0)
    assert find(net, X).found_on == "shapes"
    assert type(net(X)) is Tensor
    assert certify(net, X).holds


def test_what_real_tensors_refuse_is_refused() -> None:
    """Fake tensors accept other dtypes and any ids."""
    with pytest.raises(UsageError, match="Block does not accept the example"):
        find(Block(), X.double())
    net = nn.Sequential(nn.Flatten(), nn.Embedding(5, 7), Block())
    with pytest.raises(UsageError, match="index out of range"):
        find(net, torch.tensor([[5]]))


def test_shapes_alone_change_nothing_of_the_model() -> None:
    class Counts(Block):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            self.f.weight.data.mul_(2)
            x.add_(1)
            return super().forward(x)

    net, x = Counts(), X.clone()
    before = net.f.weight.detach().clone()
    assert find(net, x).found_on == "shapes"
    assert torch.equal(net.f.weight, before)
    assert (net.calls.item(), x.sum().item()) == (0, 21)


class Balanced(nn.Module):
    """A residual block whose weight is divided by its own sums, forty times."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(7, 7))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        for i in range(40):
            weight = weight / weight.sum(i % 2, keepdim=True)
        return x + (x @ weight).tanh()


def test_a_weight_that_is_read_again_and_again_is_named_once() -> None:
    graph, *_ = graph_of(Balanced(), X, values=False)
    assert {value.weights for value in graph.values} == {(), ("weight",)}  # not 2^40 times
    assert find(Balanced(), X)[0].params == 49
