"""Streams: against sums in plain loops, which a transposed and an unused mixing matrix must fail; start and cost."""

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
from reslab.blocks import Mixing, Residual, Streams, Write, doubly_stochastic
from reslab.errors import UsageError
from reslab.nets import count, from_dict, net, spec, to_dict
from reslab.slim.finding import find_blocks
from reslab.train.optimizer import make_optimizer
from reslab.train.recipe import Recipe

KINDS = ["free", "free-dynamic", "stochastic", "stochastic-dynamic"]
SMALL: dict[str, Any] = {"stages": (1, 2), "widths": (2, 4), "channels": 1, "size": 8}


BLOCKS = ["stages.0.0", "stages.1.0", "stages.1.1"]


def built(seed: int = 0, **options: Any) -> nn.Module:
    torch.manual_seed(seed)
    return net("resnet8", **{**SMALL, **options})


def images(n: int = 3) -> Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def moved(module: Any, std: float = 0.5) -> Any:
    """With all parameters changed, as after training."""
    draw = torch.Generator().manual_seed(0)
    for p in module.parameters():
        p.data += std * torch.randn(p.shape, generator=draw).to(p.dtype)
    return module


class Cube(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x**3


def block(kind: str, n: int = 3) -> Streams:
    mixing = Mixing(n, 2, kind=kind, turn=1)
    return moved(Streams(Cube(), nn.Identity(), nn.ReLU(), mixing=mixing).double())


def numbers(values: Tensor) -> list[list[float]]:
    """Sinkhorn and Knopp's rounds, number by number."""
    n = len(values)
    m = [[math.exp(float(values[i, j])) for j in range(n)] for i in range(n)]
    for _ in range(20):
        for j in range(n):
            total = sum(m[i][j] for i in range(n))
            for i in range(n):
                m[i][j] /= total
        for i in range(n):
            total = sum(m[i])
            m[i] = [one / total for one in m[i]]
    return m


def mixing_of(made: Streams, x: Tensor) -> tuple[list[float], list[float], list[list[float]]]:
    """r, p and R for one image x (n, C, H, W), number by number."""
    mixing, n = made.mixing, len(x)
    free = [float(v) for v in mixing.start + mixing.change]
    if mixing.dependence is not None:
        means = [float(x[i, c].mean()) for i in range(n) for c in range(x.shape[1])]
        root = math.sqrt(sum(v * v for v in means) / len(means) + 1e-6)
        for k in range(n * (n + 2)):
            found = sum(float(mixing.dependence.weight[k, i]) * v / root for i, v in enumerate(means))
            found = math.tanh(found) if mixing.kind.startswith("free") else found
            free[k] += float(mixing.dependence.factor[0 if k < n else 1 if k < 2 * n else 2]) * found
    r, p, mix = free[:n], free[n : 2 * n], torch.tensor(free[2 * n :], dtype=torch.float64).view(n, n)
    if mixing.kind.startswith("free"):
        return r, p, mix.tolist()
    return [1 / (1 + math.exp(-v)) for v in r], [2 / (1 + math.exp(-v)) for v in p], numbers(mix)


def by_hand(made: Streams, x: Tensor) -> Tensor:
    """relu(sum over j of R[i, j] x[j] + p[i] F(sum over j of r[j] x[j])), stream by stream."""
    out = torch.zeros_like(x)
    for k, image in enumerate(x):
        r, p, mix = mixing_of(made, image)
        read = sum((r[j] * image[j] for j in range(len(r))), torch.zeros_like(image[0]))
        for i in range(len(r)):
            for j in range(len(r)):
                out[k, i] += mix[i][j] * image[j]
            out[k, i] += p[i] * read**3
    return out.clamp(min=0)


def differs(made: Streams) -> float:
    """How far a block is from the loops, at most."""
    x = torch.randn(2, 3, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return (made(x) - by_hand(made, x)).abs().max().item()


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_is_what_loops_over_its_streams_compute(kind: str) -> None:
    assert differs(block(kind)) < 1e-12


def transposed(self: Write, s: Tensor, f: Tensor, p: Tensor, mix: Tensor) -> Tensor:
    return (mix.mT @ s.flatten(2) + p.unsqueeze(-1) * f.flatten(1).unsqueeze(1)).view_as(s)


def unused(self: Write, s: Tensor, f: Tensor, p: Tensor, mix: Tensor) -> Tensor:
    return s + (p.unsqueeze(-1) * f.flatten(1).unsqueeze(1)).view_as(s)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [transposed, unused])
def test_the_loops_see_a_transposed_and_an_unused_mixing_matrix(
    kind: str, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both faults have been shipped by others; the check above would fail."""
    monkeypatch.setattr(Write, "forward", fault)
    assert differs(block(kind)) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_the_mixing_is_learned(kind: str) -> None:
    """Of a net with a matrix that is never used, the gradient of that matrix would be zero."""
    made = moved(built(streams=f"{kind}:3").double(), 0.1).train()
    nn.functional.cross_entropy(made(images().double()), torch.tensor([0, 1, 2])).backward()
    for module in made.modules():
        if isinstance(module, Mixing):
            assert all(p.grad is not None and (p.grad != 0).all() for p in module.parameters())


def test_doubly_stochastic_by_hand() -> None:
    """[[1, 2], [3, 4]] has the limit [[a, 1 - a], [1 - a, a]] with a / (1 - a) = sqrt(1 * 4 / (2 * 3))."""
    found = doubly_stochastic(torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64).log())
    odds = math.sqrt(4 / 6)
    a = odds / (1 + odds)
    assert found.flatten().tolist() == pytest.approx([a, 1 - a, 1 - a, a], abs=1e-12)
    many = doubly_stochastic(torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(many.sum(-1), torch.ones(5, 4), atol=1e-6)
    assert torch.allclose(many.sum(-2), torch.ones(5, 4), atol=1e-3)
    assert doubly_stochastic(torch.tensor([[500.0, -500.0], [-500.0, 500.0]])).isfinite().all()


@pytest.mark.parametrize("options", [{}, {"activation": "pre"}, {"shortcut": "B"}, {"shortcut": "C", "norm": False}])
@pytest.mark.parametrize("streams", ["free:1", "free:3", "free-dynamic:3", "stochastic:3", "stochastic-dynamic:2"])
def test_at_first_the_net_computes_what_the_residual_net_does(streams: str, options: dict[str, Any]) -> None:
    """In training and in eval mode, also where a BatchNorm or projection lies outside the branch."""
    plain, made = built(**options).double(), built(streams=streams, **options).double()
    names = [name for name in plain.state_dict() if name in made.state_dict()]
    assert len(names) > 10
    for mode in (False, True):  # in training a BatchNorm of n streams counts n times as many values in its variance
        assert torch.allclose(made.train(mode)(images().double()), plain.train(mode)(images().double()), atol=1e-6)


def test_with_one_stream_each_block_is_the_residual_block() -> None:
    branch, x = Cube(), torch.randn(2, 3, 4, 4)
    one = Streams(branch, nn.Identity(), nn.ReLU(), mixing=Mixing(1, 3, kind="free", turn=5))
    assert torch.equal(one(x.unsqueeze(1)).squeeze(1), Residual(branch, nn.Identity(), nn.ReLU())(x))


@pytest.mark.parametrize("activation", ["post", "pre"])
@pytest.mark.parametrize("kind", KINDS)
def test_streams_count_save_and_load(kind: str, activation: str, tmp_path: Path) -> None:
    made = moved(built(streams=f"{kind}:3", activation=activation), 0.1).eval()
    assert count(made.spec).parameters == sum(p.numel() for p in made.parameters())
    assert from_dict(json.loads(json.dumps(to_dict(made.spec)))) == made.spec
    save_file(made.state_dict(), tmp_path / "w.safetensors", metadata={"reslab": json.dumps(to_dict(made.spec))})
    assert torch.equal(reslab.load(tmp_path / "w.safetensors")(images()), made(images()))


def test_counts_by_hand() -> None:
    """Three streams of blocks that map 2x8x8 to itself, to 4x4x4 and that to itself."""
    plain, free = count(spec("resnet8", **SMALL)), count(spec("resnet8", **SMALL, streams="free:3"))
    assert free.receptive_field == plain.receptive_field
    assert free.parameters - plain.parameters == 3 * (3 + 3 + 9)
    read, mixed = 3 * (128 + 128 + 64), (3 + 1) * 3 * (128 + 64 + 64)  # each of three sums over three and the branch
    assert free.macs - plain.macs == read + mixed
    dynamic = count(spec("resnet8", **SMALL, streams="free-dynamic:3"))
    assert dynamic.parameters - free.parameters == 3 * 3 + 15 * 3 * (2 + 2 + 4)
    assert dynamic.macs - free.macs == 15 * 3 * (2 + 2 + 4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"streams": "4"}, "streams must be none, free:N, free-dynamic:N, stochastic:N or stochastic-dynamic:N"),
        ({"streams": "free:0"}, "got 'free:0'"),
        ({"streams": "stochastic:1"}, "with at least 1 free and 2 stochastic streams"),
        ({"streams": "free:1.5"}, "got 'free:1.5'"),
        ({"streams": "none:2"}, "got 'none:2'"),
        ({"streams": 2}, "got 2"),
        ({"streams": "free:2", "shortcut": "none"}, "streams needs shortcuts, got shortcut 'none'"),
        ({"streams": "free:2", "gate": "half"}, "gate and streams exclude each other, got 'half' and 'free:2'"),
        ({"streams": "free:2", "bare": (1,)}, "bare needs blocks that add a plain skip, got streams 'free:2'"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        spec("resnet8", **SMALL, **options)


def test_a_scale_and_zero_last_norm_go_together_with_streams() -> None:
    made = built(streams="free:2", scale="layer:0.5", zero_last_norm=True)
    assert not made.stages[0][0].branch.norm2.weight.any()
    assert made.stages[0][0].scale.factor.tolist() == [0.5, 0.5]


def test_weight_decay_pulls_towards_the_residual_net_if_it_decays_all() -> None:
    """The parameters are changes from the start, and vectors; what depends on the image is a matrix."""
    made = built(streams="free-dynamic:2")
    mixings = [m for m in made.modules() if isinstance(m, Mixing)]
    assert all(not m.change.any() for m in mixings)
    optimizer = make_optimizer(made, Recipe(weight_decay=0.1, decay_all=False))
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert all(id(m.change) not in decayed and id(m.dependence.weight) in decayed for m in mixings)


def test_streams_are_not_slimmed() -> None:
    with pytest.raises(UsageError, match=r"cannot be slimmed: its block stages\.0\.0 mixes streams"):
        find_blocks(built(streams="free:2").eval(), images())


@pytest.mark.parametrize("kind", KINDS)
def test_look_lists_no_block_of_streams_as_removable(kind: str) -> None:
    found = reslab.look.find(moved(built(streams=f"{kind}:3").eval(), 0.1), images())
    assert not any(one.cuttable for one in found)
    assert {one.kind for one in found} <= {"mixed", "projection"}
    # Each block is listed: as a residual connection, or among the sums that are not counted as such.
    assert [one.module for one in sorted((*found, *found.sums), key=lambda one: one.module)] == BLOCKS
