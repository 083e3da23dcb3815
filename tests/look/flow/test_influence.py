"""Influence, ratio and downhill cosine: toys worked out by hand, and the same by hooks in a real net."""

import math
from dataclasses import asdict
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import reslab
from reslab.errors import ReslabError, UsageError
from reslab.look import find, read
from reslab.look.flow.influence import influence

SQUARE = 1 - math.sqrt(0.5)  # 1 - cos of 45 degrees


def linear(rows: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = torch.tensor(rows)
    return layer


class Turn(nn.Module):
    """x + f(x) with f((a, b)) = (-b, a): a branch at right angles to its skip, as long as it."""

    def __init__(self, how: str = "plus") -> None:
        super().__init__()
        self.f = linear([[0.0, -1.0], [1.0, 0.0]])
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        match self.how:
            case "plus":
                return x + self.f(x)
            case "minus":
                return x - self.f(x)
            case "in place":
                y = self.f(x)
                y += x
                return F.relu(y, inplace=True)
            case "into the skip":
                x = x.clone()
                x += self.f(x)
                return F.relu(x, inplace=True)
            case "twice":
                return x + self.f(x) + 2 * self.f(x)
        raise AssertionError


def second(scores: Tensor, labels: Tensor | None) -> Tensor:
    """A loss whose gradient is (0, 1)."""
    return scores[..., 1]


@pytest.mark.parametrize("how", ["plus", "minus", "in place", "into the skip"])
def test_a_quarter_turn(how: str) -> None:
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    (step,) = influence(Turn(how), [(x, None)], loss=second).merges
    assert step.influence == pytest.approx(SQUARE)
    assert step.ratio == pytest.approx(1)
    assert step.cosine == pytest.approx(-1 if how == "minus" else 1)


def test_the_step_is_what_is_added_in_all() -> None:
    x = torch.tensor([[1.0, 0.0]])
    (step,) = influence(Turn("twice"), [(x, None)]).merges
    assert step.ratio == pytest.approx(3)
    assert step.influence == pytest.approx(1 - 1 / math.sqrt(10))
    assert step.cosine is None


def test_batches_of_different_sizes_weigh_by_their_samples() -> None:
    """Samples at 0 and 90 degrees to the loss's gradient: the mean of 1, 0, 0 whatever the batches."""
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    for batches in ([(x, None)], [(x[:1], None), (x[1:], None)]):
        (step,) = influence(Turn(), batches, loss=second).merges
        assert step.cosine == pytest.approx(1 / 3)


def test_small_angles_are_not_rounded_away() -> None:
    """A step of 1e-5 at a right angle: 1 - cos = 5e-11, a thousandth of what float32 can tell from 1."""

    class Nudge(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f = linear([[0.0, 0.0], [1e-5, 0.0]])

        def forward(self, x: Tensor) -> Tensor:
            return x + self.f(x)

    (step,) = influence(Nudge(), [(torch.tensor([[1.0, 0.0]]), None)]).merges
    assert step.influence == pytest.approx(5e-11, rel=1e-6)


def test_zeros_have_no_direction() -> None:
    """Nothing comes in, nothing goes out: nothing moved, and no ratio."""
    (step,) = influence(Turn(), [(torch.zeros(2, 2), None)], loss=second).merges
    assert (step.influence, step.ratio, step.cosine) == (0, None, None)
    (step,) = influence(Turn(), [(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), None)], loss=second).merges
    assert step.influence == pytest.approx(SQUARE)  # of the one row that has a direction
    assert (step.ratio, step.cosine) == (pytest.approx(1), pytest.approx(1))

    class Shift(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f = nn.Linear(2, 2)
            self.f.weight.data, self.f.bias.data = torch.zeros(2, 2), torch.ones(2)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.f(x)

    (step,) = influence(Shift(), [(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), None)]).merges
    assert step.influence == pytest.approx(0)  # (0, 0) to (1, 1) is no turn
    (step,) = influence(Shift(), [(torch.zeros(2, 2), None)]).merges
    assert (step.influence, step.ratio) == (1, None)


def test_tokens_count_one_by_one_and_padding_not_at_all() -> None:
    """Token 0 is turned a quarter, token 1 is zero, token 2 (padding) would be turned too."""

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.turn = Turn()

        def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
            return self.turn(x)

    x = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]])
    (step,) = influence(Reader(), [({"x": x}, None)]).merges
    assert step.influence == pytest.approx(SQUARE)
    masked = {"x": x, "attention_mask": torch.tensor([[1, 1, 0]])}
    (step,) = influence(Reader(), [(masked, None)]).merges
    assert step.influence == pytest.approx(SQUARE)
    x = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [math.nan, 0.0]]])  # padding would be seen
    (step,) = influence(Reader(), [({**masked, "x": x}, None)]).merges
    assert step.influence == pytest.approx(SQUARE)


