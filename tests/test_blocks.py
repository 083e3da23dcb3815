"""The residual block and its pieces, against sums done by hand and a second implementation."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab import blocks
from reslab.blocks import PadShortcut, Residual
from reslab.errors import UsageError
from reslab.nets import net
from reslab.nets.resnet import ResNetSpec, make_block


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def kinds(layers: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in layers.children()]


def test_residual_is_after_of_shortcut_plus_branch() -> None:
    x = torch.tensor([[1.0, -2.0, 3.0]])
    block = Residual(Times(-2), nn.Identity(), nn.ReLU())
    assert block(x).tolist() == [[0.0, 2.0, 0.0]]  # relu(x - 2x)
    assert Residual(Times(-2), Times(10))(x).tolist() == [[8.0, -16.0, 24.0]]
    assert x.tolist() == [[1.0, -2.0, 3.0]]


def test_without_a_shortcut_residual_is_its_plain_twin() -> None:
    x = torch.tensor([[1.0, -2.0, 3.0]])
    assert Residual(Times(-2), None, nn.ReLU())(x).tolist() == [[0.0, 4.0, 0.0]]
    assert Residual(Times(-2), None)(x).tolist() == [[-2.0, 4.0, -6.0]]


def test_pad_shortcut_takes_every_second_pixel_and_appends_zero_channels() -> None:
    x = torch.arange(1.0, 16.0).view(1, 1, 3, 5)  # rows 1..5, 6..10, 11..15
    y = PadShortcut(1, 3, stride=2)(x)
    assert y[0].tolist() == [[[1, 3, 5], [11, 13, 15]], [[0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]


def test_pad_shortcut_both_puts_half_of_the_zero_channels_before() -> None:
    x = torch.tensor([7.0, 8.0]).view(1, 2, 1, 1)
    assert PadShortcut(2, 4, stride=2, both=True)(x).flatten().tolist() == [0, 7, 8, 0]
    assert PadShortcut(2, 4, stride=2)(x).flatten().tolist() == [7, 8, 0, 0]
    assert PadShortcut(2, 5, stride=1, both=True)(x).flatten().tolist() == [0, 7, 8, 0, 0]  # the odd one at the end
    assert not list(PadShortcut(2, 4, stride=2).parameters())


def test_pad_shortcut_gives_a_gradient_laid_out_as_its_input() -> None:
    """Otherwise the sum with the branch's gradient, and all layers before it, go through memory at odds."""
    last, first = torch.channels_last, torch.contiguous_format
    x, g = torch.randn(2, 3, 5, 4), torch.randn(2, 7, 3, 2)
    found = {}
    for layout in (first, last):
        given = x.contiguous(memory_format=layout).requires_grad_()
        y = PadShortcut(3, 7, stride=2, both=True)(given)
        (found[layout],) = torch.autograd.grad(y, given, g)
        assert y.is_contiguous(memory_format=layout)
        assert found[layout].is_contiguous(memory_format=layout)
        assert torch.equal(y[:, 2:5], x[:, :, ::2, ::2])
    wanted = torch.zeros_like(x)
    wanted[:, :, ::2, ::2] = g[:, 2:5]
    assert torch.equal(found[first], wanted)
    assert torch.equal(found[last], wanted)


@pytest.mark.parametrize("side", [1, 4, 5, 8])
def test_every_shortcut_gives_the_shape_that_the_strided_branch_gives(side: int) -> None:
    x = torch.randn(2, 4, side, side + 1)
    branch = blocks.post_branch("basic", 4, 8, stride=2, stride_on="1x1", norm=True).eval()
    for option in ("A", "A-both", "B", "C"):
        shortcut = blocks.make_shortcut(option, 4, 8, stride=2, norm=True)
        assert shortcut is not None
        assert shortcut.eval()(x).shape == branch(x).shape == (2, 8, math.ceil(side / 2), math.ceil((side + 1) / 2))


def test_shortcut_options() -> None:
    def made(option: blocks.Shortcut, channels: int, width: int, stride: int) -> str:
        return type(blocks.make_shortcut(option, channels, width, stride=stride, norm=True)).__name__

    changes = [(16, 16, 1), (16, 32, 1), (16, 16, 2), (16, 32, 2)]
    assert [made("A", *c) for c in changes] == ["Identity", *["PadShortcut"] * 3]
    assert [made("A-both", *c) for c in changes] == ["Identity", *["PadShortcut"] * 3]
    assert [made("B", *c) for c in changes] == ["Identity", *["Sequential"] * 3]
    assert [made("C", *c) for c in changes] == ["Sequential"] * 4
    assert [made("none", *c) for c in changes] == ["NoneType"] * 4


