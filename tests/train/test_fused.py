"""Fused updates beside torch's own, the average of weights, and a start without the compiler."""

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reslab.train.average import Average
from reslab.train.fused import FusedAdamW, FusedSGD


def parameters() -> list[nn.Parameter]:
    torch.manual_seed(0)
    image = torch.randn(4, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    return [nn.Parameter(torch.randn(5, 7)), nn.Parameter(torch.randn(9)), nn.Parameter(image)]


def groups(some: list[nn.Parameter]) -> list[dict[str, Any]]:
    return [{"params": [some[0], some[2]], "weight_decay": 0.1}, {"params": [some[1]], "weight_decay": 0.0}]


def give_gradients(*sides: list[nn.Parameter], step: int, without: int) -> None:
    """The same gradients to each side; one parameter has none in the first three steps, as with random depth."""
    for k, same in enumerate(zip(*sides, strict=True)):
        gradient = torch.randn(same[0].shape, generator=torch.Generator().manual_seed(10 * step + k))
        for p in same:
            p.grad = None if k == without and step < 3 else torch.empty_like(p).copy_(gradient)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_torchs_though_some_have_no_gradient_at_first(nesterov: bool) -> None:
    ours, theirs = parameters(), parameters()
    settings = {"lr": 0.1, "momentum": 0.9, "nesterov": nesterov}
    sides = FusedSGD(groups(ours), **settings), torch.optim.SGD(groups(theirs), **settings)
    for step in range(6):
        give_gradients(ours, theirs, step=step, without=2)
        for side in sides:
            side.step()
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b)
        assert step >= 3 or torch.equal(ours[2], parameters()[2])  # without a gradient it is not even decayed


def test_sgd_by_hand() -> None:
    """v = 1 + 0.5 * 2 = 2, w = 2 - 0.1 * 2 = 1.8; v = 0.9 * 2 + 1 + 0.5 * 1.8 = 3.7, w = 1.8 - 0.37."""
    w = nn.Parameter(torch.tensor([2.0]))
    optimizer = FusedSGD([{"params": [w], "weight_decay": 0.5}], lr=0.1, momentum=0.9)
    for wanted in (1.8, 1.43):
        w.grad = torch.ones(1)
        optimizer.step()
        assert w.item() == pytest.approx(wanted, rel=1e-6)
    optimizer.zero_grad()
    assert w.grad is None


def test_a_checkpoint_of_torchs_sgd_is_resumed() -> None:
    """It lacks the buffer of a parameter that had no gradient yet, and its buffers may be laid out otherwise."""
    ours, theirs = parameters(), parameters()
    settings = {"lr": 0.1, "momentum": 0.9}
    before, after = torch.optim.SGD(groups(theirs), **settings), FusedSGD(groups(ours), **settings)
    give_gradients(theirs, step=0, without=1)
    before.step()
    state = copy.deepcopy(before.state_dict())
    assert len(state["state"]) == 3 - 1
    for each in state["state"].values():
        each["momentum_buffer"] = each["momentum_buffer"].contiguous()
    after.load_state_dict(state)
    for a, b in zip(ours, theirs, strict=True):
        a.data.copy_(b.data)
    for step in (1, 2, 3):
        give_gradients(ours, theirs, step=step, without=1)
        before.step()
        after.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_adamw_is_torchs_to_the_bit() -> None:
    ours, theirs = parameters(), parameters()
    sides = FusedAdamW(groups(ours), lr=0.01, fused=True), torch.optim.AdamW(groups(theirs), lr=0.01, fused=True)
    for step in range(5):
        if step == 4:
            sides[0].load_state_dict(copy.deepcopy(sides[1].state_dict()))
        give_gradients(ours, theirs, step=step, without=0)
        for side in sides:
            side.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert sides[0].state_dict()["param_groups"] == sides[1].state_dict()["param_groups"]


def test_the_average_follows_a_buffer_that_the_net_replaces() -> None:
    """1, then 0.5 * 1 + 0.5 * 3 = 2; the count is copied."""

    class Counting(nn.Module):
        value: Tensor
        count: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("value", torch.tensor(1.0))
            self.register_buffer("count", torch.tensor(0))
            self.weight = nn.Parameter(torch.tensor(5.0))

    net = Counting()
    average = Average(net)
    average.follow(0.5)
    net.value, net.count = torch.tensor(3.0), torch.tensor(7)
    average.follow(0.5)
    kept: Any = average.module
    assert (kept.value.item(), kept.count.item(), kept.weight.item(), int(average.n_averaged)) == (2.0, 7, 5.0, 2)


def test_a_training_does_not_import_the_compiler() -> None:
    """It takes a second of each start: torch.optim and torch.use_deterministic_algorithms import it."""
    code = (
        "import sys, torch; from reslab.train.average import Average; from reslab.train.folder import configure; "
        "from reslab.train.optimizer import make_optimizer; from reslab.train.recipe import Recipe\n"
        "for r in (Recipe(iterations=1, compile='off'), Recipe(iterations=1, compile='off', optimizer='adamw')):\n"
        "  net = torch.nn.Linear(2, 2); configure(r); o = make_optimizer(net, r); net(torch.ones(2)).sum().backward()\n"
        "  o.step(); o.zero_grad(); o.load_state_dict(o.state_dict()); Average(net).follow(0.5)\n"
        "sys.exit(' '.join(n for n in ('torch._dynamo', 'sympy') if n in sys.modules) or 0)"
    )  # fmt: skip
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
