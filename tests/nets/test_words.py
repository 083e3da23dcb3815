"""The MODEL word of `reslab look`: what it loads, and the errors for invalid words."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from models import peer
from torch import nn

import reslab
from reslab.errors import ReslabError, UsageError
from reslab.nets import foreign, to_dict
from reslab.nets.words import load
from reslab.run import Run


def make_run(folder: str, seed: int = 3) -> Run:
    """A run folder as `reslab train` leaves it, of a net that was changed since it was initialized."""
    from reslab.train.checkpoint import write_weights
    from reslab.train.recipe import read, write

    run = Run(folder)
    run.make()
    torch.manual_seed(seed)
    net = reslab.net("resnet8", channels=1, size=8)
    run.write_json("spec.json", to_dict(net.spec))  # type: ignore[arg-type]
    run.write_text("recipe.toml", write(read("digits", seed=seed)))
    nn.init.ones_(net.head.bias)  # type: ignore[arg-type]
    write_weights(run, net, to_dict(net.spec))  # type: ignore[arg-type]
    return run


def test_a_run_is_its_trained_net_or_the_one_it_began_with(own: Path) -> None:
    make_run("runs/mine")
    trained, began = load("runs/mine"), load("runs/mine", weights=False)
    assert (trained.name, began.name) == ("mine", "mine-initial")
    assert trained.run is not None
    assert not trained.initial
    assert began.initial
    assert (trained.model.head.bias == 1).all()
    torch.manual_seed(3)
    first = reslab.net("resnet8", channels=1, size=8)
    assert all(a.equal(b) for a, b in zip(first.parameters(), began.model.parameters(), strict=True))


def test_a_checkpoint_says_its_channels_and_classes_itself(own: Path) -> None:
    torch.save({"state_dict": reslab.net("resnet8", channels=1, classes=7).state_dict()}, "w.pt")
    found = load("w.pt", net="resnet8")
    assert (found.spec.channels, found.spec.classes) == (1, 7)
    assert found.notes == ("37 tensors matched by name",)
    run = make_run("runs/mine")
    assert load(str(run.path("weights.safetensors"))).spec.name == "resnet8"  # its net stands in it


def test_a_net_of_ours_is_the_same_for_a_seed() -> None:
    one, two, other = (load("net:resnet8", options={"norm": False}, seed=seed).model for seed in (0, 0, 1))
    assert one.head.weight.equal(two.head.weight)
    assert not one.head.weight.equal(other.head.weight)


def test_your_own_function_gives_model_example_and_labels(own: Path) -> None:
    bare, example, labelled = (load(f"own.py:{name}") for name in ("bare", "example", "labelled"))
    assert (bare.example, bare.labels, example.labels) == (None, None, None)
    assert list(example.example.shape) == [3, 2]
    assert labelled.labels.tolist() == [0, 1, 0]
    assert labelled.name == "own-labelled"
    assert str(own) not in sys.path


@pytest.mark.filterwarnings("ignore")  # others' deprecations
@pytest.mark.parametrize(
    ("name", "kind", "model"),
    [
        ("bert", "encoder", "BertModel"),
        ("masked", "masked", "BertForMaskedLM"),
        ("causal", "causal", "GPT2LMHeadModel"),
        ("vit", "images", "ViTForImageClassification"),
    ],
)
def test_the_architecture_chooses_the_class_and_the_inputs(name: str, kind: str, model: str, zoo: Path) -> None:
    found = load(str(zoo / name))
    assert (found.kind, type(found.model).__name__, found.name) == (kind, model, name)
    assert (found.tokenizer is None) == (name == "vit")
    assert found.shape == ((1, 8, 8) if name == "vit" else None)


@pytest.mark.filterwarnings("ignore")
def test_a_config_alone_gives_the_shapes(zoo: Path, own: Path) -> None:
    Path("alone").mkdir()
    shutil.copy(zoo / "causal" / "config.json", "alone")
    found = load("alone", weights=False, shape_only=True)
    assert found.fake is not None
    assert found.initial
    with pytest.raises(UsageError, match=r"alone has no model\.safetensors; other weight files can run code"):
        load("alone")
    torch.save(found.name, "alone/pytorch_model.bin")
    with pytest.raises(UsageError, match=r"alone has no model\.safetensors"):
        load("alone")


@pytest.mark.filterwarnings("ignore")
def test_a_tokenizer_that_knows_no_word_is_none(zoo: Path, own: Path) -> None:
    shutil.copytree(zoo / "bert", "bert", ignore=shutil.ignore_patterns("tokenizer*"))
    assert load("bert").tokenizer is None


@pytest.mark.filterwarnings("ignore")
def test_weights_that_are_not_in_the_files_are_said(zoo: Path, own: Path) -> None:
    shutil.copytree(zoo / "bert", "bert")
    config = json.loads(Path("bert/config.json").read_text())
    Path("bert/config.json").write_text(json.dumps({**config, "architectures": ["BertForMaskedLM"]}))
    assert "tensors are not in its files and are random: cls." in load("bert").notes[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model.safetensors", "xx", "bert cannot be loaded: "),
        ("config.json", "{", "bert cannot be loaded: "),
        ("config.json", '{"model_type": "no-such"}', "bert cannot be loaded: "),
        ("config.json", '{"auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.M"}, "model_type": "evil"}',
         "bert needs custom Python code from the Hub, which reslab does not run"),
    ],
)  # fmt: skip
def test_a_damaged_folder_of_hugging_faces_is_one_sentence(
    file: str, content: str, said: str, zoo: Path, own: Path
) -> None:
    shutil.copytree(zoo / "bert", "bert")
    Path("bert/evil.py").write_text("raise SystemExit('code of a stranger ran')")
    Path("bert", file).write_text(content)
    with pytest.raises(ReslabError) as caught:
        load("bert")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "options", "said"),
    [
        ("", {}, "an empty word names no model"),
        (
            "runs/min",
            {},
            "checkpoint file or Hugging Face folder named 'runs/min'; did you mean runs/mine?",
        ),
        ("resnet20", {}, "folder named 'resnet20'; did you mean net:resnet20?"),
        ("resnet51", {}, "folder named 'resnet51'; on the Hugging Face Hub: hf:resnet51"),
        ("wide_resnet50_2", {}, "named 'wide_resnet50_2'; in timm or torchvision: timm:wide_resnet50_2"),
        ("hf:", {}, "hf: is not a name on the Hugging Face Hub; write hf:NAME or hf:OWNER/NAME"),
        ("hf:..", {}, "hf:.. is not a name on the Hugging Face Hub"),
        ("hf:/etc", {}, "hf:/etc is not a name on the Hugging Face Hub"),
        ("hf:a/b/c", {}, "hf:a/b/c is not a name on the Hugging Face Hub"),
        ("hf:a..b", {}, "hf:a..b is not a name on the Hugging Face Hub"),
        ("hf:runs", {}, "hf:runs is also a file or folder here, which would be read instead"),
        ("timm:hf-hub:timm/resnet18", {}, "timm:hf-hub:timm/resnet18 is not a model's name; write timm:NAME, such as"),
        ("timm:local-dir:/etc", {}, "timm:local-dir:/etc is not a model's name"),
        ("timm:../resnet18", {}, "timm:../resnet18 is not a model's name"),
        ("torchvision:a/b", {}, "torchvision:a/b is not a model's name; write torchvision:NAME"),
        ("own.py:leaves", {}, "own.py, line 34: it called sys.exit(3) instead of returning a model"),
        ("net:resnet21", {}, "no net named 'resnet21'"),
        ("runs", {}, "runs is not a run but contains runs; name one, such as runs/mine"),
        (".", {}, ". is neither a run folder (no spec.json) nor a Hugging Face model (no config.json)"),
        ("runs/mine", {"net": "resnet8"}, "net names the net of a checkpoint file, and runs/mine is none"),
        ("runs/mine", {"options": {"shortcut": "B"}}, "shortcut can only be changed in reslab's own nets"),
        ("w.pt", {}, 'w.pt: name its net, such as net="resnet8" (it looks like resnet8)'),
        ("w.pt", {"net": "resnet20"}, "the checkpoint is not of this net"),
        ("w.pt", {"net": "resnet8", "weights": False}, "for random initialization, use net:resnet8"),
        ("own.py", {}, "own.py: say which of its functions returns the model, such as own.py:make"),
        ("own.py:exampel", {}, "own.py has no function 'exampel'; did you mean 'example'?"),
        (
            "own.py:nothing",
            {},
            "own.py:nothing returns dict; return the model (an nn.Module), or (model, example input), or (model, ",
        ),
        ("own.py:quad", {}, "own.py:quad returns a tuple of 4; return the model (an nn.Module), or (model, example"),
        ("own.py:swapped", {}, "own.py:swapped returns a tuple of 2 that begins with Tensor; return the model"),
        ("own.py:void", {}, "own.py:void returns an empty list; return the model"),
        ("own.py:breaks", {}, "own.py, line 25: ZeroDivisionError: division by zero"),
        ("gone.py:make", {}, "gone.py: no such file"),
    ],
)
def test_a_word_that_names_no_model_is_one_sentence(word: str, options: dict[str, Any], said: str, own: Path) -> None:
    make_run("runs/mine")
    torch.save(reslab.net("resnet8").state_dict(), "w.pt")
    with pytest.raises(ReslabError) as caught:
        load(word, **options)
    assert said in str(caught.value)


@pytest.mark.parametrize("fault", ["ImportError('none')", "RuntimeError('operator torchvision::nms does not exist')"])
@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_that_is_not_there_or_broken(
    library: str, fault: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(f"{library}.py").write_text(f"raise {fault}")
    monkeypatch.syspath_prepend(str(own))
    monkeypatch.delitem(sys.modules, library, raising=False)
    reason = fault[fault.index("(") + 2 : -2]
    said = rf"{library}:resnet18 needs {library}, which is installed but cannot be imported \({reason}"
    with pytest.raises(ReslabError, match=said):
        foreign.zoo(library, "resnet18", None)


def test_transformers_are_an_extra(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    Path("theirs").mkdir()
    Path("theirs/config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"theirs is a Hugging Face .* transformers: pip install 'reslab\[text\]'"):
        load("theirs")


def test_a_model_leaves_torch_and_python_as_they_were(own: Path) -> None:
    """reslab.model: the random state of torch, sys.path and sys.modules."""
    Path("neighbor.py").write_text("from dataclasses import dataclass\nfrom torch import nn\nWIDTH = 5\n")
    Path("mine.py").write_text(
        "from __future__ import annotations\nimport torch\nfrom dataclasses import dataclass\nimport neighbor\n"
        "@dataclass\nclass Size:\n    width: int = neighbor.WIDTH\n"
        "def make():\n    torch.rand(3)\n    return neighbor.nn.Linear(Size().width, 2)\n"
    )
    state, path, modules = torch.get_rng_state(), list(sys.path), set(sys.modules)
    assert reslab.model("mine.py:make").in_features == 5
    reslab.model("net:resnet8")
    assert torch.get_rng_state().equal(state)
    assert sys.path == path
    assert not {"mine", "neighbor"} & (set(sys.modules) - modules)


def test_only_the_generator_of_the_cpu_is_seeded(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With several GPUs torch would warn, and read the state of each; the weights are those of manual_seed."""
    make_run("runs/mine")
    torch.manual_seed(1)
    known = reslab.net("resnet8").head.weight
    began = load("runs/mine", weights=False).model.head.weight
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("get_rng_state", "set_rng_state", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, lambda *given, name=name: pytest.fail(f"{name} was called"))
    assert reslab.model("net:resnet8", seed=1).head.weight.equal(known)
    assert reslab.model("runs/mine", weights=False).head.weight.equal(began)