def test_a_projection_is_a_1x1_convolution_with_the_stride_and_a_norm() -> None:
    shortcut = blocks.make_shortcut("B", 16, 32, stride=2, norm=True)
    assert kinds(shortcut) == ["Conv2d", "BatchNorm2d"]
    assert (shortcut.conv.kernel_size, shortcut.conv.stride, shortcut.conv.bias) == ((1, 1), (2, 2), None)
    assert kinds(blocks.make_shortcut("B", 16, 32, stride=2, norm=True, followed=False)) == ["Conv2d"]
    bare = blocks.make_shortcut("B", 16, 32, stride=2, norm=False)
    assert kinds(bare) == ["Conv2d", "Identity"]
    assert bare.conv.bias is not None


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("stride_on", ["1x1", "3x3"])
def test_where_the_stride_sits(block: str, stride_on: blocks.Stride) -> None:
    for make in (blocks.post_branch, lambda *a, **k: blocks.pre_branch(*a, **k, shared=False)):
        branch = make(block, 8, 8, stride=2, stride_on=stride_on, norm=True)
        strides = [m.stride[0] for m in branch if isinstance(m, nn.Conv2d)]
        sizes = [m.kernel_size[0] for m in branch if isinstance(m, nn.Conv2d)]
        if block == "basic":
            assert (sizes, strides) == ([3, 3], [2, 1])
        else:
            assert (sizes, strides) == ([1, 3, 1], [2, 1, 1] if stride_on == "1x1" else [1, 2, 1])


def test_order_of_layers() -> None:
    sizes = {"stride": 1, "stride_on": "1x1", "norm": True}
    conv, norm, relu = "Conv2d", "BatchNorm2d", "ReLU"
    post = [conv, norm, relu, conv, norm]
    pre = [norm, relu, conv, norm, relu, conv]
    assert kinds(blocks.post_branch("basic", 8, 8, **sizes)) == post
    assert kinds(blocks.post_branch("bottleneck", 32, 8, **sizes)) == [conv, norm, relu, *post]
    assert kinds(blocks.pre_branch("basic", 8, 8, **sizes, shared=False)) == pre
    assert kinds(blocks.pre_branch("bottleneck", 32, 8, **sizes, shared=False)) == [norm, relu, conv, *pre]
    assert kinds(blocks.pre_branch("basic", 8, 8, **sizes, shared=True)) == pre[2:]


def test_a_convolution_has_a_bias_only_where_no_norm_follows() -> None:
    for norm in (True, False):
        for branch in (
            blocks.post_branch("bottleneck", 8, 4, stride=1, stride_on="1x1", norm=norm),
            blocks.pre_branch("bottleneck", 8, 4, stride=1, stride_on="1x1", norm=norm, shared=False),
        ):
            assert [m.bias is None for m in branch if isinstance(m, nn.Conv2d)] == [norm] * 3
            assert any(isinstance(m, nn.BatchNorm2d) for m in branch) == norm


# A second implementation of one block, out of place everywhere: if an in-place ReLU spoiled the skip or what
# the backward pass has stored, outputs or gradients would differ.


def normed(x: Tensor, norm: nn.Module) -> Tensor:
    if isinstance(norm, nn.Identity):
        return x
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt() * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)


def conved(x: Tensor, conv: nn.Conv2d) -> Tensor:
    return F.conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding)


def skipped(x: Tensor, shortcut: nn.Module, width: int) -> Tensor:
    if isinstance(shortcut, nn.Sequential):
        x = conved(x, shortcut.conv)
        return normed(x, shortcut.norm) if hasattr(shortcut, "norm") else x
    if isinstance(shortcut, PadShortcut):
        x = x[:, :, ::2, ::2] if shortcut.stride == 2 else x
        return torch.cat([x, x.new_zeros(len(x), width - x.shape[1], *x.shape[2:])], dim=1)
    return x


def post_reference(block: nn.Module, x: Tensor, width: int) -> Tensor:
    named = dict(block.branch.named_children())
    last = sum(name.startswith("conv") for name in named)
    y = x
    for i in range(1, last + 1):
        y = normed(conved(y, named[f"conv{i}"]), named[f"norm{i}"])
        y = y.clamp(min=0) if i < last else y
    return (y + skipped(x, block.shortcut, width)).clamp(min=0)


