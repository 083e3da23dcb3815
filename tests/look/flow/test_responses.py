"""Layer responses: hand-made numbers, one torch.std over everything, and what an op in place must not spoil."""

import dataclasses
import io
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

import reslab
from reslab.errors import ReslabError, UsageError
from reslab.look import find, find_layers, read
from reslab.look.flow.responses import Spread, responses


def settled(net: nn.Module) -> nn.Module:
    """The net with BatchNorms that do something in eval mode, in float64."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -1, 1)
    return net.double()


def images(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def collected(net: nn.Module, path: str, batches: list[Tensor]) -> Tensor:
    """All that comes out of one module, kept whole."""
    kept: list[Tensor] = []
    handle = net.get_submodule(path).register_forward_hook(lambda m, a, out: kept.append(out.clone()))
    with torch.no_grad():
        for x in batches:
            net.eval()(x)
    handle.remove()
    return torch.cat(kept)


def test_a_layer_by_hand() -> None:
    layer = nn.Conv2d(1, 1, 1)
    nn.init.constant_(layer.weight, 2.0)
    nn.init.constant_(layer.bias, 1.0)  # type: ignore[arg-type]
    net = nn.Sequential(layer, nn.ReLU(inplace=True), nn.Flatten())
    x = torch.tensor([[-3.0, 3.0], [-1.0, 1.0]]).reshape(2, 1, 1, 2)
    found = responses(net, [(x, None)]).layers[0]
    assert (found.module, found.shape, found.mean) == ("0", (1, 1, 2), 1)
    assert found.std == pytest.approx(2 * 5**0.5)  # 2 * sqrt((9 + 9 + 1 + 1) / 4)


@pytest.mark.parametrize("name", ["resnet8", "plain8", "resnet8_v2"])
def test_batches_of_any_sizes_give_one_std_over_everything(name: str) -> None:
    net = settled(reslab.net(name))
    parts = [images(1), images(6, seed=1), images(2, seed=2)]
    found = responses(net, [(x, None) for x in parts])
    assert found.n == 9
    layers = find_layers(net, parts[0])
    assert len(found.layers) == len(layers) == 8
    for row, layer in zip(found.layers, layers, strict=True):
        whole = collected(net, layer.output, parts)
        assert row.std == pytest.approx(whole.std(correction=0).item(), rel=1e-12)
        assert row.mean == pytest.approx(whole.mean().item(), rel=1e-9, abs=1e-12)
        assert row.shape == whole.shape[1:]


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9), min_size=1, max_size=5))
def test_spreads_merge_exactly(parts: list[list[float]]) -> None:
    spread = Spread()
    for part in parts:
        spread.add(len(part), statistics.fmean(part), statistics.pvariance(part))
    whole = [x for part in parts for x in part]
    assert spread.mean == pytest.approx(statistics.fmean(whole), abs=1e-9)
    assert spread.std == pytest.approx(statistics.pstdev(whole), rel=1e-9, abs=1e-6)


def test_a_relu_in_place_does_not_spoil_what_was_before() -> None:
    net = settled(reslab.net("resnet8"))
    writing = responses(net, [(images(3), None)])
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    assert responses(net, [(images(3), None)]) == writing


def test_the_figure_leaves_out_shortcuts_and_the_classifier() -> None:
    found = responses(settled(reslab.net("resnet8", shortcut="B")), [(images(2), None)])
    assert len(found.layers) == 10
    assert [row.module for row in found.layers if row.shortcut] == [
        "stages.1.0.shortcut.conv",
        "stages.2.0.shortcut.conv",
    ]
    assert [row.module for row in found.layers if row.head] == ["head"]
    assert len(found.ranked) == 7
    shown = [found.layers[i] for i in found.ranked]
    assert all(row.shown and row.kernel == (3, 3) for row in shown)
    stds = [row.std for row in shown]
    assert stds == sorted(stds, reverse=True)
    assert found.median == stds[3]
    assert found.notes == ()


def test_a_pre_activation_net_says_where_no_normalization_follows() -> None:
    found = responses(settled(reslab.net("resnet8_v2")), [(images(2), None)])
    bare = [row.module for row in found.layers if row.shown and row.norm is None]
    assert bare == ["stages.0.0.branch.conv2", "stages.1.0.branch.conv2", "stages.2.0.branch.conv2"]
    assert "3 of 7 layers are not followed by a normalization" in found.notes[0]


def test_an_untrained_batchnorm_is_told_of() -> None:
    notes = responses(reslab.net("plain8"), [(images(2).float(), None)]).notes
    assert "without running statistics" in notes[0]


def test_merges_are_what_read_gives() -> None:
    net = settled(reslab.net("resnet8"))
    x = images(4)
    found = responses(net, [(x[:1], None), (x[1:], None)])
    readings = read(net, find(net, x[:2]), lambda: net(x))
    assert len(found.merges) == 3
    for row, reading in zip(found.merges, readings, strict=True):
        whole = [reading.skip, reading.branch, reading.out]
        assert [row.skip, row.branch, row.out] == pytest.approx([v.std(correction=0).item() for v in whole], rel=1e-12)


class Parallel(nn.Module):
    """x + a(x) + b(x), in place; a dict comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        a, b = self.a(x), self.b(x)
        a += b
        a += x
        return {"logits": a}


