"""Training with random depth: which blocks stay, and what the net then computes."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import SmallResNet, SmallViT
from quick import QUICK

import reslab
from reslab.blocks import Residual
from reslab.errors import ReslabWarning, UsageError
from reslab.images.data import ImageData
from reslab.images.task import ImageTask
from reslab.progress import silent
from reslab.run import Run
from reslab.train.depth import RandomDepth, weighed
from reslab.train.freeze import freeze
from reslab.train.layers import layers_of
from reslab.train.loop import fit
from reslab.train.recipe import Recipe, change
from reslab.train.signals import Interrupted


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


@pytest.mark.parametrize(
    "options",
    [
        {}, {"activation": "pre"}, {"norm": False}, {"block": "bottleneck"}, {"scale": "layer:0.5"},
        {"scale": "fixup", "norm": False}, {"scale": "depth", "gate": "exclusive:-1"}, {"gate": "half"},
    ],
)  # fmt: skip
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


def by_hand(net: SmallResNet, x: torch.Tensor, factors: list[float]) -> torch.Tensor:
    """The net with each branch multiplied by its factor: ReLU(skip + factor * branch)."""
    x, blocks = torch.relu(net.bn1(net.conv1(x))), [*net.layer1, *net.layer2]
    for block, factor in zip(blocks, factors, strict=True):
        skip = x if block.downsample is None else block.downsample(x)
        branch = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
        x = torch.relu(skip + factor * branch)
    return net.fc(x.mean(dim=(2, 3)))


@pytest.mark.parametrize("changes", [{"stochastic_depth": 0.8}, {"active_blocks": 2}])
def test_the_blocks_of_another_librarys_net(changes: dict[str, Any]) -> None:
    """Outputs, gradients and BatchNorm statistics by hand: branches are kept, divided by their chance, or dropped."""
    torch.manual_seed(0)
    x = torch.randn(6, 1, 8, 8)
    net, recipe = SmallResNet(), change(Recipe(epochs=1), **changes)
    random = RandomDepth(net, recipe, lambda: x[:2])
    chances = [0.8, 0.6, 0.4, 0.2] if "stochastic_depth" in changes else [0.5] * 4
    assert random.chances() == pytest.approx(chances)
    drawn = [random.staying(i) for i in range(200)]
    assert drawn == [random.staying(i) for i in range(200)]
    if "active_blocks" in changes:
        assert {sum(stays) for stays in drawn} == {2}
    for iteration in range(5):
        net.train()
        twin = copy.deepcopy(net)
        with random.drawn(iteration):
            net.zero_grad()
            (out := net(x)).square().sum().backward()
        factors = [float(stays) / chance for stays, chance in zip(drawn[iteration], chances, strict=True)]
        twin.zero_grad()
        (expected := by_hand(twin, x, factors)).square().sum().backward()
        torch.testing.assert_close(out, expected)
        for p, q in zip(net.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(torch.zeros_like(p) if p.grad is None else p.grad, q.grad, rtol=1e-4, atol=1e-4)
        for one, other in zip(net.buffers(), twin.buffers(), strict=True):
            torch.testing.assert_close(one, other)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    net.eval()
    with torch.no_grad(), random.expected(net):
        assert torch.equal(net(x), by_hand(net, x, [1.0] * 4))
    before = copy.deepcopy(net.state_dict())
    random.fold_in_chances(net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_few_blocks_of_another_librarys_net_are_warned_of() -> None:
    x = torch.randn(2, 1, 8, 8)
    with pytest.warns(ReslabWarning, match=r"with 1 of 4 blocks, each branch that is kept counts 4\.0 times"):
        RandomDepth(SmallResNet(), Recipe(epochs=1, active_blocks=1), lambda: x)
    with pytest.raises(UsageError, match="at most the net's 4 residual blocks, got 5"):
        RandomDepth(SmallResNet(), Recipe(epochs=1, active_blocks=5), lambda: x)


def test_frozen_blocks_are_always_kept() -> None:
    """Two of four blocks are frozen: the others are dropped at rates of their own; of a net of ours, too."""
    x = torch.randn(2, 1, 8, 8)
    net = SmallResNet()
    freeze(net, layers_of(net, x), "3")
    assert RandomDepth(net, Recipe(epochs=1, stochastic_depth=0.5), lambda: x).chances() == [0.75, 0.5]
    ours = reslab.net("cifar_resnet8", channels=1)
    freeze(ours, layers_of(ours, x), "2")
    random = RandomDepth(ours, Recipe(epochs=1, stochastic_depth=0.5))
    before = {name: p.clone() for name, p in ours.named_parameters()}
    random.fold_in_chances(ours)
    changed = {name for name, p in ours.named_parameters() if not torch.equal(p, before[name])}
    assert random.chances() == [0.75, 0.5]
    assert changed == {f"stages.{i}.0.branch.norm2.weight" for i in (1, 2)}
    freeze(net, layers_of(net, x), "backbone")
    with pytest.raises(UsageError, match="need residual blocks that are trained, but this net has none"):
        RandomDepth(net, Recipe(epochs=1, stochastic_depth=0.5), lambda: x)


def test_another_librarys_net_trains_and_resumes(few: ImageData, tmp_path: Path, stopped_after: Any) -> None:
    """Stopped and resumed, bit for bit; a net whose residual connections were found is an ordinary one at the end."""
    ends = []
    for name, stops in (("whole", []), ("broken", [3])):
        recipe = change(QUICK, iterations=6, stochastic_depth=0.5, mean="channel", accumulate=2, ema=0.5)
        run = Run(tmp_path / name)
        run.make()
        for k in [*stops, None]:
            torch.manual_seed(0)
            task = ImageTask(few, recipe, torch.device("cpu"))
            if k:
                with stopped_after(k), pytest.raises(Interrupted):
                    fit(task, SmallViT(), recipe=recipe, run=run, progress=silent)
            else:
                ends.append(fit(task, SmallViT(), recipe=recipe, run=run, progress=silent).kept.state_dict())
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


def test_streams_have_no_skip_that_a_block_could_be_reduced_to() -> None:
    net = reslab.net("resnet8", streams="free:2")
    with pytest.raises(UsageError, match="but this net's blocks mix streams"):
        RandomDepth(net, Recipe(epochs=1, stochastic_depth=0.5))
