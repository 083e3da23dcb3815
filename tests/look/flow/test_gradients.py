"""Gradients by layer: chains whose norms are known by hand, autograd's own answers, and models left as they were."""

import dataclasses
import json
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import reslab
from reslab.errors import ReslabError, UsageError
from reslab.look import find_layers
from reslab.look.flow.gradients import gradients


def turned(gain: float, *, width: int = 6, seed: int = 0) -> nn.Linear:
    """A linear layer that turns its input and multiplies its length by `gain`."""
    layer = nn.Linear(width, width, bias=False, dtype=torch.float64)
    q, _ = torch.linalg.qr(
        torch.randn(width, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    )
    layer.weight = nn.Parameter(gain * q)
    return layer


def images(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, 16, 16, dtype=torch.float64, generator=source)
    return x, torch.randint(0, 10, (n,), generator=source)


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.5, "vanishes"), (0.7, "shrinks"), (1.0, "healthy"), (2.0, "explodes")]
)
def test_a_chain_of_turns_changes_by_its_gain_a_layer(gain: float, verdict: str) -> None:
    layers = 20
    chain = nn.Sequential(*[turned(gain, seed=i) for i in range(layers)])
    x = torch.randn(1, 6, dtype=torch.float64)
    found = gradients(chain, [(x, None)])
    assert found.of == "random direction"
    # The direction has length 1 at the last layer's output: gain to the number of layers that come after.
    expected = [gain ** (layers - 1 - i) for i in range(layers)]
    assert [row.activation for row in found.layers] == pytest.approx(expected, rel=1e-6)
    length = x.norm().item()
    assert [row.signal * math.sqrt(6) for row in found.layers] == pytest.approx(
        [length * gain ** (i + 1) for i in range(layers)]
    )
    # dL/dW is the outer product of what arrives and what came in: gain^(layers-1) |x| for every layer.
    assert [row.weight for row in found.layers] == pytest.approx([gain ** (layers - 1) * length] * layers)
    assert [row.weight_size for row in found.layers] == pytest.approx([gain * math.sqrt(6)] * layers)
    assert found.layers[-1].head
    assert found.activations.slope == pytest.approx(-math.log10(gain), abs=1e-9)
    assert found.signal.slope == pytest.approx(math.log10(gain), abs=1e-9)
    assert found.weights.slope == pytest.approx(0, abs=1e-9)
    assert found.activations.ratio == pytest.approx(max(gain, 1 / gain) ** (layers - 2))  # the head is left out
    assert found.activations.fit == pytest.approx(1)
    assert (found.activations.verdict, found.signal.verdict, found.weights.verdict) == (verdict, verdict, "healthy")


class Scaled(nn.Module):
    """x + 0.5 x, through a linear layer and in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6, bias=False, dtype=torch.float64)
        self.layer.weight = nn.Parameter(torch.eye(6, dtype=torch.float64) / 2)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.layer(x)
        branch += x
        return branch


def test_the_trunk_of_a_residual_chain() -> None:
    found = gradients(nn.Sequential(*[Scaled() for _ in range(5)]), [(torch.ones(3, 6, dtype=torch.float64), None)])
    assert [row.out for row in found.merges] == pytest.approx([1.5 ** (4 - i) for i in range(5)], rel=1e-6)
    assert [row.signal for row in found.merges] == pytest.approx([1.5 ** (i + 1) for i in range(5)])
    assert found.trunk.slope == pytest.approx(-math.log10(1.5))
    assert found.trunk.words.startswith("healthy: 1.50 times larger per merge, 5.1 times larger over 5 merges")
    assert [row.activation for row in found.layers] == pytest.approx([row.out for row in found.merges])


def reference(net: nn.Module, path: str, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A module's output and the summed loss's gradient by it; the net must not write in place."""
    kept: list[Tensor] = []
    handle = net.get_submodule(path).register_forward_hook(lambda m, a, out: kept.append(out))
    loss = F.cross_entropy(net(x), y, reduction="sum")
    handle.remove()
    (gradient,) = torch.autograd.grad(loss, kept[0])
    return kept[0], gradient


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["resnet8", "plain8", "resnet8_v2"])
def test_nets_that_write_in_place_agree_with_autograd_on_their_twins_that_do_not(name: str, training: bool) -> None:
    net = reslab.net(name).double()
    x, y = images(5)
    found = gradients(net, [(x, y)], training=training)
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    net.train(training)
    layers = find_layers(net, x)
    assert len(layers) == len(found.layers)
    for row, layer in zip(found.layers, layers, strict=True):
        value, gradient = reference(net, layer.output, x, y)
        assert row.activation == pytest.approx(gradient.norm().item() / math.sqrt(5), rel=1e-9)
        assert row.signal == pytest.approx(value.square().mean().sqrt().item(), rel=1e-9)
    F.cross_entropy(net(x), y).backward()
    for row in found.layers:
        weight = net.get_submodule(row.module).weight
        assert isinstance(weight, nn.Parameter)
        assert weight.grad is not None
        assert row.weight == pytest.approx(weight.grad.norm().item(), rel=1e-9)
        assert row.relative == pytest.approx(weight.grad.norm().item() / weight.norm().item(), rel=1e-9)
    assert found.loss == pytest.approx(F.cross_entropy(net(x), y).item())