def test_the_branch_of_a_merge_with_two_is_their_sum() -> None:
    net, x = Parallel().double(), torch.randn(5, 4, dtype=torch.float64)
    (row,) = responses(net, [(x, None)]).merges
    branch = net.a(x) + net.b(x)
    assert row.branch == pytest.approx(branch.std(correction=0).item())
    assert row.skip == pytest.approx(x.std(correction=0).item())
    assert row.out == pytest.approx((x + branch).std(correction=0).item())


class Twice(nn.Module):
    """One layer and one norm at work twice, and the norm after another layer too."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.other, self.norm = nn.Linear(3, 3, bias=False), nn.Linear(3, 3), nn.LayerNorm(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.other(F.relu(self.norm(self.layer(F.relu(self.norm(self.layer(x))))))))


def test_a_layer_used_twice_has_a_row_for_each_call() -> None:
    net, x = Twice().double(), torch.randn(6, 3, dtype=torch.float64)
    found = responses(net, [(x[:2], None), (x[2:], None)])
    assert [(row.module, row.call, row.norm) for row in found.layers] == [
        ("layer", 0, "norm"), ("layer", 1, "norm"), ("other", 0, "norm"),
    ]  # fmt: skip
    first = net.norm(net.layer(x))
    second = net.norm(net.layer(F.relu(first)))
    third = net.norm(net.other(F.relu(second)))
    assert [row.mean for row in found.layers] == pytest.approx(
        [v.mean().item() for v in (first, second, third)], abs=1e-12
    )
    assert [row.std for row in found.layers] == pytest.approx(
        [v.std(correction=0).item() for v in (first, second, third)]
    )


def test_layers_know_merges_by_their_own_numbers_where_the_user_named_some() -> None:
    net = settled(reslab.net("resnet8"))
    merges = find(net, images(1), modules=["stem.norm"])
    assert [merge.named for merge in merges] == [True, False, False, False]
    rows = responses(net, [(images(2), None)], merges=merges).layers
    assert [row.merge for row in rows] == [None, 1, 1, 2, 2, 3, 3, None]


def test_a_value_that_is_not_finite_is_named_and_the_model_comes_back() -> None:
    net = settled(reslab.net("resnet8")).train()
    assert isinstance(net, nn.Module)
    with torch.no_grad():
        net.get_submodule("stages.1.0.branch.conv1").weight.fill_(float("inf"))  # type: ignore[union-attr]
    with pytest.raises(ReslabError, match=r"the output of stages\.1\.0\.branch\.conv1 is not finite"):
        responses(net, [(images(2), None)])
    assert net.training
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in net.modules())


def test_bad_input() -> None:
    with pytest.raises(UsageError, match="no batches"):
        responses(reslab.net("resnet8"), [])
    with pytest.raises(UsageError, match=r"ResNet does not accept the example \(float32 \[2, 5\]"):
        responses(reslab.net("resnet8"), [(torch.randn(2, 5), None)])


def test_the_result_is_plain_data_and_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    found = responses(reslab.net("resnet8").bfloat16(), [(images(2).bfloat16(), None)] * 3,
                      progress=lambda done, total: told.append((done, total)))  # fmt: skip
    assert told == [(1, 3), (2, 3), (3, 3)]
    data = json.loads(json.dumps(dataclasses.asdict(found)))
    assert data["layers"][0]["module"] == "stem.conv"
    assert len(data["merges"]) == 3


def test_a_model_without_layers() -> None:
    found = responses(nn.ReLU(), [(torch.randn(2, 3), None)])
    assert (found.layers, found.median) == ((), None)
    assert "no layers to show" in found.notes[0]


@pytest.mark.filterwarnings("ignore")
def test_others_linear_layers_are_layers_too() -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.GPT2Model(transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=50))
    found = responses(model, [({"input_ids": torch.arange(6)[None]}, None)])
    names = [row.module for row in found.layers]
    assert names == ["h.0.attn.c_attn", "h.0.attn.c_proj", "h.0.mlp.c_fc", "h.0.mlp.c_proj"]
    assert {row.kind for row in found.layers} == {"Conv1D"}


@pytest.mark.slow
def test_deeper_trained_nets_respond_less(shared: Path) -> None:
    """The finding of Figure 7 by depth, on akamaster's trained nets and images that they have not seen."""
    table = pytest.importorskip("pyarrow.parquet").read_table(shared / "data/cifar10-jpeg/test.parquet").slice(0, 100)
    pixels = [np.array(Image.open(io.BytesIO(row["bytes"]))) for row in table["img"].to_pylist()]
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    medians = []
    for depth in (20, 32, 44, 56):
        (file,) = (shared / "data/weights/akamaster").glob(f"resnet{depth}-*.th")
        found = responses(reslab.load(file, f"resnet{depth}", shortcut="A-both"), [(x, None)])
        assert found.notes == ()
        assert len(found.ranked) == depth - 1
        assert found.median is not None
        medians.append(found.median)
    assert medians == sorted(medians, reverse=True)
    assert medians == pytest.approx([0.66, 0.55, 0.47, 0.41], abs=0.02)  # with 1,000 images: 0.661 0.553 0.471 0.413


