"""Training nets that are not reslab's own: a user's file always; timm's and torchvision's where they are installed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from models import peer
from quick import QUICK
from strangers import mine

import reslab
from reslab import nets
from reslab.errors import UsageError
from reslab.images.data import ImageData
from reslab.images.train import prepare, train
from reslab.run import Run
from reslab.train.recipe import change
from reslab.train.signals import Interrupted

__all__ = ["mine"]


def begun(folder: Path, word: str, data: ImageData, **changes: Any) -> Run:
    return prepare(folder, net=nets.spec(word), data=data, word="digits", recipe=change(QUICK, **changes))


@pytest.mark.parametrize("function", ["fixed", "pair", "twice"])
def test_stopped_and_resumed_is_bit_identical(
    mine: Path, function: str, few: ImageData, tmp_path: Path, same_end: Any, stopped_after: Any
) -> None:
    """With dropout, BatchNorm and averaged weights; `pair` gives a tuple in training and a dict otherwise."""
    whole, broken = (begun(tmp_path / name, f"{mine}:{function}", few, ema=0.9) for name in ("whole", "broken"))
    train(whole.folder, data=few, device="cpu")
    with stopped_after(5), pytest.raises(Interrupted):
        train(broken.folder, data=few, device="cpu")
    train(broken.folder, data=few, device="cpu")
    same_end(whole, broken)


def test_a_run_is_loaded_with_its_file(mine: Path, few: ImageData, tmp_path: Path) -> None:
    run = begun(tmp_path / "run", f"{mine}:fixed", few, ema=0.9)
    assert begun(tmp_path / "run", f"{mine}:fixed", few, ema=0.9).folder == run.folder
    result = train(run.folder, data=few, device="cpu")
    assert (result["net"], result["depth"], result["parameters"]) == ("mine-fixed", 3, 80 + 16 + 584 + 90)
    net = reslab.load(run.folder)
    assert type(net).__name__ == "Small"
    assert net.spec == nets.read_spec(run)
    assert str(net.match) == "10 tensors matched by name"
    loaded = reslab.load(run.folder / "weights.safetensors")  # the file alone is enough, too
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(net(x), loaded(x))
    with pytest.raises(UsageError, match="with different settings"):
        begun(tmp_path / "run", f"{mine}:asked", few)


def test_precision_and_memory_format_are_timed(mine: Path, few: ImageData, tmp_path: Path) -> None:
    run = begun(tmp_path / "run", f"{mine}:pair", few, iterations=1, precision="auto", memory_format="auto")
    assert {"fp32 NCHW", "fp32 NHWC"} <= train(run.folder, data=few, device="cpu")["choice"]["milliseconds"].keys()


def test_a_file_inside_the_run_folder_is_not_run(mine: Path, few: ImageData, tmp_path: Path) -> None:
    run = begun(tmp_path / "run", f"{mine}:fixed", few)
    inside = run.path("mine.py")
    inside.write_text(mine.read_text())
    spec = nets.spec(f"{inside}:fixed", classes=10, channels=1, size=8)
    run.write_json("spec.json", nets.to_dict(spec))
    with pytest.raises(UsageError, match="a file inside the run folder, which is not run"):
        train(run.folder, data=few, device="cpu")


def test_what_gives_no_scores_makes_no_folder(mine: Path, few: ImageData, tmp_path: Path) -> None:
    for function in ("encoder", "maps", "rgb"):
        with pytest.raises(UsageError, match=r"mine.py"):
            begun(tmp_path / "run", f"{mine}:{function}", few)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("word", ["timm:resnet18", "torchvision:mobilenet_v3_small"])
def test_a_net_of_a_library(word: str, digits: ImageData, tmp_path: Path, same_end: Any, stopped_after: Any) -> None:
    peer(word.partition(":")[0])
    from dataclasses import replace

    from reslab.images.data import Pixels

    parts = [Pixels(pixels=part.subset(range(32)).pixels.repeat(1, 3, 4, 4), labels=part.subset(range(32)).labels)
             for part in (digits.train, digits.test)]  # fmt: skip
    data = replace(digits, train=parts[0], test=parts[1], shape=(3, 32, 32))
    whole, broken = (begun(tmp_path / name, word, data, iterations=3, ema=0.9) for name in ("whole", "broken"))
    train(whole.folder, data=data, device="cpu")
    with stopped_after(2), pytest.raises(Interrupted):
        train(broken.folder, data=data, device="cpu")
    train(broken.folder, data=data, device="cpu")
    same_end(whole, broken)
    assert reslab.load(whole.folder)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