def pre_reference(block: nn.Module, x: Tensor, width: int) -> Tensor:
    residual = block
    if isinstance(block, nn.Sequential):
        x, residual = normed(x, block.norm).clamp(min=0), block.residual
    named = dict(residual.branch.named_children())
    y = x
    for i in range(1, 1 + sum(name.startswith("conv") for name in named)):
        if f"norm{i}" in named:
            y = normed(y, named[f"norm{i}"]).clamp(min=0)
        y = conved(y, named[f"conv{i}"])
    return y + skipped(x, residual.shortcut, width)


REFERENCES: dict[str, Callable[[nn.Module, Tensor, int], Tensor]] = {"post": post_reference, "pre": pre_reference}


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("activation", ["post", "pre"])
def test_blocks_agree_with_a_second_implementation(activation: str, block: str, shortcut: str, norm: bool) -> None:
    torch.manual_seed(0)
    spec = ResNetSpec(name="toy", stages=(1,), widths=(4,), block=block, shortcut=shortcut, activation=activation,
                      norm=norm)  # fmt: skip
    out = 16 if block == "bottleneck" else 4
    for channels, stride, first in ((out, 1, False), (2, 2, False), (out, 1, True)):
        module = make_block(spec, channels, 4, stride=stride, number=0 if first else 1).double()
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.5)
        x = torch.randn(3, channels, 5, 6, dtype=torch.double)
        results = []
        for run in (module, lambda t, m=module: REFERENCES[activation](m, t, out)):
            entered = x.clone().requires_grad_()
            stepped = entered * 1.5  # not a leaf: writing into it in place would go unnoticed by autograd
            y = run(stepped)
            grads = torch.autograd.grad(y.square().sum(), [entered, *module.parameters()])
            torch.testing.assert_close(stepped, entered * 1.5, rtol=0, atol=0)
            results.append((y, *grads))
        for ours, theirs in zip(*results, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


# Initialization


def spread(how: str, module: nn.Module) -> float:
    torch.manual_seed(0)
    blocks.initialize(module, how)
    return module.weight.std(correction=0).item()


@pytest.mark.parametrize(
    ("how", "conv", "linear"),
    [
        ("he", math.sqrt(2 / (64 * 9)), math.sqrt(2 / 400)),  # fan out of the convolution, fan in of the layer
        ("he-in", math.sqrt(2 / (16 * 9)), math.sqrt(2 / 400)),
        ("xavier", math.sqrt(2 / (16 * 9 + 64 * 9)), math.sqrt(2 / (400 + 50))),
        ("normal:0.02", 0.02, 0.02),
    ],
)
def test_spread_of_initial_weights(how: str, conv: float, linear: float) -> None:
    # 9,216 and 20,000 weights: the standard error of the spread is 0.7 % and 0.5 %.
    assert spread(how, nn.Conv2d(16, 64, 3)) == pytest.approx(conv, rel=0.03)
    assert spread(how, nn.Linear(400, 50)) == pytest.approx(linear, rel=0.03)


@pytest.mark.parametrize("how", ["hee", "he-out", "normal:x", "normal:0", None])
def test_an_unknown_initialization_is_refused(how: str) -> None:
    with pytest.raises(UsageError, match=f"init must be he, .* or normal:STD, got {how!r}"):
        blocks.initialize(nn.Linear(1, 1), how)


def test_orthogonal_rows_have_squared_length_two() -> None:
    conv = nn.Conv2d(8, 16, 3)  # 16 rows of 72
    blocks.initialize(conv, "orthogonal")
    rows = conv.weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, 2 * torch.eye(16), rtol=0, atol=1e-5)


def test_initialization_zeroes_biases_but_torch_leaves_its_own() -> None:
    layer = nn.Linear(3, 2)
    before = layer.weight.clone(), layer.bias.clone()
    blocks.initialize(layer, "torch")
    assert torch.equal(layer.weight, before[0])
    assert torch.equal(layer.bias, before[1])
    blocks.initialize(layer, "he")
    assert layer.bias.tolist() == [0, 0]
    assert not torch.equal(layer.weight, before[0])


def test_zero_last_norm_starts_every_block_as_relu_of_its_shortcut() -> None:
    torch.manual_seed(0)
    for name, options in (("resnet20", {}), ("resnet29", {"block": "bottleneck", "shortcut": "B"})):
        module = net(name, zero_last_norm=True, **options)
        found = [m for m in module.modules() if isinstance(m, Residual)]
        assert len(found) == 9
        for block in found:
            x = torch.randn(2, next(block.branch.children()).in_channels, 6, 6)
            skip = block.shortcut(x)
            assert torch.equal(block(x), skip.clamp(min=0))
            norms = [m.weight for m in block.branch if isinstance(m, nn.BatchNorm2d)]
            assert [bool(weight.any()) for weight in norms] == [True] * (len(norms) - 1) + [False]