@pytest.mark.parametrize(
    ("add", "skip", "branch"),
    [
        (lambda x, f: torch.add(x, f, alpha=0.1), 1, 0.1),
        (lambda x, f: torch.sub(x, f, alpha=0.5), 1, 0.5),
        (lambda x, f: torch.lerp(x, f, 0.25), 0.75, 0.25),
        (lambda x, f: x.clone().add_(f, alpha=3), 1, 3),
        (lambda x, f: torch.add(f, x, alpha=2), 2, 1),
        (lambda x, f: torch.rsub(f, x, alpha=2), 1, 2),
        (lambda x, f: torch.addcmul(x, f, torch.ones_like(x), value=0.2), 1, 0.2),
        (lambda x, f: torch.sub(x, torch.add(f, f.clone(), alpha=3), alpha=0.5), 1, 2),
    ],
)
def test_skip_and_branch_are_measured_as_they_are_added(add: Any, skip: float, branch: float) -> None:
    """x = (-1, 1) and f = (-2, 2): stds 1 and 2, times the factors of the call."""

    class Adds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f = nn.Linear(2, 2, bias=False)
            self.f.weight.data = 2 * torch.eye(2)

        def forward(self, x: Tensor) -> Tensor:
            return add(x, self.f(x))  # type: ignore[no-any-return]

    (merge,) = responses(Adds(), [(torch.tensor([[-1.0, 1.0]]), None)]).merges
    assert (merge.skip, merge.branch) == (pytest.approx(skip), pytest.approx(2 * branch))
