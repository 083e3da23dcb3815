"""BatchNorm, addition and ReLU in few passes: the same numbers, and the usual way wherever something looks in."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError
from reslab.images.data import ImageData
from reslab.images.train import train
from reslab.nets import build, spec
from reslab.train import prepared, tune
from reslab.train.fusing import built, kernels
from reslab.train.fusing.agreement import why_not
from reslab.train.fusing.pending import Pending, Waiting, called
from reslab.train.recipe import Recipe, change
from reslab.train.signals import Interrupted
from reslab.train.tune import Choice, choose

pytestmark = pytest.mark.skipif(isinstance(built.library(torch.float32), str), reason="no C compiler")
LAST = torch.channels_last


def image(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + 3  # a mean, which costs digits
    return made.to(dtype).contiguous(memory_format=LAST)


class Block(nn.Module):
    """relu(BN(x) + x), or what `then` does with BN(x)."""

    def __init__(self, width: int = 16, then: Callable[[Tensor, Tensor], Tensor] = lambda y, x: F.relu(y + x)) -> None:
        super().__init__()
        self.norm, self.then = nn.BatchNorm2d(width), then
        torch.manual_seed(1)
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self.norm(x), x)


def in_place(y: Tensor, x: Tensor) -> Tensor:
    y += x
    F.relu(y, inplace=True)  # what it returns is not used
    return y


def twice(y: Tensor, x: Tensor) -> Tensor:
    return F.relu(y) + y * torch.sigmoid(y)


WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "norm": lambda y, x: y, "relu": lambda y, x: F.relu(y), "relu method": lambda y, x: y.relu_(),
    "add": lambda y, x: y + x, "add relu": lambda y, x: F.relu(x + y), "in place": in_place, "twice": twice,
    "joined": lambda y, x: torch.cat([y, x], dim=1), "by shape": lambda y, x: F.relu(y.view(y.shape)),
    "both": lambda y, x: F.relu(y + y), "other type": lambda y, x: y + x.double(), "into": lambda y, x: (x * 1).add_(y),
}  # fmt: skip


def gradients(block: nn.Module, x: Tensor, call: Callable[..., Tensor]) -> list[Tensor]:
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = call(block, x)
    weight = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape)
    (y * weight.to(y.dtype)).sum().backward()
    assert x.grad is not None
    return [y.detach(), x.grad, *(p.grad for p in block.parameters() if p.grad is not None),
            *(b.clone() for b in block.buffers())]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("width", "dtype"), [(16, torch.float32), (64, torch.bfloat16)])
def test_outputs_gradients_and_statistics_are_those_in_float64(way: str, width: int, dtype: torch.dtype) -> None:
    """Up to a rounding of the type: 2^-23 in float32 and 2^-8 in bf16, of the largest number, times a few."""
    x, block = image(4, width, 6, 4, dtype=dtype), Block(width, WAYS[way])
    exact = gradients(copy.deepcopy(block).double(), x.double(), lambda net, x: net(x))
    found = gradients(copy.deepcopy(block), x, called)
    usual = gradients(copy.deepcopy(block), x, lambda net, x: net(x))
    for one, own, plain in zip(exact, found, usual, strict=True):
        off, allowed = (one - own).abs().max(), (one - plain).abs().max()
        assert off <= 3 * allowed + 2.0**-20 * one.abs().max()
        assert own.dtype == plain.dtype


def test_a_net_has_the_gradients_of_float64() -> None:
    net = build(spec("resnet20", classes=4, size=8)).to(memory_format=LAST).train()
    x, y = image(8, 3, 8, 8), torch.arange(8) % 4
    found = []
    for call, own in (
        (called, net),
        (lambda net, x: net(x), net),
        (lambda net, x: net(x), copy.deepcopy(net).double()),
    ):
        own = copy.deepcopy(own)
        F.cross_entropy(call(own, x.to(own.head.weight.dtype)), y).backward()
        found.append(torch.cat([p.grad.double().flatten() for p in own.parameters()]))
    off, usual = (found[0] - found[2]).norm(), (found[1] - found[2]).norm()
    assert off <= 2 * usual
    assert usual <= 1e-4 * found[2].norm()


def test_the_bits_do_not_depend_on_the_threads() -> None:
    x, block, before = image(8, 16, 64, 48), Block(), torch.get_num_threads()
    assert x.numel() > kernels.ALONE
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(gradients(copy.deepcopy(block), x, called)[1:4])
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0][1:], other[1:], strict=True))  # of norms.c alone


def waits(block: nn.Module, x: Tensor) -> bool:
    """Whether the BatchNorm of a block is computed by norms.c."""
    seen: list[bool] = []
    block.then = lambda y, x: seen.append(isinstance(y, Pending)) or y  # type: ignore[assignment,func-returns-value]
    called(block, x)
    return seen == [True]


def test_what_is_not_for_it_goes_the_usual_way() -> None:
    x = image(4, 16, 4, 4)
    assert waits(Block(), x)
    assert not waits(Block().eval(), x)
    assert not waits(Block().double(), x.double())
    assert not waits(Block(), x.contiguous())  # channels first
    assert not waits(Block(24), image(4, 24, 4, 4))
    assert not waits(Block(), image(3, 16, 1, 1))  # three rows of 16 fill no panel of 64
    assert not waits(Block().to("meta"), torch.empty(4, 16, 4, 4, device="meta").contiguous(memory_format=LAST))
    with torch.no_grad():
        assert not waits(Block(), x)
    with Waiting():  # another mode is at work
        assert waits(Block(), x)
    called(nn.BatchNorm2d(16, affine=False), x)
    assert type(called(Block(then=lambda y, x: y), x)) is Tensor


@pytest.mark.parametrize("hook", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"])
def test_it_steps_aside_for_hooks(hook: str) -> None:
    block, x = Block(), image(4, 16, 4, 4)
    handle = getattr(block.norm, hook)(lambda *_: None)
    assert not waits(block, x)
    handle.remove()
    assert waits(block, x)


def test_it_steps_aside_for_transforms_of_functions() -> None:
    block, x = Block(then=lambda y, x: F.relu(y)), image(4, 16, 4, 4)
    own = dict(block.named_parameters())
    for name in ("num_batches_tracked", "running_mean", "running_var"):  # torch.func refuses their change in place
        block.norm.register_buffer(name, None)
    run = lambda given: torch.func.functional_call(block, given, (x,)).square().sum()  # noqa: E731
    with Waiting():
        found = torch.func.grad(run)(own)
    wanted = torch.func.grad(run)(own)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("way", ["relu", "add", "add relu"])
def test_gradients_of_gradients(way: str) -> None:
    found = []
    for call in (called, lambda net, x: net(x)):
        block, x = Block(then=WAYS[way]), image(4, 16, 4, 4).requires_grad_()
        (first,) = torch.autograd.grad(call(block, x).square().sum(), x, create_graph=True)
        first.square().sum().backward()
        found.append([x.grad, block.norm.weight.grad])
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(*found, strict=True))  # type: ignore[arg-type]


def test_what_is_not_a_number_stays_so() -> None:
    x = image(4, 16, 4, 4, dtype=torch.bfloat16)
    x[0, 3] = float("nan")
    y = called(Block(then=lambda y, x: F.relu(y)), x)
    assert y[:, 3].isnan().all()
    assert not y[:, :3].isnan().any()


def test_a_change_in_place_of_what_waits_is_refused() -> None:
    def changed(y: Tensor, x: Tensor) -> Tensor:
        skip = x * 1
        z = y + skip
        skip.mul_(2)
        return F.relu(z)

    with pytest.raises(ReslabError, match="in place"):
        called(Block(then=changed), image(4, 16, 4, 4))
    reason = why_not(nn.Sequential(Block(then=changed), nn.Flatten()), image(4, 16, 4, 4), torch.zeros(4).long(),
                     F.cross_entropy)  # fmt: skip
    assert "in place" in reason


def test_a_net_whose_gradients_differ_is_found() -> None:
    """A function of Python's own autograd sees no Pending's history."""

    class Lost(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * 2

    y = torch.arange(4)
    first = nn.Conv2d(16, 16, 1)
    net = nn.Sequential(first, Block(then=lambda y, x: Lost.apply(y)), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert why_not(net, image(4, 16, 4, 4), y, F.cross_entropy)
    fine = nn.Sequential(first, Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert why_not(fine, image(4, 16, 4, 4), y, F.cross_entropy) == ""
    assert why_not(nn.Sequential(first, nn.Flatten()), image(4, 16, 4, 4), y, F.cross_entropy).startswith(
        "no BatchNorm"
    )


@pytest.mark.parametrize(("seconds", "wins"), [(0.5, True), (0.99, False)])
def test_long_runs_try_it(monkeypatch: pytest.MonkeyPatch, seconds: float, wins: bool) -> None:
    monkeypatch.setattr(tune, "race", lambda choices, *_: {str(one): seconds if one.fused else 1.0 for one in choices})
    net = build(spec("resnet8", classes=4, size=8))
    batch = image(8, 3, 8, 8), torch.arange(8) % 4
    recipe = Recipe(precision="fp32", memory_format="NHWC")
    assert choose(net, batch, F.cross_entropy, recipe=recipe, steps=61).fused is wins
    assert not choose(net, batch, F.cross_entropy, recipe=recipe, steps=59).fused  # not longer than a minute
    assert not choose(net, batch, F.cross_entropy, recipe=change(recipe, fuse="off", epochs=1), steps=61).fused


def test_what_is_fused_is_resumed_to_the_bit(begin: Any, few: ImageData, tmp_path: Path, stopped_after: Any) -> None:
    """Without a compiler it is resumed in the usual way."""
    how = {"precision": "bf16", "memory_format": "NHWC", "compile": "off", "fuse": "on"}
    results = []
    for name in ("whole", "stopped"):
        run = begin(tmp_path / name, few, **how)
        if name == "stopped":
            with stopped_after(3), pytest.raises(Interrupted):
                train(run.folder, data=few, device="cpu")
        results.append(train(run.folder, data=few, device="cpu"))
        assert results[-1]["choice"]["fused"]
    whole, stopped = (
        torch.load(tmp_path / name / "last.pt", weights_only=True)["net"] for name in ("whole", "stopped")
    )
    assert all(torch.equal(whole[key], stopped[key]) for key in whole)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    monkeypatch.setattr(prepared, "tell", lambda sentence, *values: said.append(sentence % values))
    for module in (kernels, prepared, tune):
        monkeypatch.setattr(module, "library", lambda dtype: "there is no C compiler 'cc'")
    assert prepared.usable(Choice(memory_format="NHWC", fused=True)) == Choice(memory_format="NHWC")
    assert said == ["BatchNorm is not fused any more, so rounding differs from here: there is no C compiler 'cc'"]
    recipe = Recipe(precision="fp32", memory_format="NHWC", fuse="on", compile="off")
    with pytest.raises(UsageError, match="fuse = on needs a C compiler: there is no C compiler 'cc'"):
        tune.candidates(recipe, torch.device("cpu"))


def test_the_compiler_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -v")
    with pytest.raises(built.NotBuiltError, match="there is no C compiler 'no-such-compiler'"):
        built.built(tmp_path, [])
    monkeypatch.setenv("CC", "false")
    with pytest.raises(built.NotBuiltError, match="the C compiler failed: exit code 1"):
        built.built(tmp_path, [])
