"""With a frozen backbone the head's inputs are computed once; the result is that of computing them in each step."""

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import SmallResNet
from torch import Tensor, nn

from reslab.errors import ReslabWarning
from reslab.images.data import Encoded, ImageData, load
from reslab.images.task import ImageTask
from reslab.images.train import train
from reslab.progress import silent
from reslab.run import Run
from reslab.train import features
from reslab.train.loop import fit
from reslab.train.recipe import Recipe, change
from reslab.train.signals import Interrupted
from reslab.train.training import Training

CPU = torch.device("cpu")
HEAD = Recipe(iterations=9, batch=16, lr=0.1, precision="fp32", memory_format="NCHW", compile="off", threads=1,
              workers=0, mean="channel", freeze="backbone", validation=16)  # fmt: skip


def small() -> SmallResNet:
    torch.manual_seed(0)
    net = SmallResNet(dropout=0.5)
    net.drop.p = 0.5
    return net


def trained(data: ImageData, folder: Path, net: nn.Module | None = None, **changes: Any) -> Training:
    recipe, run = change(HEAD, **changes), Run(folder)
    run.make()
    return fit(ImageTask(data, recipe, CPU), net or small(), recipe=recipe, run=run, progress=silent)


def lines(run: Run) -> list[dict[str, Any]]:
    """The numbers of the log, without the speed."""
    return [{key: value for key, value in event.items() if isinstance(value, float) and key != "examples_per_second"}
            for event in run.metrics() if event["event"] in ("train", "eval")]  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"ema": 0.5, "keep": "best", "evaluate_every": 0.5, "memory_format": "NHWC"},
                                     {"sampling": "balanced", "repeats": 2, "class_weights": "balanced",
                                      "accumulate": 3, "clip": 0.1, "precise_bn": True}], ids=str)  # fmt: skip
def test_the_same_result_as_without_the_cache(
    few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    once = trained(few, tmp_path / "once", **changes)
    assert set(once.task.features) == {"train", "validation", "test"}
    monkeypatch.setattr(features, "CACHE", 100)
    each = trained(few, tmp_path / "each", **changes)
    assert not each.task.features
    for (name, one), other in zip(once.kept.state_dict().items(), each.kept.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=name)
    for one, other in zip(lines(once.run), lines(each.run), strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


def test_the_whole_net_runs_once_for_each_image(
    few: ImageData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """64 training, 16 validation and 50 test images, and 8 to see that the head's input is all that the head needs."""
    net, seen = small(), []
    net.conv1.register_forward_hook(lambda *_: seen.append(len(_[1][0])))
    with caplog.at_level("INFO", logger="reslab"):
        training = trained(few, tmp_path, net=net)
    assert sum(seen) == 64 + 16 + 50 + features.PROBE + 2  # and 2 whose pass shows the layers
    assert training.iteration == 9
    told = [line for line in caplog.messages if "features" in line]
    assert len(told) == 1
    assert told[0].startswith("the features of 64 training, 16 validation, 50 test images were computed once, in ")
    assert told[0].endswith(" s; each step runs the head alone")


class Scaled(nn.Module):
    """Its head's output is changed afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.net = SmallResNet()

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.net(x)


def test_what_is_not_computed_once_is_reported(
    few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="reslab"):
        assert not trained(few, tmp_path / "scaled", net=Scaled()).task.features
        assert not trained(few, tmp_path / "augmented", augment="crop", erase=0.5).task.features
        monkeypatch.setattr(features, "CACHE", 8 * 4 * 130 - 1)  # 8 numbers of 4 bytes for each of 130 images
        assert not trained(few, tmp_path / "large").task.features
    told = [line.partition("step: ")[2] for line in caplog.messages if "features" in line]
    assert told == [
        "the net changes the head's output afterwards", "the images are augmented (augment crop, erase 0.5)",
        "those of 130 images need more than 4.159e-06 GB",
    ]  # fmt: skip
    monkeypatch.setattr(features, "CACHE", 8 * 4 * 130)
    assert trained(few, tmp_path / "fits").task.features


@pytest.mark.filterwarnings("ignore:the frozen layers keep random weights")
def test_stopped_anywhere_it_ends_alike(
    begin: Any, few: ImageData, tmp_path: Path, straight: Any, same_end: Any, stopped_after: Any
) -> None:
    """Checkpoints and weights are the whole net's; features are computed again from them."""
    changes = {"freeze": "backbone", "ema": 0.7, "validation": 16, "keep": "best", "layer_decay": 0.5, "head_rate": 2.0}
    whole = straight(begin(tmp_path / "whole", few, **changes), few)
    broken = begin(tmp_path / "broken", few, **changes)
    for k in (2, 7):
        with stopped_after(k), pytest.raises(Interrupted):
            train(broken.folder, data=few, device="cpu")
    straight(broken, few)
    same_end(whole, broken)


def test_random_layers_that_are_frozen_are_warned_of(begin: Any, few: ImageData, tmp_path: Path) -> None:
    with pytest.warns(ReslabWarning, match="the frozen layers keep random weights, from which little can be learned"):
        begin(tmp_path / "run", few, freeze="backbone")


@pytest.mark.slow  # starts processes
@pytest.mark.filterwarnings("ignore:the frozen layers keep random weights")
def test_killed_it_ends_alike(begin: Any, pngs: Path, tmp_path: Path, straight: Any, same_end: Any) -> None:
    """SIGKILL at any time, in a loop, until it has ended: the same bits as without."""
    data = load(str(pngs))
    changes = {"freeze": "2", "iterations": 150, "checkpoint_seconds": 0.2, "word": str(pngs), "stochastic_depth": 0.3}
    whole = straight(begin(tmp_path / "whole", data, **changes), data)
    broken, kills = begin(tmp_path / "broken", data, **changes), 0
    while not broken.has("results/train.json"):
        command = [sys.executable, "-m", "reslab.study.jobs", str(broken.folder), "cpu", str(os.getpid())]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(6 + 2 * kills)
            child.kill()
        kills += 1
        assert kills < 12
    same_end(whole, broken)


def test_ctrl_c_while_the_features_are_computed(few: ImageData, tmp_path: Path) -> None:
    recipe, run = HEAD, Run(tmp_path)
    run.make()

    def progress(done: int, total: int, note: str = "", /) -> None:
        if "features" in note:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped while the features were computed; run the same command again"):
        fit(ImageTask(few, recipe, CPU), small(), recipe=recipe, run=run, progress=progress)


def test_broken_images_are_skipped_as_without_the_cache(
    pngs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load(str(pngs), memory=0)
    assert isinstance(data.train, Encoded)
    name = pngs / data.train.name(5)
    content = name.read_bytes()
    try:
        name.write_bytes(content[:40])
        changes = {"batch": 8, "iterations": 14, "validation": 0.0}
        once = trained(data, tmp_path / "once", net=SmallResNet(classes=3), **changes)
        assert list(once.task.features["train"].broken) == [5]
        monkeypatch.setattr(features, "CACHE", 0)
        each = trained(data, tmp_path / "each", net=SmallResNet(classes=3), **changes)
    finally:
        name.write_bytes(content)
    assert list(once.skipped) == list(each.skipped) != []
    assert once.task.evaluate(once.kept, "train", replace(once.choice))["n"] == 47  # type: ignore[index]
