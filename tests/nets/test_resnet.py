"""How the blocks are put together: plain twins, pre-activation, clean skips, any image that comes."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from reslab.blocks import PadShortcut, Residual
from reslab.nets import net

small = {"stages": (1, 2, 1), "widths": (4, 6, 8)}


def blocks_of(module: nn.Module) -> list[Residual]:
    return [m for m in module.modules() if isinstance(m, Residual)]


@pytest.mark.parametrize("name", ["resnet20", "resnet20_v2", "resnet29"])
def test_a_plain_net_has_its_twin_s_weights_and_lacks_only_the_addition(name: str) -> None:
    options = {"block": "bottleneck"} if name == "resnet29" else {}
    torch.manual_seed(3)
    residual = net(name, shortcut="A", **options)
    torch.manual_seed(3)
    plain = net(name, shortcut="none", **options)
    ours, theirs = residual.state_dict(), plain.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)

    x = torch.randn(2, 3, 16, 16)
    residual.eval()
    plain.eval()
    assert not torch.allclose(residual(x), plain(x))
    for block in blocks_of(residual):
        block.shortcut = None
    assert torch.equal(residual(x), plain(x))


def test_where_shortcuts_project() -> None:
    def projections(name: str, shortcut: str) -> list[bool]:
        return [isinstance(b.shortcut, nn.Sequential) for b in blocks_of(net(name, shortcut=shortcut, size=224))]

    assert projections("resnet18", "A") == [False] * 8
    assert projections("resnet18", "B") == [False, False, True, False, True, False, True, False]
    assert projections("resnet18", "C") == [True] * 8
    # Bottlenecks widen in the first stage too.
    assert [i for i, p in enumerate(projections("resnet50", "B")) if p] == [0, 3, 7, 13]


def test_only_the_first_block_of_each_later_stage_halves_the_size() -> None:
    module = net("resnet20")
    strides = [[block.branch.conv1.stride[0] for block in stage] for stage in module.stages]
    assert strides == [[1, 1, 1], [2, 1, 1], [2, 1, 1]]


def silence(module: nn.Module) -> None:
    """Every branch gives zeros."""
    for block in blocks_of(module):
        last = [m for m in block.branch if isinstance(m, nn.BatchNorm2d | nn.Conv2d)][-1]
        nn.init.zeros_(last.weight)


@pytest.mark.parametrize("option", ["A", "A-both"])
def test_the_identity_path_of_a_pre_activation_net_is_clean(option: str) -> None:
    """With silent branches the stages are pads and nothing else: negative values pass, exactly."""
    module = net("resnet20_v2", shortcut=option)
    silence(module)
    h = torch.randn(2, 16, 8, 8)
    out = module.stages(h)
    before = (8 + 16) if option == "A-both" else 0
    assert torch.equal(out[:, before : before + 16], h[:, :, ::4, ::4])
    assert out.shape == (2, 64, 2, 2)
    rest = torch.cat([out[:, :before], out[:, before + 16 :]], dim=1)
    assert not rest.any()


def test_the_identity_path_of_a_post_activation_net_is_a_relu() -> None:
    module = net("resnet20")
    silence(module)
    h = torch.randn(2, 16, 8, 8)
    assert torch.equal(module.stages(h), F.pad(h.clamp(min=0)[:, :, ::4, ::4], (0, 0, 0, 0, 0, 48)))


def test_pre_activation_is_shared_before_projections_and_done_by_the_stem_for_the_first_block() -> None:
    """2016, appendix: "we adopt the first activation right after conv1 and before splitting into two paths"."""
    module = net("resnet20_v2", shortcut="B")
    names = [[[n for n, _ in block.named_children()] for block in stage] for stage in module.stages]
    plain, shared = ["branch", "shortcut", "after"], ["norm", "relu", "residual"]
    assert names == [[plain] * 3, [shared, plain, plain], [shared, plain, plain]]
    layers = [[n for n, _ in block.branch.named_children()] for block in blocks_of(module)]
    late, whole = ["conv1", "norm2", "relu2", "conv2"], ["norm1", "relu1", "conv1", "norm2", "relu2", "conv2"]
    assert layers == [late, whole, whole] + [late, whole, whole] * 2
    assert [n for n, _ in module.stem.named_children()] == ["conv", "norm", "relu"]
    assert [n for n, _ in module.last.named_children()] == ["norm", "relu"]
    assert [n for n, _ in module.stages[1][0].residual.shortcut.named_children()] == ["conv"]  # no norm after it
    assert not any(isinstance(m.after, nn.ReLU) for m in blocks_of(module))


def test_norms_of_a_pre_activation_net_by_hand() -> None:
    """Post: one norm after each of 19 convolutions. Pre: one before each but the first, and one at the end."""
    post, pre = (
        [m.num_features for m in net(name).modules() if isinstance(m, nn.BatchNorm2d)]
        for name in ("resnet20", "resnet20_v2")
    )
    assert post == [16] + [16] * 6 + [32] * 6 + [64] * 6
    assert pre == [16, 16] + [16] * 4 + [16] + [32] * 5 + [32] + [64] * 5 + [64]


def reference(module: nn.Module, x: Tensor) -> Tensor:
    """A CIFAR net without norms, written again, out of place."""
    pre, spec = module.spec.activation == "pre", module.spec
    x = module.stem.conv(x).clamp(min=0)
    for block in blocks_of(module):
        skip = x
        if isinstance(block.shortcut, PadShortcut):
            skip = skip[:, :, ::2, ::2]
            skip = torch.cat([skip, torch.zeros_like(skip)], dim=1)
        y = block.branch.conv1(x if not pre or block is blocks_of(module)[0] else x.clamp(min=0))
        x = skip + block.branch.conv2(y.clamp(min=0))
        x = x if pre else x.clamp(min=0)
    x = x.clamp(min=0) if pre else x
    assert spec.shortcut == "A"
    return module.head(x.mean((2, 3)))


@pytest.mark.parametrize("name", ["resnet14", "resnet14_v2"])
def test_a_net_without_norms_has_biases_and_the_right_gradients(name: str) -> None:
    torch.manual_seed(0)
    module = net(name, norm=False, widths=(4, 8, 16)).double()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in module.modules())
    assert all(m.bias is not None for m in module.modules() if isinstance(m, nn.Conv2d))
    for key, parameter in module.named_parameters():
        if key.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, 3, 9, 9, dtype=torch.double)
    one, two = module(x), reference(module, x)
    torch.testing.assert_close(one, two)
    loss = [F.cross_entropy(out, torch.tensor([1, 7])) for out in (one, two)]
    grads = [torch.autograd.grad(value, list(module.parameters())) for value in loss]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    channels=st.integers(1, 5),
    classes=st.integers(1, 12),
    stem=st.sampled_from(["cifar", "imagenet"]),
    block=st.sampled_from(["basic", "bottleneck"]),
    shortcut=st.sampled_from(["A", "A-both", "B", "C", "none"]),
    stride_on=st.sampled_from(["1x1", "3x3"]),
    version=st.sampled_from(["", "_v2"]),
    norm=st.booleans(),
)
def test_any_image_gives_a_score_for_every_class(
    size: tuple[int, int], channels: int, classes: int, stem: str, version: str, **options: object
) -> None:
    # size=65: the warning about the stem is asserted elsewhere.
    module = net(f"resnet8{version}" if options["block"] == "basic" else f"resnet11{version}",
                 channels=channels, classes=classes, stem=stem, size=65, **small, **options)  # fmt: skip
    assert module(torch.randn(2, channels, *size)).shape == (2, classes)


def test_the_paper_s_sizes_of_feature_maps() -> None:
    x = torch.zeros(1, 3, 32, 32)
    module = net("resnet20").eval()
    h, shapes = module.stem(x), []
    for stage in module.stages:
        h = stage(h)
        shapes.append(tuple(h.shape[1:]))
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]  # section 4.2


def test_vgg_takes_any_size_it_can_halve() -> None:
    module = net("cifar_vgg11_bn", classes=3, channels=1).eval()
    for side in (32, 33, 70):
        assert module(torch.zeros(2, 1, side, side)).shape == (2, 3)
