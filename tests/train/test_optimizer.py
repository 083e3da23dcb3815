"""Which parameters are decayed, at which rate, by which optimizer."""

import pytest
import torch
from torch import nn

import reslab
from reslab.errors import UsageError
from reslab.train.layers import layers_of
from reslab.train.optimizer import make_optimizer
from reslab.train.recipe import Recipe, change
from reslab.train.schedule import Schedule
from reslab.train.tune import Choice, candidates, choose

BASE = Recipe(epochs=1)


class Tower(nn.Module):
    """Three layers, one of them frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        self.parts[0].requires_grad_(False)

    def rate_layers(self) -> list[list[nn.Parameter]]:
        return [list(part.parameters()) for part in self.parts]


def test_layer_decay_by_hand() -> None:
    net, recipe = Tower(), change(BASE, layer_decay=0.5, decay_all=False, optimizer="adamw")
    optimizer = make_optimizer(net, recipe, net.rate_layers())
    facts = [(group["scale"], group["weight_decay"], len(group["params"])) for group in optimizer.param_groups]
    assert facts == [(1.0, 1e-4, 1), (1.0, 0.0, 1), (0.5, 1e-4, 1), (0.5, 0.0, 1)]  # the frozen layer is not there
    assert isinstance(optimizer, torch.optim.AdamW)


def test_every_net_has_layers() -> None:
    """ResNet-8: stem, three blocks, head; each layer's rate is half of the next one's."""
    net = reslab.net("cifar_resnet8")
    layers = layers_of(net, torch.randn(2, 3, 32, 32)).weights(net)
    groups = make_optimizer(net, change(BASE, layer_decay=0.5), layers).param_groups
    assert [group["scale"] for group in groups] == [1.0, 0.5, 0.25, 0.125, 0.0625]
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))


def test_linear_by_hand() -> None:
    """Up over 2 of 10 iterations, then straight down to 0 after the last."""
    recipe = change(BASE, iterations=10, lr=8.0, schedule="linear", warmup=2)
    rates = [Schedule(recipe, examples=128).lr(i) for i in range(10)]
    assert rates == [4.0, 8.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]


def test_nesterov_is_of_sgd() -> None:
    with pytest.raises(UsageError, match="nesterov needs the optimizer sgd"):
        change(BASE, optimizer="adamw", nesterov=True)


def test_a_net_of_named_arguments_has_no_memory_format() -> None:
    class Add(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.scale * (a + b)

    x = {"a": torch.ones(2, 3), "b": torch.ones(2, 3)}
    assert Choice().run(Add(), x).tolist() == [[2.0] * 3] * 2
    recipe = change(BASE, precision="auto", compile="off")
    chosen = choose(Add(), (x, torch.zeros(2)), lambda out, y: out.sum(), recipe=recipe, steps=10)
    assert chosen.memory_format == ""
    assert {c.memory_format for c in candidates(recipe, torch.device("cpu"), images=False)} == {""}
