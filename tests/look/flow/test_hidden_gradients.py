"""Backward passes that are not where hooks look: functions with their own backward, and activation checkpointing."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from reslab import look
from reslab.errors import UsageError


class Half(nn.Module):
    """A reversible block: y1 = x1 + f(x2), y2 = x2 + g(y1)."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = (nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        a = a + self.f(b)
        return torch.cat([a, b + self.g(a)], 1)


class Saving(torch.autograd.Function):
    """Saves no activations: the backward pass computes them again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, block: nn.Module, *weights: Tensor) -> Tensor:
        ctx.block, ctx.weights = block, weights
        ctx.save_for_backward(x)
        return block(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        (x,) = ctx.saved_tensors
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            wanted = [x, *(weight for weight in ctx.weights if weight.requires_grad)]
            found = iter(torch.autograd.grad(ctx.block(x), wanted, gradient))
        return next(found), None, *(next(found) if weight.requires_grad else None for weight in ctx.weights)


class Net(nn.Module):
    def __init__(self, how: str, stem: bool = True) -> None:
        super().__init__()
        self.how, self.stem = how, nn.Linear(8, 8) if stem else nn.Identity()
        self.blocks, self.head = nn.ModuleList(Half() for _ in range(3)), nn.Linear(8, 4)

    def run(self, block: nn.Module, x: Tensor) -> Tensor:
        match self.how:
            case "function":
                return Saving.apply(x, block, *block.parameters())  # type: ignore[no-any-return]
            case "frozen":
                with torch.no_grad():
                    return block(x)  # type: ignore[no-any-return]
            case "reentrant" | "not reentrant":
                return checkpoint(block, x, use_reentrant=self.how == "reentrant")  # type: ignore[no-any-return]
        return block(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if self.how == "sequential":
            return self.head(checkpoint_sequential(list(self.blocks), 2, x, use_reentrant=False))  # type: ignore[no-any-return]
        for block in self.blocks:
            x = self.run(block, x)
        return self.head(x)  # type: ignore[no-any-return]


def net(how: str, stem: bool = True) -> Net:
    torch.manual_seed(0)
    return Net(how, stem).double()


X, Y = torch.randn(5, 8, generator=torch.Generator().manual_seed(0)).double(), torch.tensor([0, 1, 2, 3, 0])
VERBS: list[Callable[..., Any]] = [look.paths, look.gradients, look.influence]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("how", ["reentrant", "not reentrant", "sequential"])
def test_checkpointing_changes_no_number(verb: Callable[..., Any], how: str) -> None:
    plain, saving = net("plain"), net(how)
    assert verb(saving, [(X, Y)]) == verb(plain, [(X, Y)])
    if verb is look.gradients:  # and afterwards the net saves memory as before
        assert verb(saving.train(), [(X, Y)], training=True) == verb(plain.train(), [(X, Y)], training=True)
    calls: list[int] = []
    handle = saving.blocks[0].register_forward_pre_hook(lambda *_: calls.append(1))
    saving(X.clone().requires_grad_()).sum().backward()
    handle.remove()
    assert len(calls) == 2


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("stem", [True, False])
def test_sums_inside_a_function_with_its_own_backward_are_refused(verb: Callable[..., Any], stem: bool) -> None:
    with pytest.raises(UsageError, match=r"runs without gradients .*torch.autograd.Function.* cannot be measured"):
        verb(net("function", stem), [(X, Y)])
    look.lesions(net("function", stem), [(X, Y)])  # needs no gradients


def test_gradients_that_stop_in_the_middle_are_refused_but_a_frozen_beginning_is_not() -> None:
    with pytest.raises(UsageError, match=r"blocks\.0.* runs without gradients"):
        look.gradients(net("frozen"), [(X, Y)])
    found = look.gradients(net("frozen", stem=False), [(X, Y)])
    assert [row.activation for row in found.layers[:-1]] == [0] * 12
    assert found.layers[-1].activation > 0
    assert "were computed without a gradient" in found.notes[-1]


def test_a_function_beside_the_sums_is_no_matter() -> None:
    """A memory-saving activation, as several published nets have it: the sums are outside."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return 2 * ctx.saved_tensors[0] * gradient

    class Squared(nn.Module):
        def __init__(self, own: bool) -> None:
            super().__init__()
            self.f, self.own = nn.Linear(8, 8), own

        def forward(self, x: Tensor) -> Tensor:
            y = self.f(x)
            return x + (Square.apply(y) if self.own else y * y)  # type: ignore[no-any-return]

    nets = []
    for own in (True, False):
        torch.manual_seed(0)
        nets.append(nn.Sequential(Squared(own), Squared(own)).double())
    for verb in VERBS:
        assert repr(verb(nets[0], [(X, Y)])) == repr(verb(nets[1], [(X, Y)]))
