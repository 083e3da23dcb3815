"""hf:OWNER/NAME and hf:FOLDER, without a network: from the cache of the Hub's library, and of folders others made."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch

import reslab
from reslab.cli import main
from reslab.errors import ReslabError, UsageError
from reslab.nets import ResNet, from_dict, to_dict
from reslab.nets.published import downloaded
from reslab.run import Run
from reslab.ship import publish

PyTorchModelHubMixin: Any = huggingface_hub.PyTorchModelHubMixin


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the Hub's library, which must not ask the network."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    downloaded.cache_clear()
    return folder


def kept(cache: Path, name: str) -> Path:
    """Where the cache has a model, as the library lays it out."""
    model = cache / f"models--{name.replace('/', '--')}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("0" * 40)
    folder = model / "snapshots" / ("0" * 40)
    folder.parent.mkdir()
    return folder


def test_a_model_of_the_hub(
    cache: Path, images: Path, pixels: list[np.ndarray], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    publish(images, out=kept(cache, "me/birds"))
    x = torch.randn(2, 3, 32, 32)
    ours = reslab.load(images)
    for found in (reslab.load("hf:me/birds"), reslab.model("hf:me/birds"), reslab.model("me/birds")):
        assert torch.equal(found(x), ours(x))
    from PIL import Image

    Image.fromarray(pixels[0]).save(tmp_path / "a.png")
    assert main(["predict", "hf:me/birds", str(tmp_path / "a.png"), "--json"]) == 0
    theirs = json.loads(capsys.readouterr().out)
    assert main(["predict", str(images), str(tmp_path / "a.png"), "--json"]) == 0
    assert theirs["predictions"] == json.loads(capsys.readouterr().out)["predictions"]


def test_what_is_not_in_the_cache_is_said(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ReslabError, match="nobody/nothing is not in the cache of the Hugging Face Hub here"):
        reslab.load("hf:nobody/nothing")
    assert main(["predict", "hf:nobody/nothing", "a.png"]) == 1
    assert "the network is off (HF_HUB_OFFLINE) or not reachable" in capsys.readouterr().err
    with pytest.raises(UsageError, match="hf:a/b/c is not a name on the Hugging Face Hub"):
        reslab.load("hf:a/b/c")


def test_a_model_of_transformers_is_loaded_as_before(cache: Path, bert: tuple[Path, Any]) -> None:
    (folder := kept(cache, "me/bert")).symlink_to(bert[0])
    assert folder.is_dir()
    assert type(reslab.model("hf:me/bert")).__name__ == "BertModel"
    with pytest.raises(UsageError, match=r"hf:me/bert holds no model of reslab: .* reslab\.model\('hf:me/bert'\)"):
        reslab.load("hf:me/bert")


def test_a_folder_comes_before_a_name(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(images, out=tmp_path / "me" / "birds")
    monkeypatch.chdir(tmp_path)
    assert reslab.load("hf:me/birds").classes == ("hen", "/m/01yrx", "owl")
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="hf:other is also a file or folder here"):
        reslab.model("hf:other")


class Whole(ResNet, PyTorchModelHubMixin):  # type: ignore[misc]
    """The net itself; the mixin stores its spec without the family."""


class Within(torch.nn.Module, PyTorchModelHubMixin):  # type: ignore[misc]
    """The net as a part, of a spec as plain data."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.net = reslab.build(from_dict(config))


class Named(torch.nn.Module, PyTorchModelHubMixin):  # type: ignore[misc]
    """The net as a part, by its name and options."""

    def __init__(self, name: str = "resnet8", classes: int = 10) -> None:
        super().__init__()
        self.body = reslab.net(name, classes=classes)


@pytest.mark.parametrize("made", [
    lambda: Whole(reslab.spec("resnet8", classes=4)), lambda: Within(to_dict(reslab.spec("resnet8", shortcut="B"))),
    lambda: Named(classes=7),
])  # fmt: skip
def test_folders_of_the_mixin_that_others_made(made: Any, tmp_path: Path) -> None:
    theirs = made().eval()
    theirs.save_pretrained(tmp_path / "theirs")
    x = torch.randn(2, 3, 32, 32)
    wanted = getattr(theirs, "net", getattr(theirs, "body", theirs))(x)
    assert torch.equal(reslab.load(tmp_path / "theirs")(x), wanted)
    assert torch.equal(reslab.model(f"hf:{tmp_path / 'theirs'}")(x), wanted)
    with pytest.raises(
        UsageError, match=r"does not say how its images are read"
    ):  # it does not say how images are read
        reslab.load(tmp_path / "theirs").predict("a.png")


def test_hostile_folders(images: Path, tmp_path: Path) -> None:
    """Pickled weights are never opened; a spec larger than its weights is refused."""
    out = tmp_path / "out"
    publish(images, out=out)

    class Bad:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "owned"),)

    (out / "model.safetensors").rename(out / "kept")
    (out / "pytorch_model.bin").write_bytes(pickle.dumps(Bad()))
    with pytest.raises(ReslabError):
        reslab.load(out)
    (out / "model.safetensors").write_bytes((out / "pytorch_model.bin").read_bytes())
    with pytest.raises(ReslabError, match=r"model\.safetensors is damaged or not a checkpoint"):
        reslab.load(out)
    (out / "kept").replace(out / "model.safetensors")
    config = json.loads((out / "config.json").read_text())
    config["spec"]["stages"] = [100_000, 100_000, 100_000]
    Run(out).write_json("config.json", config)
    with pytest.raises(ReslabError):
        reslab.load(out)
    Run(out).write_json("config.json", {"reslab_model": 1, "spec": {"nothing": 1}})
    with pytest.raises(ReslabError, match=r"config\.json is damaged: it names no spec"):
        reslab.load(out)
    assert not (tmp_path / "owned").exists()


def test_training_starts_from_it(cache: Path, images: Path, tmp_path: Path) -> None:
    publish(images, out=kept(cache, "me/birds"))
    from reslab.images.start import facts_of, net_of
    from reslab.train.start import start_of

    spec = net_of("hf:me/birds")
    assert spec == reslab.load(images).spec
    facts = facts_of("hf:me/birds", spec)  # type: ignore[arg-type]
    assert (facts.word, facts.of, facts.classes) == ("hf:me/birds", "hf:me/birds", ("hen", "/m/01yrx", "owl"))
    assert len(start_of("hf:me/birds")) > 100_000
    with pytest.raises(UsageError, match="is a run, not the name of a net"):
        reslab.spec("hf:me/birds")
