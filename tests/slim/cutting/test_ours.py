"""A cut model equals the intact one with those blocks disabled, loads from what was saved, and bad input is refused."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import reslab
from reslab.errors import ReslabError, UsageError
from reslab.look import intervene, silence
from reslab.nets import count
from reslab.nets.counts import layers
from reslab.slim.cutting.removal import cut
from reslab.slim.finding import find_blocks

IMAGE = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
slow = pytest.mark.slow
OURS: list[Any] = [
    ("resnet14", {}),
    ("resnet14_v2", {"shortcut": "B"}),
    ("resnet14", {"shortcut": "C", "norm": False}),
    pytest.param("resnet20_v2", {"block": "bottleneck"}, marks=slow),
    pytest.param("resnet20_v2", {"block": "bottleneck", "shortcut": "B"}, marks=slow),
    pytest.param("resnet20", {"block": "bottleneck", "shortcut": "B"}, marks=slow),
    pytest.param("resnet14", {"shortcut": "A-both"}, marks=slow),
    pytest.param("resnet14", {"shortcut": "B"}, marks=slow),
    pytest.param("resnet14", {"shortcut": "C"}, marks=slow),
    pytest.param("resnet14_v2", {}, marks=slow),
    pytest.param("resnet14_v2", {"shortcut": "C"}, marks=slow),
    pytest.param("resnet14_v2", {"norm": False}, marks=slow),
    pytest.param("resnet18_v2", {"stem": "imagenet", "size": 96}, marks=slow),
    pytest.param("resnet50", {"stem": "imagenet", "size": 96, "stages": (2, 2, 2, 2)}, marks=slow),
]
WIDTHS = (4, 6, 8)


def trained(net: nn.Module) -> nn.Module:
    """With BatchNorm statistics and gains of its own, as after training."""
    for i, module in enumerate(net.modules()):
        if isinstance(module, nn.BatchNorm2d):
            draw = torch.Generator().manual_seed(i)
            module.running_mean.copy_(torch.randn(module.num_features, generator=draw) / 4)
            module.running_var.copy_(torch.rand(module.num_features, generator=draw) + 0.5)
            module.weight.data.copy_(torch.rand(module.num_features, generator=draw) + 0.5)
    return net.eval()


def disabled(net: nn.Module, removed: Sequence[int], x: Tensor) -> Tensor:
    blocks = find_blocks(net, x)
    with torch.no_grad(), intervene(net, blocks.merges, {i: silence() for b in removed for i in blocks[b].merges}):
        return net(x)


@pytest.mark.parametrize(("name", "options"), OURS, ids=lambda value: str(value) if isinstance(value, str) else None)
def test_ours_become_a_smaller_spec(name: str, options: dict[str, Any]) -> None:
    """Blocks 0, 2, 3 of six: whole ones, one after another, and one that changes the shape."""
    net = reslab.net(name, widths=(4, 6, 8, 10)[: 3 + options.get("stem", "").count("imagenet")], **options)
    net, x = trained(net.double()), IMAGE.double()
    if options.get("stem"):
        x = torch.nn.functional.interpolate(x, scale_factor=12)
    blocks = find_blocks(net, x)
    small = cut(net, [0, 2, 3], example=x, blocks=blocks)
    edits = {i: silence() for b in (0, 2, 3) for i in blocks[b].merges}
    with torch.no_grad(), intervene(net, blocks.merges, edits):
        assert torch.allclose(small.model(x), net(x), rtol=0, atol=1e-10)
    assert small.form == "spec"
    assert small.difference <= 1e-10
    spec = small.model.spec
    assert sum(spec.stages) - len(spec.bare) == len(blocks) - 3
    assert spec.depth == net.spec.depth - 3 * (3 if spec.block == "bottleneck" else 2)
    assert spec.name == f"{name}-slim{spec.depth}"
    assert count(spec).parameters == sum(p.numel() for p in small.model.parameters())


def test_what_is_saved_loads_as_any_net(tmp_path: Path) -> None:
    net = trained(reslab.net("resnet14_v2", shortcut="B", widths=WIDTHS))
    small = cut(net, [0, 2, 3], example=IMAGE)
    saved = small.save(tmp_path / "small")
    assert saved.loads == f'reslab.load("{tmp_path}/small/weights.safetensors")'
    again = eval(saved.loads)
    assert again.spec == small.model.spec
    with torch.no_grad():
        assert torch.equal(again(IMAGE), small.model(IMAGE))


def test_a_second_slimming_goes_on_from_the_first() -> None:
    net = trained(reslab.net("resnet14", shortcut="B", widths=WIDTHS))
    once = cut(net, [1, 2], example=IMAGE).model
    assert once.spec.stages == (1, 2, 2)
    assert once.spec.bare == (1,)
    twice = cut(once, ["stages.1.1", "stages.2.0"], example=IMAGE).model
    assert twice.spec.stages == (1, 1, 2)
    assert twice.spec.bare == (1, 2)
    assert twice.spec.name == "resnet14-slim6"  # 2 blocks of 2 layers, stem and head
    with torch.no_grad():
        assert torch.allclose(twice(IMAGE), disabled(net, [1, 2, 3, 4], IMAGE), atol=1e-5)


def test_a_slim_net_is_counted_layer_by_layer() -> None:
    """A projection without its branch is on the path: its stride of 2 doubles the step of what follows."""
    net = reslab.net("resnet8", shortcut="A")
    small = cut(net, [1], example=IMAGE).model.spec
    assert small.bare == (1,)
    whole, bare = count(net.spec), count(small)
    assert whole.parameters - bare.parameters == 16 * 32 * 9 + 32 * 32 * 9 + 4 * 32
    assert whole.macs - bare.macs == 16 * 16 * (16 * 32 * 9 + 32 * 32 * 9)
    strides = [layer.stride for layer in layers(small) if layer.path.startswith("stages.2") and layer.stride]
    assert strides == [4, 4]


def test_a_slim_net_trains_and_its_weights_have_gradients() -> None:
    small = cut(reslab.net("resnet14", shortcut="B", widths=WIDTHS), [2, 3], example=IMAGE).model.train()
    small(IMAGE).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in small.stages.parameters())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bare": (9,)}, r"bare must be increasing numbers of blocks from 0 to 8, got \(9,\)"),
        ({"bare": (3, 3)}, "bare must be increasing numbers"),
        ({"bare": (1,)}, "bare block 1 has the identity as its shortcut: leave it out of stages instead"),
        ({"bare": (3,), "shortcut": "none"}, "bare needs shortcuts"),
        ({"bare": ("3",)}, "bare must be numbers of blocks"),
    ],
)
def test_bare_blocks_that_cannot_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        reslab.net("resnet20", **changes)


def test_frozen_weights_stay_frozen() -> None:
    net = reslab.net("resnet14", widths=WIDTHS)
    net.stages[0].requires_grad_(False)
    small = cut(net, [1, 4], example=IMAGE).model
    assert not any(p.requires_grad for p in small.stages[0].parameters())
    assert all(p.requires_grad for p in small.stages[1].parameters())


def test_a_net_without_residual_blocks() -> None:
    with pytest.raises(UsageError, match="ResNet has no block 0: it has no blocks"):
        cut(reslab.net("plain14", widths=WIDTHS), 0, example=IMAGE)


def test_bad_choices() -> None:
    net = reslab.net("resnet14", widths=WIDTHS)
    blocks = find_blocks(net, IMAGE)
    said = {
        "ResNet has no block 6: it has blocks 0 to 5": [6],
        "ResNet has no block 'stages.0.7'": ["stages.0.7"],
        "no block was chosen": [],
        "would leave stages.0 empty: keep at least one of them": [0, 1],
        "named by its index or its module": [1.5],
        "the plan was made for another model": [replace(blocks[0], module="layer1.0")],
        "cannot be removed: not today": None,
    }
    for words, what in said.items():
        odd = replace(blocks, blocks=(replace(blocks[0], removable=False, why="not today"), *blocks[1:]))
        with pytest.raises(UsageError, match=words):
            cut(net, [0] if what is None else what, example=IMAGE, blocks=odd if what is None else blocks)


def test_nothing_stays_where_saving_fails(tmp_path: Path) -> None:
    net = reslab.net("resnet14", widths=WIDTHS)
    small = cut(net, 1, example=IMAGE)
    other = copy.deepcopy(small.model).double()
    with pytest.raises(ReslabError, match="reslab stores nets in single precision"):
        small.save(tmp_path / "small", model=other)
    assert list(tmp_path.iterdir()) == []
