"""Two linear layers as one: exact where it is done, and refused at padded borders and around nonlinearities."""

from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import reslab
from reslab.slim.cutting.merging import merge
from reslab.slim.cutting.removal import cut

SIGNAL = torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
IMAGE = torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def norm(width: int, kind: Any = nn.BatchNorm2d) -> nn.Module:
    made = kind(width)
    for i, tensor in enumerate([made.running_mean, made.running_var, made.weight.data, made.bias.data]):
        tensor.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(i))
    return made


def sds() -> list[nn.Module]:
    """ConvSDS's two convolutions along the hidden axis, the first padded, the second 1 wide."""
    return [nn.Conv1d(4, 8, 3, padding=1), nn.Conv1d(8, 4, 1)]


EXACT: dict[str, tuple[Callable[[], list[nn.Module]], Tensor, tuple[int, ...]]] = {
    "ConvSDS": (sds, SIGNAL, (4, 4, 3)),
    "a 3x3 without padding after a padded 3x3": (
        lambda: [nn.Conv2d(4, 9, 3, padding=1), nn.Conv2d(9, 3, 3)], IMAGE, (3, 4, 5, 5)),
    "strides and dilations": (
        lambda: [nn.Conv2d(4, 30, 3, stride=2, padding=1), nn.Conv2d(30, 3, (2, 1), stride=(1, 2), dilation=2)], IMAGE,
        (3, 4, 7, 3)),
    "BatchNorm between them": (lambda: [nn.Conv2d(4, 9, 1), norm(9), nn.Conv2d(9, 3, 1)], IMAGE, (3, 4, 1, 1)),
    "padding after a 1x1 without a bias": (
        lambda: [nn.Conv2d(4, 9, 1, bias=False), nn.Conv2d(9, 4, 3, padding=1)], IMAGE, (4, 4, 3, 3)),
    "groups": (lambda: [nn.Conv2d(4, 40, 1, groups=2), nn.Conv2d(40, 4, 1, groups=4)], IMAGE, (4, 4, 1, 1)),
    "linear layers on rows of vectors": (lambda: [nn.Linear(9, 40), nn.Linear(40, 5)], SIGNAL, (5, 9)),
    "three in a row": (lambda: [nn.Linear(9, 40), nn.Linear(40, 30), nn.Linear(30, 5)], SIGNAL, (5, 9)),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_exact(name: str) -> None:
    """The one layer's weight has the size that can be counted by hand, and the outputs are equal, borders too."""
    make, x, shape = EXACT[name]
    torch.manual_seed(0)
    net = nn.Sequential(*make()).double().eval()
    found = merge(net, x, costlier=True)
    assert tuple(found.model[0].weight.shape) == shape
    assert all(isinstance(rest, nn.Identity) for rest in list(found.model)[1:])
    with torch.no_grad():
        assert torch.allclose(found.model(x), net(x), rtol=0, atol=1e-12)
    assert found.difference <= 1e-12


BIAS, WIDE = "where the first gives its bias: the border would differ", "the first is no 1x1 convolution"
REFUSED: dict[str, tuple[Callable[[], list[nn.Module]], str]] = {
    "two padded 3x3": (lambda: [nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)], WIDE),
    "padding after a bias": (lambda: [nn.Conv2d(4, 9, 1), nn.Conv2d(9, 4, 3, padding=1)], BIAS),
    "padding after a norm's shift": (
        lambda: [nn.Conv2d(4, 9, 1, bias=False), norm(9), nn.Conv2d(9, 4, 3, padding=1)], BIAS),
    "a bottleneck": (lambda: [nn.Conv2d(4, 1, 1), nn.Conv2d(1, 4, 1)],
                     "exact, but one layer has 1,296 multiply-adds and the two have 648"),
    "statistics of the batch": (
        lambda: [nn.Conv2d(4, 9, 1), nn.BatchNorm2d(9, track_running_stats=False), nn.Conv2d(9, 4, 1)],
        "computes its statistics anew in every batch"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_reason(name: str) -> None:
    make, why = REFUSED[name]
    found = merge(nn.Sequential(*make()).double().eval(), IMAGE)
    assert [why in str(fold) for fold in found.folds] == [True]
    assert found.statements == ()


class Twice(nn.Module):
    """What the first layer gives is also used elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(9, 40), nn.Linear(40, 9)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.b(x) + x.sum(-1, keepdim=True)


class Turned(nn.Module):
    """Between the layers, the axes change places; they are equally long."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(9, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).transpose(1, 2))


@pytest.mark.parametrize("net", [Twice(), Turned(), nn.Sequential(nn.Linear(9, 40), nn.Tanh(), nn.Linear(40, 9))])
def test_what_is_not_linear_together_is_not_folded(net: nn.Module) -> None:
    found = merge(net.double().eval(), SIGNAL)
    assert found.folds == ()
    assert found.notes == ("nothing was folded: a nonlinearity stands between any two layers of the model",)


def test_a_resnet_has_nothing_to_fold_even_where_only_a_projection_is_left() -> None:
    net = reslab.net("resnet14", shortcut="B", widths=(4, 6, 8)).eval()
    x = torch.randn(2, 3, 8, 8)
    small = cut(net, [2, 3], example=x, method="merge")
    assert small.form == "spec"
    assert small.notes[-1].startswith("nothing was folded: a nonlinearity stands between")


class Inverted(nn.Module):
    """x + f(x), f wide, and linear at its end, as in MobileNetV2; `skip` False: without the skip."""

    def __init__(self, inside: int, out: int, *, skip: bool) -> None:
        super().__init__()
        self.expand, self.norm = nn.Conv2d(4, inside, 1), norm(inside)
        self.project, self.norm2, self.skip = nn.Conv2d(inside, out, 1), norm(out), skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.project(self.norm(self.expand(x)).relu()))
        return x + y if self.skip else y


def test_what_a_removed_block_leaves_between_two_layers(tmp_path: Path) -> None:
    """The removed block stood between a projection and an expansion; then nothing but a norm does."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Sequential(Inverted(3, 4, skip=False), Inverted(8, 4, skip=True), Inverted(2, 4, skip=False)),
        nn.Flatten(), nn.Linear(4 * 81, 3),
    ).eval()  # fmt: skip
    x = IMAGE.float()
    small = cut(net, "0.1", example=x, method="merge")
    before, after = 81 * (3 * 4 + 4 * 2), 81 * (3 * 2)  # of one image
    assert f"0.0.project and 0.1.expand are one layer now ({before:,} to {after:,} multiply-adds)" in small.notes
    assert small.model[0][0].project.weight.shape == (2, 3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(small.model(x), net[2](net[1](net[0][2](net[0][0](x)))), rtol=0, atol=1e-5)
    saved = small.save(tmp_path / "small")
    again = run_path(str(saved.folder / "slimmed.py"))["make"](net)
    with torch.no_grad():
        assert torch.equal(again(x), small.model(x))


def test_the_models_are_left_as_they_were() -> None:
    net = nn.Sequential(*sds()).double()
    weight = net[0].weight.clone()
    merge(net, SIGNAL)
    assert torch.equal(net[0].weight, weight)
    assert net.training
