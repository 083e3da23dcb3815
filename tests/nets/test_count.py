"""Parameters, multiply-adds and receptive fields: the published numbers, and each a second way."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reslab.blocks import initialize
from reslab.nets import ResNetSpec, VGGSpec, build, count, layers, spec

IMAGENET = {  # depth: parameters of A, B, C; MACs of B in G, v1 and v1.5 (facts.md, section 1)
    18: (11_515_688, 11_689_512, 12_043_816, 1.814, 1.814),
    34: (21_623_848, 21_797_672, 22_716_840, 3.664, 3.664),
    50: (22_780_456, 25_557_032, 40_128_552, 3.858, 4.089),
    101: (41_772_584, 44_549_160, 76_981_288, 7.570, 7.801),
    152: (57_416_232, 60_192_808, 107_335_720, 11.282, 11.514),
}
CIFAR = {  # depth: parameters of A and B, MACs of A in M
    20: (269_722, 272_474, 40.55),
    32: (464_154, 466_906, 68.86),
    44: (658_586, 661_338, 97.17),
    56: (853_018, 855_770, 125.49),
    110: (1_727_962, 1_730_714, 252.89),
    1202: (19_421_274, 19_424_026, 2829),
}
VGGS = {  # torchvision's documentation
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
}


@pytest.mark.parametrize("depth", IMAGENET)
def test_imagenet_nets(depth: int) -> None:
    a, b, c, v1, v15 = IMAGENET[depth]
    found = count(spec(f"resnet{depth}"))
    assert found.parameters == b
    assert round(found.macs / 1e9, 3) == v1
    other = count(spec(f"resnet{depth}_v1.5"))
    assert (other.parameters, round(other.macs / 1e9, 3)) == (b, v15)
    assert count(spec(f"resnet{depth}", shortcut="A")).parameters == a
    assert count(spec(f"resnet{depth}", shortcut="C")).parameters == c
    assert count(spec(f"plain{depth}")).parameters == a


@pytest.mark.parametrize("depth", [depth for depth in CIFAR if depth < 1000])
def test_cifar_nets(depth: int) -> None:
    a, b, macs = CIFAR[depth]
    found = count(spec(f"resnet{depth}"))
    assert (found.parameters, round(found.macs / 1e6, 2)) == (a, macs)
    assert count(spec(f"resnet{depth}", shortcut="A-both")) == found
    assert count(spec(f"plain{depth}")) == found
    assert count(spec(f"resnet{depth}", shortcut="B")).parameters == b


def test_the_deepest_cifar_net() -> None:
    a, b, macs = CIFAR[1202]
    found = count(spec("resnet1202"))
    assert (found.parameters, round(found.macs / 1e6)) == (a, macs)
    # B adds two projections with their norms: 16 x 32 + 2 x 32 and 32 x 64 + 2 x 64.
    assert b - a == (16 * 32 + 64) + (32 * 64 + 128)


@pytest.mark.parametrize("name", VGGS)
def test_vgg_parameters(name: str) -> None:
    assert count(spec(name)).parameters == VGGS[name]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet20", {}),
        ("resnet20", {"shortcut": "C", "norm": False, "channels": 1}),
        ("resnet29", {"block": "bottleneck", "shortcut": "B", "stride_on": "3x3", "size": 33}),
        ("resnet20_v2", {"shortcut": "B", "classes": 7}),
        ("resnet18", {"size": 97}),
        ("cifar_vgg11_bn", {}),
    ],
)
def test_macs_are_half_of_torch_s_flops(name: str, options: dict) -> None:
    net_spec = spec(name, **options)
    net = build(net_spec).eval()
    x = torch.zeros(1, net_spec.channels, net_spec.size, net_spec.size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(x)
    found = count(net_spec)
    assert 2 * found.macs == counter.get_total_flops()
    assert found.parameters == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("name", "field"),
    [  # Araujo, Norris and Sim 2019 (distill.pub): ResNets whose 1x1 has the stride, and VGG-16 to its last pool
        ("resnet50", 483),
        ("resnet101", 1027),
        ("resnet152", 1507),
        ("vgg16", 212),
        # By hand: 3 + 6 x 2 x 1 = 15, then 2 + 5 x 4 = 22 at stride 1 and 2, then 4 + 5 x 8 = 44.
        ("resnet20", 1 + 2 + 6 * 2 + (2 + 5 * 4) + (4 + 5 * 8)),
    ],
)
def test_known_receptive_fields(name: str, field: int) -> None:
    assert count(spec(name)).receptive_field == field


def toys() -> list:
    two = {"stages": (1, 2), "widths": (2, 3), "size": 64}
    return [
        ResNetSpec(name="A", **two),
        ResNetSpec(name="B 1x1", **two, block="bottleneck", shortcut="B"),
        ResNetSpec(name="B 3x3", **two, block="bottleneck", shortcut="B", stride_on="3x3"),
        ResNetSpec(name="v2", **two, activation="pre", shortcut="B"),
        ResNetSpec(name="plain", **two, shortcut="none", stem="imagenet"),
        VGGSpec(name="vgg", stages=(1, 2), widths=(2, 2), head="cifar", size=64),
    ]


@pytest.mark.parametrize("toy", toys(), ids=lambda toy: toy.name)
def test_receptive_field_is_the_extent_of_the_input_s_gradient(toy: ResNetSpec | VGGSpec) -> None:
    """With positive weights nothing cancels: a pixel has a gradient where, and only where, it is seen."""
    net = build(toy).eval().double()
    initialize(net, "torch")
    for parameter in net.parameters():
        nn.init.constant_(parameter, 0.1)
    for module in net.modules():
        if isinstance(module, nn.MaxPool2d):  # a maximum passes one gradient; a mean sees the same pixels
            module.forward = lambda x, m=module: nn.functional.avg_pool2d(x, m.kernel_size, m.stride, m.padding)
    x = torch.rand(1, 3, 96, 96, dtype=torch.double, requires_grad=True)
    out = (net.features if isinstance(toy, VGGSpec) else lambda x: net.stages(net.stem(x)))(x)
    middle = out.shape[-1] // 2
    out[0, :, middle, middle].sum().backward()
    seen = (x.grad[0] != 0).any(0)
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    extent = int(rows.max() - rows.min()) + 1
    assert rows.min() > 0
    assert rows.max() < 95  # the border cut nothing off
    assert int(columns.max() - columns.min()) + 1 == extent == count(toy).receptive_field


def test_layers_of_resnet18() -> None:
    table = layers(spec("resnet18"))
    assert sum(layer.parameters for layer in table) == 11_689_512 - 9_600  # all but the norms' 2 x 4,800
    assert sum(layer.macs for layer in table) == count(spec("resnet18")).macs
    first, pool, last = table[0], table[1], table[-1]
    assert (first.kind, first.shape, first.parameters) == ("7x7 conv", (64, 112, 112), 64 * 3 * 49)
    assert (first.receptive_field, first.stride) == (7, 2)
    assert (pool.kind, pool.shape, pool.receptive_field, pool.stride) == ("max-pool", (64, 56, 56), 11, 4)
    assert (last.path, last.kind, last.shape, last.parameters) == ("head", "linear", (1000,), 513_000)
    shortcuts = [layer for layer in table if ".shortcut." in layer.path]
    assert [layer.shape for layer in shortcuts] == [(128, 28, 28), (256, 14, 14), (512, 7, 7)]
    assert {layer.receptive_field for layer in shortcuts} == {None}


def test_counting_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    count(spec("resnet20"))
    assert torch.equal(torch.get_rng_state(), before)