@pytest.mark.parametrize("options", [{}, {"shortcut": "B"}, {"activation": "pre"}])
def test_as_by_hooks_in_a_resnet(options: dict[str, Any]) -> None:
    """Gradients by autograd at each block's sum, values by `read`: all in float64."""
    torch.manual_seed(0)
    net = reslab.net("cifar_resnet20", stages=(1, 2), widths=(4, 8), **options).double().eval()
    x, y = torch.randn(3, 3, 8, 8, dtype=torch.float64), torch.tensor([1, 2, 3])
    sums: list[Tensor] = []

    def note(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        sums.append(args[0])
        return (args[0].clone(),)  # the ReLU works in place

    handles = [m.after.register_forward_pre_hook(note) for m in net.modules() if hasattr(m, "after")]
    gradients = torch.autograd.grad(F.cross_entropy(net(x), y, reduction="sum"), sums)
    for handle in handles:
        handle.remove()
    merges = find(net, x)
    values = read(net, merges, lambda: net(x))
    found = influence(net, [(x, y)], merges=merges)
    assert found.n == 3
    assert len(found.merges) == 3
    for step, value, gradient in zip(found.merges, values, gradients, strict=True):
        a, f, h, g = (v.flatten(1) for v in (value.skip, value.branch, value.out, gradient))
        assert step.influence == pytest.approx(float((1 - F.cosine_similarity(a, h)).mean()), rel=1e-9)
        assert step.ratio == pytest.approx(float((f.norm(dim=1) / a.norm(dim=1)).mean()), rel=1e-9)
        assert step.cosine == pytest.approx(float(F.cosine_similarity(f, g).mean()), abs=1e-7)  # loss in float32


def test_a_small_step_downhill_is_downhill() -> None:
    """A net whose branch is -0.1 times its input, and the loss |h|^2 / 2, whose gradient is h: straight down."""

    class Shrink(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f = linear([[-0.1, 0.0], [0.0, -0.1]])

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logits": x + self.f(x)}

    (step,) = influence(Shrink(), [(torch.randn(5, 2), None)], loss=lambda h, _: h.square() / 2).merges
    assert step.cosine == pytest.approx(-1)
    assert step.influence == pytest.approx(0, abs=1e-9)
    assert step.ratio == pytest.approx(0.1)


def test_frozen_or_not_and_all_comes_back() -> None:
    torch.manual_seed(0)
    net = reslab.net("cifar_resnet20", stages=(1, 1), widths=(4, 8)).train()
    x, y = torch.randn(2, 3, 8, 8), torch.tensor([0, 1])
    weight = next(net.parameters())
    weight.grad = torch.ones_like(weight)
    before = {name: b.clone() for name, b in net.named_buffers()}
    free = influence(net, [(x, y)])
    assert all(module.training for module in net.modules())
    assert all(p.requires_grad for p in net.parameters())
    assert [p.grad is not None for p in net.parameters()] == [True] + [False] * (len(list(net.parameters())) - 1)
    assert all(torch.equal(b, before[name]) for name, b in net.named_buffers())
    assert influence(net.requires_grad_(False), [(x, y)]) == free
    with torch.no_grad():
        assert influence(net, [(x, y)]) == free
    assert all(math.isfinite(each["cosine"]) for each in asdict(free)["merges"])


def test_half_precision() -> None:
    torch.manual_seed(0)
    net = reslab.net("cifar_resnet20", stages=(1, 1), widths=(4, 8))
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    exact = influence(net, [(x, y)]).merges
    half = influence(net.bfloat16(), [(x.bfloat16(), y)]).merges
    for a, b in zip(exact, half, strict=True):
        assert a.influence == pytest.approx(b.influence, abs=0.01)
        assert a.cosine == pytest.approx(b.cosine, abs=0.05)


def test_progress_and_mistakes() -> None:
    seen: list[tuple[int, int]] = []
    x = torch.ones(2, 2)
    influence(Turn(), [(x, None)] * 3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(UsageError, match="no data"):
        influence(Turn(), [])
    with pytest.raises(UsageError, match=r"scores \[2, 2\] and labels \[3\] do not match"):
        influence(Turn(), [(x, torch.tensor([0, 1, 0]))])
    with pytest.raises(ReslabError, match=r"of merge 0 .the model. is nan"):
        influence(Turn(), [(x * torch.nan, None)])


@pytest.mark.filterwarnings("ignore")
def test_a_causal_language_model() -> None:
    """Two layers, so four merges; each with all three numbers; what is asked nowhere has no gradient."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=20))
    ids = torch.randint(0, 20, (2, 6))
    labels = torch.cat([ids[:, 1:], torch.full((2, 1), -100)], dim=1)
    found = influence(model, [({"input_ids": ids}, labels)])
    assert len(found.merges) == 4
    assert all(-1 <= step.cosine <= 1 and 0 < step.influence < 2 for step in found.merges if step.cosine is not None)
    assert None not in [step.cosine for step in found.merges]
    asked_nothing = influence(model, [({"input_ids": ids}, torch.full_like(labels, -100))])
    assert {step.cosine for step in asked_nothing.merges} == {None}