class Writing(nn.Module):
    """What comes out of its layers is written into: through a view, in a view, by an addition."""

    def __init__(self, *, write: bool) -> None:
        super().__init__()
        self.write = write
        self.a, self.b, self.c, self.d = (turned(1.0, seed=i) for i in range(4))

    def forward(self, x: Tensor) -> Tensor:
        a, write = self.a(x), self.write
        a = torch.relu_(a) if write else a.relu()
        b = self.b(a)
        if write:
            b.view(-1).mul_(3)
        else:
            b = b * 3
        c = self.c(b)
        if write:
            c += b
        else:
            c = c + b
        return self.d(c)


@pytest.mark.parametrize("shape", [(4, 6), (2, 4, 6)])  # a linear layer gives a view for the second
def test_values_that_the_model_writes_into(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    writing, not_writing = gradients(Writing(write=True), [(x, None)]), gradients(Writing(write=False), [(x, None)])
    assert all(row.activation > 0 for row in writing.layers)
    for a, b in zip(writing.layers, not_writing.layers, strict=True):
        assert (a.weight, a.activation, a.signal) == pytest.approx((b.weight, b.activation, b.signal))
    assert writing.merges[0].out == pytest.approx(not_writing.merges[0].out)
    assert writing.merges[0].out > 0


def test_batches_of_any_sizes_give_what_one_gives() -> None:
    net = reslab.net("resnet8").double()
    x, y = images(7)
    one = gradients(net, [(x, y)])
    parts = gradients(net, [(x[:1], y[:1]), (x[1:5], y[1:5]), (x[5:], y[5:])])
    assert (parts.n, parts.loss) == (7, pytest.approx(one.loss))
    for a, b in zip(one.layers, parts.layers, strict=True):
        assert (b.weight, b.activation, b.signal) == pytest.approx((a.weight, a.activation, a.signal), rel=1e-9)
    for m, n in zip(one.merges, parts.merges, strict=True):
        assert (n.out, n.signal) == pytest.approx((m.out, m.signal), rel=1e-9)


def test_tokens_that_are_not_asked_change_nothing() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 5)).double()
    x, y = torch.randn(2, 3, 4, dtype=torch.float64), torch.tensor([[1, 2, -100], [-100, -100, 3]])
    found = gradients(net, [(x, y)])
    asked = gradients(net, [(x[y >= 0], y[y >= 0])])
    assert found.loss == pytest.approx(asked.loss)
    assert [row.weight for row in found.layers] == pytest.approx([row.weight for row in asked.layers])
    # Root mean square over 2 samples of 3 tokens here, over 3 samples of one there: sqrt(n) |dL/da|.
    ratio = math.sqrt(2 / 3)
    assert [row.activation for row in found.layers] == pytest.approx([ratio * row.activation for row in asked.layers])


def test_a_users_loss() -> None:
    net = reslab.net("resnet8").double()
    x, y = images(6)
    own = gradients(net, [(x[:2], y[:2]), (x[2:], y[2:])], loss=lambda out, labels: F.cross_entropy(out, labels))
    assert own.of == "your loss"
    for a, b in zip(own.layers, gradients(net, [(x, y)]).layers, strict=True):
        assert (a.weight, a.activation) == pytest.approx((b.weight, b.activation), rel=1e-9)


def test_without_labels_the_direction_is_always_the_same() -> None:
    net, (x, _) = reslab.net("resnet8").double(), images(3)
    torch.manual_seed(1)
    first = gradients(net, [(x, None)])
    torch.manual_seed(2)
    assert gradients(net, [(x, None)]) == first


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = turned(0.5), turned(1.0, seed=3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"hidden": x, "logits": self.head(self.layer(self.layer(x)))}


