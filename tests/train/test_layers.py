"""The layers of nets of several families, in the order of the pass: by hand, and every parameter in exactly one."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from foreign import SmallResNet, SmallViT
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import reslab
from reslab.errors import UsageError
from reslab.nets import spec
from reslab.train.layers import NetLayers, layers_of


def found(net: nn.Module, channels: int = 1, size: int = 8) -> NetLayers:
    return layers_of(net, torch.randn(2, channels, size, size))


def sizes(layers: NetLayers) -> dict[str, int]:
    return {layer.name: len(layer.parameters) for layer in layers.layers}


def complete(layers: NetLayers, net: nn.Module) -> None:
    every = [name for layer in layers.layers for name in layer.parameters]
    assert sorted(every) == sorted(name for name, _ in net.named_parameters())


def test_a_residual_net_of_ours_and_the_same_of_another_library() -> None:
    """conv and BN are three parameters; a projection brings three more to its block."""
    ours = reslab.build(spec("resnet8", channels=1, size=8, shortcut="B"))
    complete(found(ours), ours)
    assert sizes(found(ours)) == {"stem": 3, "stages.0.0": 6, "stages.1.0": 9, "stages.2.0": 9, "head": 2}
    theirs = SmallResNet()
    layers = found(theirs)
    complete(layers, theirs)
    assert sizes(layers) == {"stem": 3, "layer1.0": 6, "layer1.1": 6, "layer2.0": 9, "layer2.1": 6, "head": 2}
    assert layers.head == ("fc",)
    assert layers.layers[-1].parameters == ("fc.weight", "fc.bias")


def test_norms_before_a_fork_and_after_the_last_block() -> None:
    """A pre-activation net: a projecting block's norm precedes its fork, the last norm counts with the last block."""
    net = reslab.build(spec("resnet14", channels=1, size=8, activation="pre", shortcut="B"))
    layers = found(net)
    complete(layers, net)
    where = {name: layer.name for layer in layers.layers for name in layer.parameters}
    assert where["stages.1.0.norm.weight"] == where["stages.1.0.residual.branch.conv1.weight"]
    assert where["last.norm.weight"] == where["stages.2.1.branch.conv2.weight"]
    assert len(layers) == 8


def test_a_transformers_layer_is_one_block() -> None:
    """Patches, positions and tokens are the stem, attention and MLP one block, the last norm of the last block."""
    net = SmallViT()
    layers = found(net)
    complete(layers, net)
    assert sizes(layers) == {"stem": 5, "blocks.0": 12, "blocks.1": 12, "blocks.2": 14, "head": 2}
    assert set(layers.layers[0].parameters) == {
        "cls_token", "pos_embed", "mask_token", "patches.weight", "patches.bias"
    }  # fmt: skip


def test_a_net_without_shortcuts_has_a_layer_for_each_convolution() -> None:
    net = reslab.build(spec("plain8", channels=1, size=8))
    layers = found(net)
    complete(layers, net)
    assert list(sizes(layers).values()) == [3] * 7 + [2]
    vgg = reslab.build(spec("cifar_vgg11_bn", channels=1, widths=(2, 2, 4, 4, 4), size=32))
    complete(found(vgg, size=32), vgg)
    assert list(sizes(found(vgg, size=32)).values()) == [4] * 8 + [2]


class Odd(nn.Module):
    """`make` builds what computes the scores from four features of each image."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 4, 3)
        self.top = make()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.top(self.features(x).relu().mean(dim=(2, 3)))
        return out


class TwoHeads(nn.Module):
    """The mean of two heads, as of distilled transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return (self.one(x) + self.two(x)) / 2


class Cosine(nn.Module):
    """Scores are scaled cosines with a weight for each class."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * nn.functional.normalize(x) @ nn.functional.normalize(self.weight).T


class Skip(nn.Module):
    """The scores are a block's own sum."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


@pytest.mark.parametrize(
    ("make", "head"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 3)), ("top.3",)),
        (TwoHeads, ("top.one", "top.two")),
        (Cosine, ("top",)),
        (Skip, ("top.branch.0", "top.branch.2")),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), ("top.0", "top.1")),
    ],
)
def test_what_the_head_is(make: Callable[[], nn.Module], head: tuple[str, ...]) -> None:
    net = Odd(make)
    layers = found(net)
    complete(layers, net)
    assert layers.head == head
    assert layers.layers[-1].name == "head"
    assert all(name.startswith(head) for name in layers.layers[-1].parameters)


def test_a_net_without_scores_is_refused() -> None:
    with pytest.raises(UsageError, match="Identity has no head: no weights compute scores from features"):
        found(nn.Sequential(nn.Identity())[0])


@settings(max_examples=15, deadline=None)
@given(blocks=st.lists(st.sampled_from(["residual", "plain", "norm"]), min_size=1, max_size=5))
def test_every_parameter_is_in_one_layer_in_the_order_of_the_pass(blocks: list[str]) -> None:
    """Whatever stands between: layers follow the pass, so the first layer is used before the last one is."""
    made = {"residual": lambda: Basic1(3), "plain": lambda: nn.Conv2d(3, 3, 3, padding=1), "norm": norm}
    net = nn.Sequential(nn.Conv2d(1, 3, 3), *(made[kind]() for kind in blocks), nn.Flatten(), nn.Linear(3 * 36, 2))
    layers = found(net)
    complete(layers, net)
    modules = [[int(name.partition(".")[0]) for name in layer.parameters] for layer in layers.layers]
    ends = [(min(numbers), max(numbers)) for numbers in modules]
    assert all(end <= begin for (_, end), (begin, _) in pairwise(ends))
    assert ends[-1] == (len(blocks) + 2,) * 2


class Basic1(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x).relu()


def norm() -> nn.Module:
    return nn.BatchNorm2d(3)


@pytest.mark.parametrize("kind", ["ViT", "ResNet"])
def test_nets_of_transformers(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    sizes_ = {"ViT": {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8,
                      "image_size": 8, "patch_size": 4, "num_channels": 1},
              "ResNet": {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 2], "num_channels": 1,
                         "layer_type": "basic"}}  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(**sizes_[kind])
    net = getattr(transformers, f"{kind}ForImageClassification")(config)
    layers = found(net, size=8 if kind == "ViT" else 32)
    complete(layers, net)
    assert len(layers) == {"ViT": 4, "ResNet": 5}[kind]  # stem, layers or blocks, head
    assert layers.head == ({"ViT": "classifier", "ResNet": "classifier.1"}[kind],)
