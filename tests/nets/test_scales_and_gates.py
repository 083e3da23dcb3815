"""Scaled branches and gated shortcuts: each formula by hand, the starts of the papers, counts, and what is refused."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import reslab
from reslab.blocks import Exclusive, Fixup, Gated, Residual, ShortcutOnly, make_gate, make_scale
from reslab.errors import UsageError
from reslab.nets import count, from_dict, net, spec, to_dict
from reslab.slim.cutting.removal import cut
from reslab.slim.finding import find_blocks
from reslab.train.depth import weighed
from reslab.train.optimizer import make_optimizer
from reslab.train.recipe import Recipe

SMALL: dict[str, Any] = {"stages": (1, 2), "widths": (2, 4), "channels": 1, "size": 8}
WORDS: list[dict[str, Any]] = [
    {"scale": "zero"}, {"scale": "layer:0.1"}, {"scale": "depth"}, {"scale": "fixed:-0.5"},
    {"scale": "fixup", "norm": False}, {"gate": "half"}, {"gate": "exclusive:-6"}, {"gate": "shortcut:0"},
    {"gate": "dropout:0.5"}, {"scale": "depth", "gate": "half"}, {"scale": "zero", "norm": False},
]  # fmt: skip


def built(seed: int = 0, name: str = "resnet8", **options: Any) -> nn.Module:
    torch.manual_seed(seed)
    return net(name, **{**SMALL, **options}).eval()


def moved(module: nn.Module) -> nn.Module:
    """With all parameters changed, as after training."""
    draw = torch.Generator().manual_seed(0)
    for p in module.parameters():
        p.data += 0.3 * torch.randn(p.shape, generator=draw)
    return module


def images(n: int = 3) -> Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("word", "factor"),
    [("zero", 0), ("layer:0.25", 0.25), ("depth", 1 / 3), ("fixed:-2", -2), ("fixup", 1)],
)
def test_each_scale_multiplies_the_branch(word: str, factor: float) -> None:
    scale = make_scale(word, width=2, branches=9)
    x = torch.ones(1, 2, 1, 1)
    assert scale is not None
    block = Residual(nn.Identity(), nn.Identity(), scale=scale)
    assert block(x).flatten().tolist() == pytest.approx([1 + factor] * 2)
    assert sum(p.numel() for p in scale.parameters()) == {"zero": 1, "layer:0.25": 2, "fixup": 2}.get(word, 0)


def test_a_factor_per_channel_multiplies_its_channel_and_fixup_adds_a_number() -> None:
    layer, fixup = make_scale("layer:0.5", width=2, branches=1), make_scale("fixup", width=2, branches=1)
    assert layer is not None
    assert isinstance(fixup, Fixup)
    layer.factor.data = torch.tensor([2.0, 3.0])
    fixup.factor.data.fill_(2)
    fixup.shift.data.fill_(-1)
    assert layer(torch.ones(1, 2, 1, 2)).tolist() == [[[[2, 2]], [[3, 3]]]]
    assert fixup(torch.ones(1, 2, 1, 1)).flatten().tolist() == [1, 1]


def test_each_gate_by_hand() -> None:
    """g = sigmoid(W s + b) with s = (1, 2), W = [[0, 1], [0, 0]], b = -1."""
    s, f = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1), torch.tensor([10.0, 20.0]).view(1, 2, 1, 1)
    g = [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))]
    expected = {
        "half": [5.5, 11],
        "exclusive:-1": [(1 - g[0]) * 1 + g[0] * 10, (1 - g[1]) * 2 + g[1] * 20],
        "shortcut:-1": [(1 - g[0]) * 1 + 10, (1 - g[1]) * 2 + 20],
        "dropout:0.5": [11, 22],  # in eval mode
    }
    for word, wanted in expected.items():
        gate = make_gate(word, width=2)
        assert gate is not None
        if isinstance(gate, Gated):
            gate.conv.weight.data = torch.tensor([[0.0, 1.0], [0.0, 0.0]]).view(2, 2, 1, 1)
            gate.reset()
        assert gate.eval()(s, f).flatten().tolist() == pytest.approx(wanted), word


def test_dropout_sets_numbers_of_the_shortcut_to_zero_and_doubles_the_others() -> None:
    gate = make_gate("dropout:0.5", width=1)
    assert gate is not None
    torch.manual_seed(0)
    found = gate.train()(torch.ones(1, 1, 100, 100), torch.full((1, 1, 100, 100), 10.0))
    assert set(found.flatten().tolist()) == {10.0, 12.0}
    assert found.mean().item() == pytest.approx(11, abs=0.05)


@pytest.mark.parametrize("init", ["he", "torch"])
def test_gates_start_with_their_bias(init: str) -> None:
    made = built(gate="shortcut:-6", init=init)
    biases = [m.conv.bias for m in made.modules() if isinstance(m, ShortcutOnly)]
    assert len(biases) == 3
    assert all(b is not None and set(b.tolist()) == {-6} for b in biases)
    assert {m.start for m in built(gate="exclusive:-2").modules() if isinstance(m, Exclusive)} == {-2}


def test_a_net_of_scale_zero_starts_as_its_shortcuts_alone() -> None:
    """post: relu of a non-negative skip is the skip, so the output is that of stem, padding and head."""
    made = built(scale="zero", norm=False)
    x = made.stem(images())
    x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))
    assert torch.allclose(made(images()), made.head(x.mean((2, 3))), atol=1e-6)


def test_the_same_seed_gives_the_same_weights_with_and_without_a_scale() -> None:
    plain, scaled = built().state_dict(), built(scale="zero").state_dict()
    assert all(torch.equal(scaled[name], value) for name, value in plain.items())
    assert set(scaled) - set(plain) == {f"stages.{i}.scale.factor" for i in ("0.0", "1.0", "1.1")}


@pytest.mark.parametrize(("block", "power"), [("basic", -1 / 2), ("bottleneck", -1 / 4)])
def test_fixup_scales_the_weights_of_branches_and_starts_their_last_layer_and_the_head_at_zero(
    block: str, power: float
) -> None:
    """L^(-1 / (2m - 2)) of 3 branches of 2 or 3 layers; a number before each layer and ReLU, no other biases."""
    name = "resnet11" if block == "bottleneck" else "resnet8"
    fixup = built(name=name, scale="fixup", norm=False, block=block)
    plain = built(name=name, block=block)  # without biases, so that the same random numbers go to the same weights
    last = "conv3" if block == "bottleneck" else "conv2"
    for path, module in fixup.named_modules():
        if isinstance(module, nn.Conv2d) and ".branch." in path:
            usual = plain.get_submodule(path).weight
            assert torch.allclose(module.weight, usual * (0 if path.endswith(last) else 3**power)), path
            assert module.bias is None
    assert torch.equal(fixup.stem.conv.weight, plain.stem.conv.weight)
    assert not fixup.head.weight.any()
    assert not fixup.head.bias.any()
    layers = 3 if block == "bottleneck" else 2  # of each of three branches, with a ReLU between two
    numbers = 3 * (2 * layers - 1 + 2) + 2  # and factor and number after it; one in the stem and one before the head
    assert sum(p.numel() for p in fixup.parameters() if p.numel() == 1) == numbers
    assert fixup(images()).abs().max() == 0  # the head starts at zero


def test_after_its_first_step_fixup_changes_its_answers_and_then_its_branches() -> None:
    made = built(scale="fixup", norm=False).train()
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(made(images()), torch.tensor([0, 1, 2])).backward()
        optimizer.step()
    assert made.stages[0][0].branch.conv2.weight.abs().max() > 0


@pytest.mark.parametrize("activation", ["post", "pre"])
@pytest.mark.parametrize("options", WORDS, ids=str)
def test_every_option_counts_saves_loads_and_trains(options: dict[str, Any], activation: str, tmp_path: Path) -> None:
    made = moved(built(activation=activation, **options))
    assert count(made.spec).parameters == sum(p.numel() for p in made.parameters())
    again = from_dict(json.loads(json.dumps(to_dict(made.spec))))
    assert again == made.spec
    save_file(made.state_dict(), tmp_path / "w.safetensors", metadata={"reslab": json.dumps(to_dict(made.spec))})
    assert torch.equal(reslab.load(tmp_path / "w.safetensors")(images()), made(images()))
    made(images()).square().sum().backward()
    assert all(p.grad is not None for p in made.parameters())


def test_counts_by_hand() -> None:
    """Blocks of widths 2, 4 and 4; maps of 8x8, 4x4 and 4x4 pixels."""
    plain = count(spec("resnet8", **SMALL))

    def more(**options: Any) -> tuple[int, int]:
        found = count(spec("resnet8", **SMALL, **options))
        assert found.receptive_field == plain.receptive_field
        return found.parameters - plain.parameters, found.macs - plain.macs

    assert more(scale="zero") == (3, 0)
    assert more(scale="layer:1") == (10, 0)
    assert more(scale="depth") == more(gate="half") == more(gate="dropout:0.1") == (0, 0)
    gates = 2 * 2 + 2 + 2 * (4 * 4 + 4), 64 * 2 * 2 + 2 * 16 * 4 * 4
    assert more(gate="exclusive:-6") == more(gate="shortcut:0") == gates


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scale": "one"}, "scale must be none, zero, depth, fixup, layer:START or fixed:FACTOR, such as layer:1e-4"),
        ({"scale": "layer"}, "got 'layer'"),
        ({"scale": "layer:nan"}, "got 'layer:nan'"),
        ({"scale": "zero:1"}, "got 'zero:1'"),
        ({"scale": 1}, "got 1"),
        ({"gate": "shortcut"}, "gate must be none, half, exclusive:BIAS, shortcut:BIAS or dropout:P, such as"),
        ({"gate": "dropout:1"}, "with P from 0 to below 1, got 'dropout:1'"),
        ({"gate": "half:1"}, "got 'half:1'"),
        ({"shortcut": "none", "scale": "depth"}, "scale needs shortcuts, got shortcut 'none' and scale 'depth'"),
        ({"shortcut": "none", "gate": "half"}, "gate needs shortcuts, got shortcut 'none' and gate 'half'"),
        ({"scale": "fixup"}, "scale fixup replaces BatchNorm, but norm is True; set norm=False"),
        ({"scale": "zero", "zero_last_norm": True}, "would keep each branch at zero"),
        ({"gate": "half", "bare": (1,)}, "bare needs blocks that add a plain skip, got gate 'half'"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        spec("resnet8", **SMALL, **options)


def test_a_plain_block_has_nothing_to_gate() -> None:
    with pytest.raises(UsageError, match="a gate acts on the shortcut, but this block has none"):
        Residual(nn.Identity(), None, gate=make_gate("half", width=1))


def test_zero_last_norm_and_other_scales_go_together() -> None:
    made = built(scale="layer:0.5", zero_last_norm=True).train()
    made(images()).square().sum().backward()
    assert made.stages[0][0].branch.norm2.weight.grad.abs().max() > 0


def test_weight_decay_spares_the_factors_unless_it_decays_all() -> None:
    made = built(scale="layer:0.5", gate="exclusive:-6")
    factors = {id(m.scale.factor) for m in made.modules() if isinstance(m, Residual)}
    for decay_all in (False, True):
        optimizer = make_optimizer(made, Recipe(weight_decay=0.1, decay_all=decay_all))
        decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
        assert bool(factors & decayed) == decay_all
        assert id(made.stages[0][0].gate.conv.weight) in decayed


@pytest.mark.parametrize("options", WORDS, ids=str)
def test_look_finds_every_residual_connection(options: dict[str, Any]) -> None:
    made = moved(built(**options))
    found = reslab.look.find(made, images())
    assert len(found) == 3
    assert all(one.reachable for one in found)
    intact = made(images())
    for factor in (1.0, 0.0):  # disabled by look and by hand: the branch's side of the sum is zero
        by_hand = [block for block in made.modules() if isinstance(block, Residual)]
        with torch.no_grad(), weighed(by_hand, [factor] * 3):
            wanted = made(images())
        edits = {one.index: reslab.look.silence() for one in found} if not factor else {}
        with torch.no_grad(), reslab.look.intervene(made, found, edits):
            assert torch.allclose(made(images()), wanted, atol=1e-5)
    assert torch.equal(made(images()), intact)


@pytest.mark.parametrize("scale", ["zero", "layer:0.1", "depth", "fixup"])
def test_blocks_whose_branch_is_scaled_are_slimmed(scale: str) -> None:
    made = moved(built(stages=(2, 2), scale=scale, norm=scale != "fixup"))
    found = cut(made, [1], example=images())
    blocks = find_blocks(made, images())
    edits = {i: reslab.look.silence() for i in blocks[1].merges}
    with torch.no_grad(), reslab.look.intervene(made, blocks.merges, edits):
        assert torch.allclose(found.model(images()), made(images()), atol=1e-6)
    assert found.model.spec.scale == ("fixed:0.5" if scale == "depth" else scale)  # 1 / sqrt(4), not of 3 blocks
    assert found.model.spec.stages == (1, 2)


def test_gated_skips_are_not_slimmed() -> None:
    with pytest.raises(UsageError, match=r"cannot be slimmed: its block stages\.0\.0 gates its skip"):
        find_blocks(built(gate="half"), images())
