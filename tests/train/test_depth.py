"""Training with random depth: which blocks stay, and what the net then computes."""

from pathlib import Path
from typing import Any

import pytest
import torch

import reslab
from reslab.blocks import Residual
from reslab.errors import UsageError
from reslab.images.data import ImageData
from reslab.train.depth import RandomDepth, weighed
from reslab.train.recipe import Recipe, change


def test_exactly_so_many_blocks_each_time() -> None:
    """Veit et al.: 23 of ResNet-110's 54 modules a mini-batch."""
    depth = RandomDepth(reslab.net("cifar_resnet110"), Recipe(epochs=1, active_blocks=23))
    drawn = [depth.staying(i) for i in range(400)]
    assert {sum(stays) for stays in drawn} == {23}
    assert depth.chances() == [23 / 54] * 54
    often = torch.tensor(drawn, dtype=torch.float64).mean(dim=0)  # one standard deviation is 0.025
    assert (often - 23 / 54).abs().max() < 0.1
    assert drawn[7] == depth.staying(7) != drawn[8]


def test_stochastic_depth_leaves_out_late_blocks_more_often() -> None:
    """Huang et al.: block l of L stays with chance 1 - p l / L."""
    depth = RandomDepth(reslab.net("cifar_resnet20"), Recipe(epochs=1, stochastic_depth=0.5))
    drawn = torch.tensor([depth.staying(i) for i in range(4000)], dtype=torch.float64)
    chances = [1 - 0.5 * (i + 1) / 9 for i in range(9)]
    assert depth.chances() == pytest.approx(chances)
    assert (drawn.mean(dim=0) - torch.tensor(chances, dtype=torch.float64)).abs().max() < 0.03


@pytest.mark.parametrize("name", ["cifar_resnet20", "cifar_resnet164"])
def test_a_block_left_out_is_its_shortcut(name: str) -> None:
    net = reslab.net(name, shortcut="B").eval()
    x = torch.randn(2, 3, 16, 16)
    blocks = [m for m in net.modules() if isinstance(m, Residual)]
    with torch.no_grad():
        whole = net(x)
        with weighed(blocks, [1.0] * len(blocks)):
            assert torch.equal(net(x), whole)
        with weighed(blocks, [0.0] + [1.0] * (len(blocks) - 1)):
            short = net(x)
        blocks[0].branch = torch.nn.Sequential(blocks[0].branch, Zero())
        assert torch.equal(net(x), short)
        assert not torch.equal(whole, short)


class Zero(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


@pytest.mark.parametrize("options", [{}, {"activation": "pre"}, {"norm": False}, {"block": "bottleneck"}])
def test_settled_weights_are_what_was_tested(options: dict[str, Any]) -> None:
    depth = 164 if "block" in options else 20
    net = reslab.net(f"cifar_resnet{depth}", shortcut="B", **options).double().eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.1)
    random = RandomDepth(net, Recipe(epochs=1, stochastic_depth=0.5))
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        with random.expected(net):
            tested = net(x)
        assert not torch.allclose(net(x), tested)
        random.fold_in_chances(net)
        torch.testing.assert_close(net(x), tested)


def test_the_net_is_itself_again_after_an_error() -> None:
    net = reslab.net("cifar_resnet20")
    blocks = [m for m in net.modules() if isinstance(m, Residual)]
    with pytest.raises(ZeroDivisionError), weighed(blocks, [0.0] * 9):
        _ = 1 / 0
    assert all("forward" not in vars(block) for block in blocks)


def test_a_run_with_one_block_a_step_ends_well(begin: Any, few: ImageData, tmp_path: Path, straight: Any) -> None:
    run = straight(begin(tmp_path / "run", few, iterations=3, active_blocks=1), few)
    assert run.read_json("results/train.json")["iterations"] == 3


@pytest.mark.parametrize(
    ("net", "changes", "said"),
    [
        ("cifar_plain20", {"stochastic_depth": 0.5}, "this net has none"),
        ("cifar_resnet20", {"active_blocks": 10}, "at most the net's 9 residual blocks, got 10"),
    ],
)
def test_nets_that_cannot(net: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        RandomDepth(reslab.net(net), change(Recipe(epochs=1), **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stochastic_depth": 0.5, "active_blocks": 2}, "cannot be combined"),
        ({"stochastic_depth": 1.0}, "below 1"),
        ({"active_blocks": 2, "compile": "on"}, "they change the net"),
    ],
)
def test_recipes_that_cannot(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        change(Recipe(epochs=1), **changes)
