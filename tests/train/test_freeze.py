"""Frozen layers: not a bit of their weights or statistics changes, whatever the recipe does besides."""

import copy
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import SmallResNet, SmallViT
from torch import Tensor, nn

import reslab
from reslab.errors import UsageError
from reslab.images.data import ImageData
from reslab.images.task import ImageTask
from reslab.nets import spec
from reslab.progress import silent
from reslab.run import Run
from reslab.stored.folders import Event
from reslab.train.freeze import Frozen, freeze
from reslab.train.layers import layers_of
from reslab.train.loop import fit
from reslab.train.optimizer import make_optimizer
from reslab.train.recipe import Recipe, change
from reslab.train.training import Training

CPU = torch.device("cpu")
SHORT = Recipe(iterations=3, batch=16, lr=0.1, precision="fp32", memory_format="NCHW", compile="off", threads=1,
               workers=0, mean="channel", augment="crop", pad=1, weight_decay=0.1, ema=0.9)  # fmt: skip


def resnet18() -> nn.Module:
    torch.manual_seed(0)
    return reslab.build(spec("resnet18", stem="cifar", channels=1, size=8, classes=10, widths=(4, 8, 8, 8)))


def trained(net: nn.Module, data: ImageData, folder: Path, **changes: Any) -> tuple[dict[str, Tensor], Training]:
    """(state before, training after three updates with EMA, weight decay, clipping and precise BN)."""
    recipe, run = change(SHORT, precise_bn=True, clip=1.0, **changes), Run(folder)
    run.make()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    return before, fit(ImageTask(data, recipe, CPU), net, recipe=recipe, run=run, progress=silent)


def moved(before: dict[str, Tensor], net: nn.Module) -> set[str]:
    return {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}


def test_none_of_40_statistics_moves_with_a_frozen_backbone(
    few: ImageData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """ResNet-18 has 20 BatchNorms; neither the net nor the averaged net has another bit outside the head."""
    with caplog.at_level("INFO", logger="reslab"):
        before, training = trained(resnet18(), few, tmp_path, freeze="backbone")
    assert sum("running" in name for name in before) == 40
    for net in (training.net, training.kept):
        assert moved(before, net) == {"head.weight", "head.bias"}
    assert [p for name, p in training.net.named_parameters() if p.grad is not None and "head" not in name] == []
    (frozen,) = [event for event in training.run.metrics() if event["event"] == "frozen"]
    numbers = sum(p.numel() for p in training.net.parameters())
    assert (len(frozen["layers"]), frozen["of"], frozen["tensors"], frozen["all_tensors"]) == (9, 10, 60, 62)
    assert (frozen["trained"], frozen["numbers"]) == (8 * 10 + 10, numbers)
    assert caplog.messages[:1] == [f"frozen: 9 of 10 layers (stem to stages.3.1), 60 of 62 tensors; 90 of {numbers:,} "
                               "parameters are trained"]  # fmt: skip


def test_the_first_layers_stay_and_later_ones_move(few: ImageData, tmp_path: Path) -> None:
    """Three layers of ResNet-18: the stem and both blocks of the first stage, five BatchNorms."""
    before, training = trained(resnet18(), few, tmp_path, freeze="3")
    for net in (training.net, training.kept):
        still = before.keys() - moved(before, net)
        first = {name for name in before if name.startswith(("stem.", "stages.0."))}
        assert sum("running" in name for name in first) == 10
        assert {name for name in still if "running" in name or name.endswith("weight")} == {
            name for name in first if "running" in name or name.endswith("weight")
        }


def test_frozen_modules_stay_in_eval_mode_whatever_calls_train() -> None:
    net = SmallResNet()
    layers = layers_of(net, torch.randn(2, 1, 8, 8))
    frozen = freeze(net, layers, "2")  # stem and layer1.0
    assert frozen.layers == ("stem", "layer1.0")
    for one in (net, copy.deepcopy(net), copy.deepcopy(copy.deepcopy(net))):
        for call in (
            lambda one=one: one.train(),
            lambda one=one: one.eval().train(),
            lambda one=one: one.layer1.train(),
        ):
            call()
            assert not one.bn1.training
            assert not any(module.training for module in one.layer1[0].modules())
        one.train()
        assert one.training
        assert all(module.training for module in one.layer1[1].modules())
        x = torch.randn(4, 1, 8, 8)
        before = one.bn1.running_mean.clone(), one.layer1[1].bn1.running_mean.clone()
        one(x)
        assert torch.equal(one.bn1.running_mean, before[0])
        assert not torch.equal(one.layer1[1].bn1.running_mean, before[1])


class Dropping(nn.Module):
    """Dropout after the first layer, after the second, and before the head; the first two are one module's."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.drop1, self.drop2 = nn.Dropout(), nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop2(self.two(self.drop1(self.one(x)))))


def test_dropout_in_frozen_layers_is_off() -> None:
    x = torch.randn(8, 6)
    for what, dropping in (("1", ["drop2"]), ("2", []), ("backbone", [])):
        net = Dropping()
        freeze(net, layers_of(net, x), what)
        net.train()
        assert [name for name in ("drop1", "drop2") if getattr(net, name).training] == dropping
        assert torch.equal(net(x), net(x)) == (not dropping)


def test_the_optimizer_has_what_is_trained_at_its_rates() -> None:
    """Layer decay 0.5, the head ten times: stem and first block frozen, then 1/4, 1/2 and 10."""
    net = SmallViT()
    layers = layers_of(net, torch.randn(2, 1, 8, 8))
    freeze(net, layers, "2")
    recipe = change(Recipe(epochs=1), layer_decay=0.5, head_rate=10.0)
    groups = make_optimizer(net, recipe, layers.weights(net)).param_groups
    assert [(group["scale"], len(group["params"])) for group in groups] == [(10.0, 2), (0.5, 14), (0.25, 12)]
    names = {p: name for name, p in net.named_parameters()}
    assert [names[p] for p in groups[0]["params"]] == ["head.weight", "head.bias"]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("6", r"from 1 to 5, or backbone: the net has 6 layers with the head \(stem, layer1.0, ..., head\), got 6"),
        ("99", "got 99"),
        ("0", "got 0"),
    ],
)
def test_what_cannot_be_frozen(what: str, sentence: str, few: ImageData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        trained(SmallResNet(), few, tmp_path, freeze=what)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(UsageError, match="is a single layer, its head: nothing else can be frozen; leave freeze out"):
        trained(flat, few, tmp_path / "flat", freeze="backbone")


@pytest.mark.filterwarnings("ignore:the frozen layers keep random weights")
def test_a_failed_freeze_leaves_no_folder(begin: Any, few: ImageData, tmp_path: Path) -> None:
    run = begin(tmp_path / "run", few, freeze="9")
    with pytest.raises(UsageError, match=r"freeze must be from 1 to 4, or backbone: .*got 9"):
        reslab.images.train.train(run.folder, data=few, device="cpu")
    assert not run.folder.exists()


def test_what_the_log_says_of_frozen_layers_is_declared() -> None:
    assert {field.name for field in fields(Frozen)} <= Event.__annotations__.keys()
