"""Specs of nets that are not reslab's own: a user's file always, other libraries where they are installed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from models import peer
from strangers import mine
from torch import nn

from reslab import nets
from reslab.errors import ReslabError, UsageError
from reslab.nets import allowed
from reslab.nets.suiting import suited

__all__ = ["mine"]
DIGITS = (1, 8, 8)


def made(word: str, classes: int = 7, shape: tuple[int, int, int] = DIGITS) -> Any:
    return suited(nets.spec(word), classes=classes, shape=shape)


@pytest.mark.parametrize("function", ["fixed", "asked", "pair", "convolution", "lazy"])
def test_a_file_gives_as_many_scores_as_there_are_classes(mine: Path, function: str) -> None:
    spec = made(f"{mine}:{function}")
    again = nets.from_dict(json.loads(json.dumps(nets.to_dict(spec))))
    assert again == spec
    net = nets.build(again)
    for training in (True, False):
        assert net.train(training)(torch.zeros(2, *DIGITS)).shape == (2, 7)


def test_what_the_spec_counts(mine: Path) -> None:
    spec = made(f"{mine}:asked")
    assert spec.depth == 3  # two convolutions and a linear layer
    counts = nets.count(spec)
    assert counts.parameters == (72 + 8) + 16 + (576 + 8) + (56 + 7)
    assert counts.macs == 16 * 72 + 16 * 576 + 56  # 4 x 4 pixels
    assert [layer.macs for layer in nets.layers(spec)] == [16 * 72, 16 * 576, 56]
    assert (spec.name, spec.origin, spec.source) == ("mine-asked", "file", (mine, "asked"))


def test_the_head_that_is_replaced_is_reported(mine: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="reslab"):
        made(f"{mine}:fixed")
        made(f"{mine}:asked")
    assert [line.partition(": ")[2] for line in caplog.messages] == [
        "its head out (5 outputs) is replaced by a new one of 7 classes"
    ]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("encoder", "returns [8] per image, not 7 scores, and its last layer is BatchNorm2d, which cannot be replaced"),
        ("maps", "gives [7, 8, 8] per image, not one score for each of 7 classes: it is no net for classifying images"),
        ("rgb", "does not take gray images of 8 x 8: Given groups=1"),
        ("breaks", "line 33: ValueError: no such thing"),
        ("none", "has no function 'none'"),
    ],
)
def test_what_is_no_net_for_these_images(mine: Path, function: str, sentence: str) -> None:
    with pytest.raises(ReslabError) as caught:
        made(f"{mine}:{function}")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_of_our_nets_are_refused(mine: Path) -> None:
    with pytest.raises(UsageError, match=r"^shortcut, norm: only reslab's own nets have these options, and .*mine.py"):
        nets.spec(f"{mine}:asked", shortcut="B", norm=True)
    with pytest.raises(UsageError, match="has no option 'width'"):
        nets.spec(f"{mine}:asked", width=3)  # type: ignore[call-overload]
    assert nets.spec(f"{mine}:asked", arguments={"wide": True}).arguments == {"wide": True}
    for arguments in ({"pretrained": True}, {"checkpoint_path": 1}, {"act": "relu"}, {"size": {"a": 1}}):
        with pytest.raises(UsageError, match="the argument"):
            nets.spec(f"{mine}:asked", arguments=arguments)


def test_words(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert nets.spec("net:resnet20") == nets.spec("resnet20")
    monkeypatch.chdir(mine.parent)
    assert nets.spec("mine.py:asked").word == f"{mine}:asked"
    (mine.parent / "resnet20").mkdir()  # a folder of the name changes nothing
    (mine.parent / "resnet20" / "config.json").write_text("{}")
    assert nets.spec("resnet20").family == "resnet"
    with pytest.raises(UsageError, match=r"say which of its functions returns the net, such as mine.py:make"):
        nets.spec("mine.py")
    with pytest.raises(UsageError, match=r"none.py: no such file"):
        nets.spec("none.py:make")
    with pytest.raises(UsageError, match=r"is named timm:vit_tiny or torchvision:vit_tiny"):
        nets.spec("vit_tiny")
    (mine.parent / "run").mkdir()
    (mine.parent / "run" / "spec.json").write_text("{}")
    (mine.parent / "w.pth").write_text("")
    for word, what in (("run", "a run, not the name of a net; start takes its weights, and its net"),
                       ("w.pth", "a file of weights, not the name of a net; start takes them")):  # fmt: skip
        with pytest.raises(UsageError, match=f"{word} is {what}"):
            nets.spec(word)
    for word in ("timm:../x", "torchvision:a/b", "timm:hf-hub:a/b"):
        with pytest.raises(UsageError, match="is not a model's name"):
            nets.spec(word)


def test_what_a_file_imports_is_not_its_function(mine: Path) -> None:
    with mine.open("a") as file:
        file.write("\nfrom shutil import rmtree\nlater = asked\n")
    with pytest.raises(
        UsageError, match=r"mine\.py does not define 'rmtree' itself; define a function there that calls"
    ):
        made(f"{mine}:rmtree")
    made(f"{mine}:later")


def test_a_file_that_only_a_stored_spec_names_is_not_run(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = nets.to_dict(made(f"{mine}:asked"))
    monkeypatch.setattr(allowed, "NAMED", set())
    nets.build(nets.from_dict(stored))  # another process of the user who named it
    monkeypatch.setenv("XDG_STATE_HOME", str(mine.parent / "other user"))
    with pytest.raises(UsageError, match="which you have not named on this machine, so it is not run"):
        nets.build(nets.from_dict(stored))
    nets.spec(f"{mine}:asked")
    nets.build(nets.from_dict(stored))
    other = replace(nets.from_dict(stored), word=f"{mine}:pair")
    with pytest.raises(UsageError, match=r"running pair of .*mine\.py, which you have not named on this machine"):
        nets.build(other)
    for path in (f"{mine.parent}/../code/mine.py", "mine.py", "/proc/self/cwd/mine.py"):
        with pytest.raises(UsageError, match="no plain absolute path"):
            nets.build(replace(nets.from_dict(stored), word=f"{path}:asked"))
    mine.unlink()
    with pytest.raises(ReslabError, match="which is not there; restore it"):
        nets.build(nets.from_dict(stored))


def test_a_changed_file_is_reported(mine: Path) -> None:
    spec = made(f"{mine}:asked")
    mine.write_text(mine.read_text() + "\n")
    with pytest.warns(UserWarning, match="has changed since the net was made"):
        nets.build(spec)


def test_without_the_library() -> None:
    for word in ("timm:resnet18", "torchvision:resnet18"):
        name = word.partition(":")[0]
        try:
            __import__(name)
        except ImportError:
            with pytest.raises(UsageError, match=f"{word} needs the package {name}: pip install {name}"):
                nets.spec(word)
            with pytest.raises(UsageError, match=f"{word} needs the package {name}"):  # of a stored run
                nets.build(nets.from_dict({"family": "model", "name": "x", "word": word, "version": f"{name} 1.0"}))


def test_a_folder_of_transformers_rebuilds_without_it(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                                    image_size=16, patch_size=4)  # fmt: skip
    config.save_pretrained(tmp_path / "vit")
    spec = made(str(tmp_path / "vit"), shape=(1, 8, 8))
    (tmp_path / "vit" / "config.json").unlink()
    net = nets.build(nets.from_dict(json.loads(json.dumps(nets.to_dict(spec)))))
    assert net(torch.zeros(2, 1, 8, 8)).shape == (2, 7)
    assert isinstance(net, nn.Module)
    assert type(net).__name__ == "ViTForImageClassification"
    assert spec.version == f"transformers {transformers.__version__}"
    with pytest.raises(UsageError, match="is a model of timm inside transformers"):
        nets.build(replace(spec, config={"model_type": "timm_wrapper"}))
    transformers.BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(UsageError, match="is no net for images that transformers can classify with"):
        nets.spec(str(tmp_path / "bert"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "arguments"),
    [("timm:resnet18", {}), ("timm:vit_tiny_patch16_224", {"img_size": 64}), ("torchvision:resnet18", {}),
     ("torchvision:googlenet", {}), ("torchvision:vit_b_16", {"image_size": 64})],
)  # fmt: skip
def test_others_are_built_for_the_data(word: str, arguments: dict[str, Any]) -> None:
    peer(word.partition(":")[0])
    spec = made(word, shape=(3, 64, 64))
    assert spec.arguments == arguments
    assert nets.build(spec).train()(torch.zeros(2, 3, 64, 64)).shape == (2, 7)
    if word.endswith("resnet18"):
        assert nets.count(spec).macs == nets.count(nets.spec("resnet18", classes=7, size=64)).macs


@pytest.mark.slow
def test_nets_of_others_that_give_no_scores() -> None:
    peer("torchvision")
    with pytest.raises(UsageError, match=r"gives .* per image, not one score for each of 7 classes"):
        made("torchvision:fcn_resnet50", shape=(3, 64, 64))


ODD = """
import torch
from torch import nn

print("hello")


class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.layer = kind, nn.Linear(64, 7)

    def forward(self, x):
        found = self.layer(x.flatten(1))
        if self.kind == "two":
            return found + 1, found
        return {"features": x.flatten(1)[:, :7], "out": found} if self.kind == "first" else found * float("nan")


def two():
    return Net("two")


def first():
    return Net("first")


def nan():
    return Net("nan")


def weightless():
    return nn.Sequential(nn.Flatten(), nn.Softmax(dim=1), nn.AdaptiveAvgPool1d(7))
"""


def test_odd_outputs_are_refused_or_reported(
    mine: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.write_text(ODD)
    caplog.set_level("INFO", "reslab")
    for function, sentence in (("first", "do not depend on its weights"), ("nan", "returns NaN or infinite scores"),
                               ("weightless", "has no weights to train")):  # fmt: skip
        with pytest.raises(ReslabError, match=sentence):
            made(f"{mine}:{function}")
    made(f"{mine}:two")
    assert caplog.messages[-1].endswith("returns 2 outputs of 7 scores: number 1 of them is trained and predicts")
    said = capsys.readouterr()
    assert (said.out, "hello" in said.err) == ("", True)