def test_the_notes_of_a_checkpoint_leave_out_its_warning(own: Path) -> None:
    """It was shown when the file was loaded, in the caller's words."""
    theirs = {"stages.0.0.branch.": "layer1.0.", "head.": "linear."}  # akamaster's names, which say how zeros are added
    state = reslab.net("resnet8").state_dict()
    for ours, name in theirs.items():
        state = {key.replace(ours, name): tensor for key, tensor in state.items()}
    torch.save(state, "w.pt")
    with pytest.warns(UserWarning, match="akamaster's, whose shortcut A pads on both sides"):
        found = load("w.pt", net="resnet8")
    assert found.notes == ("37 tensors matched by order and shape",)


def test_two_folders_with_modules_of_one_name(own: Path) -> None:
    for folder, width in (("a", 3), ("b", 4)):
        Path(folder).mkdir()
        Path(folder, "shape.py").write_text(f"WIDTH = {width}")
        Path(folder, "net.py").write_text(
            "import shape\nfrom torch import nn\nmake = lambda: nn.Linear(shape.WIDTH, 1)"
        )
    assert [reslab.model(f"{folder}/net.py:make").in_features for folder in "ab"] == [3, 4]


def test_model_takes_every_kind_of_word(own: Path, zoo: Path) -> None:
    """A run, a checkpoint, a net of reslab's, a Hugging Face folder, your own file."""
    run = make_run("runs/mine")
    assert (reslab.model("runs/mine").head.bias == 1).all()
    assert not (reslab.model("runs/mine", weights=False).head.bias == 1).any()
    torch.save(reslab.net("resnet8").state_dict(), "w.pt")
    assert reslab.model("w.pt", net="resnet8").spec.name == "resnet8"
    assert reslab.model(str(run.path("weights.safetensors"))).spec.size == 8
    assert reslab.model("net:resnet8", shortcut="B").spec.shortcut == "B"
    one, two, other = (reslab.model("net:resnet8", seed=seed).head.weight for seed in (1, 1, 2))
    assert one.equal(two)
    assert not one.equal(other)
    assert type(reslab.model(str(zoo / "bert"))).__name__ == "BertModel"
    assert type(reslab.model("own.py:bare")).__name__ == "Turn"


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_model_takes_the_names_of_other_libraries(library: str) -> None:
    peer(library)
    found = load(f"{library}:resnet18")
    assert (found.kind, found.shape, found.initial) == ("images", (3, 224, 224), True)
    assert sum(p.numel() for p in reslab.model(f"{library}:resnet18").parameters()) == 11_689_512  # facts.md, option B
    with pytest.raises(UsageError, match=f"{library} has no model 'renset18'; did you mean 'resnet18'"):
        load(f"{library}:renset18")


@pytest.mark.parametrize("what", [5, None, ["x"], b"x"])
def test_what_is_no_word_is_one_sentence(what: Any) -> None:
    with pytest.raises(UsageError, match=r"^a model's word must be a string such as 'runs/cifar' or .*, got "):
        reslab.model(what)
    with pytest.raises(UsageError, match=r"^a run folder or checkpoint file must be a path such as 'runs/cifar', got "):
        reslab.load(what)
