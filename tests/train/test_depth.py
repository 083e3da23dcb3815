"""Training with random depth: which blocks stay, and what the net then computes."""

from pathlib import Path
from typing import Any

import pytest
import torch

import reslab
from reslab.blocks import Residual
from reslab.data import ImageData
from reslab.errors import UsageError
from reslab.train.depth import RandomDepth, shortened
from reslab.train.recipe import Recipe, change


def test_exactly_so_many_blocks_each_time() -> None:
    """Veit et al.: 23 of ResNet-110's 54 modules a mini-batch."""
    depth = RandomDepth(reslab.net("cifar_resnet110"), Recipe(epochs=1, active_blocks=23))
    drawn = [depth.factors(i) for i in range(200)]
    assert {sum(f > 0 for f in factors) for factors in drawn} == {23}
    assert {f for factors in drawn for f in factors} == {0.0, 54 / 23}
    often = torch.tensor(drawn).mean(dim=0)  # 1 on average for every block: 3 standard deviations are 0.25
    assert (often - 1).abs().max() < 0.35
    assert drawn[7] == depth.factors(7) != drawn[8]


def test_stochastic_depth_leaves_out_late_blocks_more_often() -> None:
    """Huang et al.: block l of L stays with chance 1 - p l / L; its branch counts for more when it does."""
    depth = RandomDepth(reslab.net("cifar_resnet20"), Recipe(epochs=1, stochastic_depth=0.5))
    drawn = torch.tensor([depth.factors(i) for i in range(4000)], dtype=torch.float64)
    chances = torch.tensor([1 - 0.5 * (i + 1) / 9 for i in range(9)], dtype=torch.float64)
    assert ((drawn > 0).double().mean(dim=0) - chances).abs().max() < 0.03
    assert drawn.max(dim=0).values.tolist() == pytest.approx((1 / chances).tolist())


@pytest.mark.parametrize("name", ["cifar_resnet20", "cifar_resnet164"])
def test_a_block_left_out_is_its_shortcut(name: str) -> None:
    net = reslab.net(name, shortcut="B").eval()
    x = torch.randn(2, 3, 16, 16)
    blocks = [m for m in net.modules() if isinstance(m, Residual)]
    with torch.no_grad():
        whole = net(x)
        with shortened(blocks, [1.0] * len(blocks)):
            assert torch.equal(net(x), whole)
        with shortened(blocks, [0.0] + [1.0] * (len(blocks) - 1)):
            short = net(x)
        blocks[0].branch = torch.nn.Sequential(blocks[0].branch, Zero())
        assert torch.equal(net(x), short)
        assert not torch.equal(whole, short)


class Zero(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


def test_the_net_is_itself_again_after_an_error() -> None:
    net = reslab.net("cifar_resnet20")
    blocks = [m for m in net.modules() if isinstance(m, Residual)]
    with pytest.raises(ZeroDivisionError), shortened(blocks, [0.0] * 9):
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
        ({"stochastic_depth": 0.5, "active_blocks": 2}, "exclude each other"),
        ({"stochastic_depth": 1.0}, "below 1"),
        ({"active_blocks": 2, "compile": "on"}, "the net changes"),
    ],
)
def test_recipes_that_cannot(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        change(Recipe(epochs=1), **changes)
