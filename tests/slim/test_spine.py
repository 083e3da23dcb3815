"""What follows or precedes an addition counts, whether or not the few numbers of the example show it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as f
from towers import Add, linear, rows, tower

from reslab.slim.block import Block
from reslab.slim.cutting.removal import cut
from reslab.slim.finding import find_blocks

Op = Callable[[Tensor], Tensor]


class Between(nn.Module):
    """after(before(x) + f(before(x)))."""

    def __init__(self, before: Op, after: Op) -> None:
        super().__init__()
        self.f, self.ops = linear(), (before, after)

    def forward(self, x: Tensor) -> Tensor:
        x = self.ops[0](x)
        return self.ops[1](x + self.f(x).tanh())


def same(x: Tensor) -> Tensor:
    return x


def first(before: Op, after: Op) -> Block:
    return find_blocks(tower(Between(before, after), Between(before, after)).eval(), rows())[0]


UNSEEN: dict[str, Op] = {  # by none of these does a number of the example change, or by less than rounding
    "clamp": lambda x: x.clamp(-90, 90),
    "hardtanh": lambda x: f.hardtanh(x, -90, 90),
    "minimum": lambda x: torch.minimum(x, torch.tensor(90.0)),
    "where": lambda x: torch.where(x > 90, 90.0, x),
    "masked_fill": lambda x: x.masked_fill(x < -90, 0.0),
    "threshold": lambda x: f.threshold(x, -90.0, 0.0),
    "hardshrink": lambda x: f.hardshrink(x, 1e-6),
    "nan_to_num": lambda x: x.nan_to_num(),
    "relu": lambda x: f.relu(x).clamp(max=90),
}


@pytest.mark.parametrize("op", UNSEEN)
def test_what_the_example_does_not_reach(op: str) -> None:
    after = first(same, UNSEEN[op])
    assert not after.removable
    assert op in after.why
    assert not first(UNSEEN[op], same).removable


@pytest.mark.parametrize("op", [same, lambda x: x.contiguous().view_as(x), lambda x: f.dropout(x, 0.5, training=False)])
def test_what_changes_no_number(op: Op) -> None:
    assert (first(op, op).kind, first(op, op).removable) == ("block", True)


@pytest.mark.parametrize("op", [f.relu, lambda x: x.clamp(min=0), torch.relu_])
def test_a_relu_without_a_module_stays(op: Op) -> None:
    assert (first(same, op).kind, first(same, op).keeps) == ("branch", ("relu",))


def test_a_clamp_that_is_a_module_stays() -> None:
    """The model without the branch clamps as the one in which the branch gives zeros, for inputs of any size."""
    net = tower(Add(after=nn.ReLU6()), Add(after=nn.ReLU6())).eval()
    small = cut(net, 0, example=rows())
    assert small.removed[0].keeps == ("1.0.after",)
    large = 100 * rows()
    with torch.no_grad():
        block: nn.Module = net[1][0]  # type: ignore[index, assignment]
        for p in block.f.parameters():  # type: ignore[union-attr]
            p.zero_()
        assert torch.equal(net(large), small.model(large))
        assert bool((net[0](large) > 6).any())  # type: ignore[index]
