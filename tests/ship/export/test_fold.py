"""Folding BatchNorm changes nothing but the order of sums, and norms that others depend on stay."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import reslab
from reslab.ship.export.fold import fold


def unsettled(net: nn.Module) -> nn.Module:
    """Its norms have other statistics, gains and shifts than at initialization."""
    generator = torch.Generator().manual_seed(0)
    for one in net.modules():
        if isinstance(one, nn.BatchNorm2d | nn.BatchNorm1d):
            one.running_mean = torch.randn(one.num_features, generator=generator)
            one.running_var = torch.rand(one.num_features, generator=generator) + 0.5
            if one.affine:
                one.weight.data = torch.randn(one.num_features, generator=generator)
                one.bias.data = torch.randn(one.num_features, generator=generator)
    return net.eval()


def example(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("word", "norms"), [("net:resnet20", 19), ("net:resnet20_v2", 19), ("net:vgg11_bn", 8)])
def test_our_nets(word: str, norms: int) -> None:
    size = 32
    net = unsettled(reslab.model(word, size=size))
    made = fold(net, example(2, 3, size, size))
    assert made.norms == norms
    assert made.double
    assert made.difference < 1e-12
    kept = sum(isinstance(one, nn.BatchNorm2d) for one in made.module.modules())
    assert kept == made.norms - made.folded
    x = example(3, 3, size, size)
    with torch.no_grad():
        assert torch.allclose(made.module(x), net(x), rtol=1e-3, atol=1e-3 * float(net(x).abs().max()))
    assert any(isinstance(one, nn.BatchNorm2d) for one in net.modules())  # the model itself is as it was


class Odd(nn.Module):
    """A net where only `first`+`norm1`, `across`+`norm4` and `line`+`norm6` are pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(3, 4, 3, padding=1, groups=1), nn.BatchNorm2d(4)
        self.read, self.norm2 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)  # its output is added to the skip, too
        self.shared, self.norm3 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)  # runs twice
        self.across, self.norm4 = nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False), nn.BatchNorm2d(6, affine=False)
        self.tied, self.norm5 = nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6)  # relu in between
        self.line, self.norm6 = nn.Linear(6, 5), nn.BatchNorm1d(5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.first(x)).relu()
        z = self.read(x)
        x = x + z + self.norm2(z)
        x = self.norm3(self.shared(self.norm3(self.shared(x))))
        x = self.norm4(self.across(x))
        x = self.norm5(self.tied(x).relu())
        return self.norm6(self.line(x.mean(dim=(2, 3))))


def test_norms_whose_input_is_read_by_others_stay() -> None:
    net = unsettled(Odd())
    made = fold(net, example(2, 3, 6, 6))
    kinds = {name for name, one in made.module.named_modules() if isinstance(one, nn.BatchNorm2d | nn.BatchNorm1d)}
    assert kinds == {"norm2", "norm3", "norm5"}
    assert (made.norms, made.folded) == (6, 3)
    assert made.difference < 1e-12
    assert "3 of 6 BatchNorm layers folded" in made.note


class Standardized(nn.Conv2d):
    """Its weight is standardized on the way: folding into the stored weight would be wrong."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight / self.weight.std()
        return nn.functional.conv2d(x, weight, self.bias)


class Activated(nn.BatchNorm2d):
    """A norm with its activation inside, as timm's."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(super().forward(x))


@pytest.mark.parametrize(("layer", "norm", "folded"), [(Standardized, nn.BatchNorm2d, 0), (nn.Conv2d, Activated, 1)])
def test_layers_that_do_more(layer: Any, norm: Any, folded: int) -> None:
    net = unsettled(nn.Sequential(layer(3, 4, 1), norm(4), nn.Flatten(), nn.Linear(4 * 9, 2)))
    made = fold(net, example(2, 3, 3, 3))
    assert made.folded == folded
    x = example(4, 3, 3, 3)
    with torch.no_grad():
        assert torch.allclose(made.module(x), net(x), atol=1e-5)


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_weights_that_are_computed_stay(norm: Any) -> None:
    net = unsettled(nn.Sequential(norm(nn.Conv2d(3, 4, 1)), nn.BatchNorm2d(4), nn.Flatten()))
    made = fold(net, example(2, 3, 3, 3))
    assert (made.norms, made.folded) == (1, 0)
    assert made.note == "1 BatchNorm layer kept: none follows a layer whose output nothing else reads"


def test_a_model_without_batchnorm() -> None:
    made = fold(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), example(2, 3, 2, 2))
    assert (made.norms, made.folded, made.note) == (0, 0, "")
