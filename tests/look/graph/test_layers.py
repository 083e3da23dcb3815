"""The layers of a model, by hand: their order, shapes, norms, and where they lie."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import reslab
from reslab.errors import UsageError
from reslab.look import Layer, find_layers


def table(model: nn.Module, example: Any) -> list[tuple]:
    return [(x.module, x.norm, x.kind, x.kernel, x.before, x.shape, x.params) for x in find_layers(model, example)]


def test_convolutions_norms_and_a_linear_layer() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.GroupNorm(2, 4),
        nn.Flatten(),
        nn.Linear(144, 2),
    )
    x = torch.randn(2, 3, 8, 8)
    assert table(model, x) == [
        ("0", "1", "Conv2d", (3, 3), (2, 3, 8, 8), (2, 4, 6, 6), 9 * 3 * 4 + 8),
        ("3", "4", "Conv2d", (3, 3), (2, 4, 6, 6), (2, 4, 6, 6), 9 * 2 * 4 + 4 + 8),
        ("6", None, "Linear", (), (2, 144), (2, 2), 290),
    ]
    assert [layer.keeps_shape for layer in find_layers(model, x)] == [False, True, False]
    assert [layer.output for layer in find_layers(model, x)] == ["1", "4", "6"]


@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers_of_tokens(bias: bool) -> None:
    """(N, L, H) in and out, though PyTorch makes a matrix of it in between."""
    model = nn.Sequential(nn.Linear(4, 6, bias=bias), nn.LayerNorm(6), nn.Linear(6, 6, bias=bias))
    assert table(model, torch.randn(2, 5, 4)) == [
        ("0", "1", "Linear", (), (2, 5, 4), (2, 5, 6), 24 + 6 * bias + 12),
        ("2", None, "Linear", (), (2, 5, 6), (2, 5, 6), 36 + 6 * bias),
    ]


def test_padding_is_within_the_layer() -> None:
    layer = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")
    assert table(layer, torch.randn(2, 3, 8, 8))[0][4:6] == ((2, 3, 8, 8), (2, 4, 8, 8))


def test_transposed_convolutions_and_weights_made_of_others() -> None:
    assert table(nn.ConvTranspose1d(3, 4, 2), torch.randn(2, 3, 5))[0][2:6] == (
        "ConvTranspose1d", (2,), (2, 3, 5), (2, 4, 6),
    )  # fmt: skip
    normed = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)), nn.LayerNorm(4))
    assert table(normed, torch.randn(2, 4))[0][1:] == ("1", "ParametrizedLinear", (), (2, 4), (2, 4), 16 + 4 + 4 + 8)


def test_a_norm_that_is_not_alone_does_not_belong_to_the_layer() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.f(x)
            return self.norm(y) * y

    assert table(Both(), torch.randn(2, 4))[0][1] is None


def test_a_layer_used_twice_counts_once_and_a_shared_norm_each_time() -> None:
    layer, norm = nn.Linear(4, 4), nn.LayerNorm(4)
    model = nn.Sequential(
        nn.Sequential(layer, norm, nn.ReLU()), nn.Sequential(nn.Linear(4, 4), norm), nn.Sequential(layer)
    )
    assert [row[:2] for row in table(model, torch.randn(2, 4))] == [("0.0", "0.1"), ("1.0", "1.1")]


def test_where_they_lie() -> None:
    """Stem, a block, a block whose shortcut has a convolution, head: 7 layers."""
    net = reslab.net("cifar_resnet20", stages=(1, 1), widths=(4, 8), shortcut="B")
    layers = find_layers(net, torch.randn(2, 3, 8, 8))
    assert [(layer.merge, layer.shortcut) for layer in layers] == [
        (None, False), (0, False), (0, False), (None, True), (1, False), (1, False), (None, False),
    ]  # fmt: skip
    assert layers[3].module == "stages.1.0.shortcut.conv"
    assert [layer.index for layer in layers] == list(range(7))


@pytest.mark.parametrize(("name", "count"), [("cifar_resnet20", 20), ("resnet32", 32), ("plain20", 20), ("vgg11", 11)])
def test_the_number_in_the_name(name: str, count: int) -> None:
    """Option A and plain nets: as many weighted layers as the name says."""
    size = 224 if name.startswith("vgg") else 32
    with torch.device("meta"):
        net, x = reslab.net(name), torch.randn(1, 3, size, size)
    assert len(find_layers(net, x)) == count


def test_the_innermost_merge() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.g = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.f(x)
            return x + (y + self.g(y))

    layers = find_layers(Nested(), torch.randn(2, 4))
    assert [(layer.module, layer.merge) for layer in layers] == [("f", 1), ("g", 0)]


@pytest.mark.filterwarnings("ignore")
def test_other_libraries_layers() -> None:
    """GPT-2's Conv1D is a linear layer with its weight the other way round; embeddings are no layers."""
    transformers = pytest.importorskip("transformers")
    model = transformers.GPT2Model(transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=11))
    assert [(row[0], row[2], row[6]) for row in table(model, {"input_ids": torch.arange(5)[None]})] == [
        ("h.0.attn.c_attn", "Conv1D", 8 * 24 + 24),
        ("h.0.attn.c_proj", "Conv1D", 8 * 8 + 8),
        ("h.0.mlp.c_fc", "Conv1D", 8 * 32 + 32),
        ("h.0.mlp.c_proj", "Conv1D", 32 * 8 + 8),
    ]


def test_none_and_mistakes() -> None:
    assert find_layers(nn.ReLU(), torch.randn(2, 4)) == ()
    assert isinstance(find_layers(nn.Linear(4, 4).bfloat16(), torch.randn(2, 4).bfloat16())[0], Layer)
    with pytest.raises(UsageError, match=r"Linear does not accept the example \(float32 \[2, 9\] on cpu\)"):
        find_layers(nn.Linear(4, 4), torch.randn(2, 9))