def test_a_layer_used_twice_has_a_row_for_each_call_and_one_weight() -> None:
    net, x = Twice(), torch.randn(1, 6, dtype=torch.float64)
    found = gradients(net, [(x, torch.tensor([2]))])
    assert [(row.module, row.call) for row in found.layers] == [("layer", 0), ("layer", 1), ("head", 0)]
    first, second, _ = found.layers
    assert first.activation == pytest.approx(second.activation / 2)
    assert first.weight == second.weight
    F.cross_entropy(net(x)["logits"], torch.tensor([2])).backward()
    assert net.layer.weight.grad is not None
    assert first.weight == pytest.approx(net.layer.weight.grad.norm().item())


def fingerprint(net: nn.Module) -> list[Any]:
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in net.modules()]
    state = [value.clone().tolist() for value in net.state_dict().values()]
    marks = [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in net.parameters()]
    return [hooks, state, marks, [m.training for m in net.modules()], torch.get_rng_state().tolist()]


@pytest.mark.parametrize("training", [False, True])
def test_the_model_comes_back_as_it_was(training: bool) -> None:
    net = nn.Sequential(reslab.net("resnet8"), nn.Dropout(0.5)).double()
    x, y = images(4)
    F.cross_entropy(net(x), y).backward()
    net[0].requires_grad_(False)
    net[0].get_submodule("stem").eval()
    before = fingerprint(net)
    whole = gradients(net, [(x, y)], training=training)
    assert fingerprint(net) == before
    assert all(row.weight > 0 for row in whole.layers)  # measured though frozen
    with pytest.raises(UsageError):
        gradients(net, [(x, y), (x, y + 10)], training=training)
    assert fingerprint(net) == before


def test_bad_input() -> None:
    net, (x, y) = reslab.net("resnet8").double(), images(2)
    with pytest.raises(UsageError, match="no batches"):
        gradients(net, [])
    with pytest.raises(UsageError, match=r"labels range from 10 to 10, but the model has 10 classes"):
        gradients(net, [(x, torch.tensor([10, 10]))])
    with pytest.raises(
        UsageError, match="the loss must be a single number computed from the model's output, got float64"
    ):
        gradients(net, [(x, y)], loss=lambda out, labels: out)
    with pytest.raises(UsageError, match="the loss has no gradient"):
        gradients(net, [(x, y)], loss=lambda out, labels: out.detach().sum())
    with pytest.raises(UsageError, match="has no labelled item"):
        gradients(net, [(x, torch.full((2,), -100))])
    net.get_submodule("stages.1.0.branch.norm1").weight.data.fill_(1e300)  # type: ignore[union-attr, operator]
    with pytest.raises(ReslabError, match=r"the signal at stages\.1\.0\.branch\.conv1 is not finite"):
        gradients(net, [(x, y)])


def test_half_precision_and_plain_data() -> None:
    x, y = images(3)
    told: list[tuple[int, int]] = []
    found = gradients(reslab.net("resnet8").bfloat16(), [(x.bfloat16(), y)], progress=lambda a, b: told.append((a, b)))
    assert told == [(1, 1)]
    assert json.loads(json.dumps(dataclasses.asdict(found)))["activations"]["verdict"] == "healthy"


def test_batchnorm_before_training_is_told_of() -> None:
    net, (x, y) = reslab.net("plain8").double(), images(4)
    assert "use training=True" in gradients(net, [(x, y)]).notes[0]
    assert gradients(net, [(x, y)], training=True).notes == ()
    assert gradients(reslab.net("plain8", norm=False).double(), [(x, y)]).notes == ()


def test_batchnorm_without_shortcuts_makes_gradients_explode_as_theory_says() -> None:
    """Yang et al. 2019 (arXiv 1902.08129): in wide ReLU nets with BatchNorm at initialization the squared norm grows
    by pi / (pi - 1) a layer towards the input."""
    torch.manual_seed(0)
    width = 256
    layers = [nn.Sequential(nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()) for _ in range(30)]
    found = gradients(nn.Sequential(*layers), [(torch.randn(256, width), None)], training=True)
    assert -found.activations.slope == pytest.approx(math.log10(math.pi / (math.pi - 1)) / 2, rel=0.05)
    assert found.signal.slope == pytest.approx(0, abs=1e-3)


def test_plain_and_residual_with_and_without_batchnorm_at_initialization() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(32, 3, 16, 16), torch.randint(0, 10, (32,))
    found = {(kind, norm): gradients(reslab.net(f"{kind}56", norm=norm), [(x, y)], training=True)
             for kind in ("plain", "resnet") for norm in (True, False)}  # fmt: skip
    assert found["plain", True].activations.change > 3  # 4.3 with 64 images of 32 x 32, and then "explodes"
    assert found["resnet", True].activations.verdict == "healthy"
    assert found["plain", False].activations.verdict == "healthy"  # He's initialization was made for it
    assert found["resnet", False].signal.change > 3  # each block adds as much as it is given: about 2^(27 / 2)
