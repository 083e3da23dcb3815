"""A training on images that starts from a run, a file or a library's weights: head, classes, normalization, reading."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from models import peer
from quick import QUICK
from safetensors.torch import load_file, save_file
from strangers import mine

from reslab import nets
from reslab.errors import ReslabError, UsageError
from reslab.images.data import ImageData, Pixels, load
from reslab.images.data.images import fingerprint
from reslab.images.start import Facts, facts_of, fits_channels, in_channels, net_of, report_normalization, resized_like
from reslab.images.train import load_stored, prepare, train
from reslab.nets import hub, pretrained
from reslab.run import Run
from reslab.train.recipe import change
from reslab.train.signals import Interrupted

__all__ = ["mine"]
B = nets.spec("resnet8", shortcut="B")
STILL: dict[str, Any] = {"iterations": 1, "lr": 1e-30, "weight_decay": 0.0}
Started = Callable[..., Run]


@pytest.fixture
def started(tmp_path: Path, few: ImageData) -> Started:
    def make(name: str, start: Any = None, data: ImageData = few, net: Any = "resnet8", **changes: Any) -> Run:
        spec = nets.spec(net) if isinstance(net, str) else net
        return prepare(
            tmp_path / name, net=spec, data=data, word="digits", recipe=change(QUICK, **changes), start=start
        )

    return make


def load_for(word: str, net: Any, facts: Any, options: dict[str, Any]) -> tuple[ImageData, dict[str, Any]]:
    """As `images.setup` does."""
    options = resized_like(facts, word, options)
    return in_channels(load(word, **options), net, facts, options)


def trained(run: Run, data: ImageData) -> Run:
    train(run.folder, data=data, device="cpu")
    return run


def named(data: ImageData, classes: str) -> ImageData:
    """The same images, whose classes have other names, in this order."""
    return replace(data, classes=tuple(classes), fingerprint=fingerprint(data.train, data.test, classes=classes))


def tensors(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.path("weights.safetensors"))


def test_the_head_follows_the_names_of_the_classes(started: Started, few: ImageData) -> None:
    """The same classes: kept; in another order: its rows move along; others: new."""
    other = trained(started("other"), few)
    turned = few.relabeled(tuple("jihgfedcba"))
    for data, name, head in (
        (few, "same", "kept"),
        (turned, "turned", "reordered"),
        (named(few, "klmnopqrst"), "k", "new"),
    ):
        run = trained(started(name, other.folder, data, **STILL), data)
        about, a, b = run.read_json("start.json"), tensors(run), tensors(other)
        assert about["head"] == head
        assert about["loaded"] + len(about["new"]) == 37  # tensors of ResNet-8 without the counts of batches
        assert torch.equal(a["stages.2.0.branch.conv2.weight"], b["stages.2.0.branch.conv2.weight"])
        if head == "reordered":
            assert torch.equal(a["head.weight"], b["head.weight"].flip(0))
        else:
            assert torch.equal(a["head.weight"], b["head.weight"]) == (head == "kept")
    assert about["new"] == about["skipped"] == ["head.weight", "head.bias"]


def test_a_file_of_other_classes(
    started: Started, few: ImageData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its names are not ours, so it is matched by order; what was taken over is reported and stored."""
    other = nets.build(replace(B, classes=4, channels=1)).state_dict()
    state = {f"module.{name.replace('head', 'out').replace('stem', 'first')}": other[name] for name in other}
    torch.save({"state_dict": state}, tmp_path / "w.pt")
    with caplog.at_level("INFO", logger="reslab"):
        run = started("run", tmp_path / "w.pt", net=B, **STILL)
    assert caplog.messages[0] == (
        f"weights of {tmp_path / 'w.pt'}: 45 tensors loaded by order and shape; skipped: out.weight, out.bias; new: "
        "head.weight, head.bias; head: new, as the classes are others")  # fmt: skip
    about = run.read_json("start.json")
    assert (about["loaded"], about["mean"], about["classes"], about["assumed"]) == (45, None, None, False)
    trained(run, few)
    assert torch.equal(tensors(run)["stem.conv.weight"], state["module.first.conv.weight"])


def test_stopped_and_resumed_is_bit_identical(
    started: Started, few: ImageData, mine: Path, same_end: Any, stopped_after: Any
) -> None:
    word = f"{mine}:asked"
    other = trained(started("other", None, named(few, "klmnopqrst"), word, iterations=2), named(few, "klmnopqrst"))
    whole, broken = (started(name, other.folder, net=word, mean="weights") for name in ("whole", "broken"))
    trained(whole, few)
    with stopped_after(5), pytest.raises(Interrupted):
        trained(broken, few)
    trained(broken, few)
    same_end(whole, broken)
    assert whole.read_json("normalize.json") == other.read_json("normalize.json")


def test_a_head_without_names_is_tried(started: Started, few: ImageData, tmp_path: Path, caplog: Any) -> None:
    """The head of the same classes in the same order is kept; one in another order is no better than chance, so new."""
    trained(started("other", iterations=60, lr=0.1), few)
    state = load_file(tmp_path / "other" / "weights.safetensors")
    for name, order in (("kept", range(10)), ("new", [*range(1, 10), 0])):
        mixed = {key: tensor[list(order)] if key.startswith("head") else tensor for key, tensor in state.items()}
        save_file(mixed, tmp_path / f"{name}.safetensors")
        caplog.clear()
        with caplog.at_level("INFO", logger="reslab"):
            run = started(name, tmp_path / f"{name}.safetensors")
        assert run.read_json("start.json")["head"] == name
        assert re.search(rf"head: {name}: its classes have no names, .* errs on \d+\.\d % of 80 training images",
                         caplog.messages[0])  # fmt: skip


def test_a_run_s_normalization_travels(started: Started, few: ImageData) -> None:
    bright = replace(few, train=replace(few.train, pixels=few.train.pixels // 2 + 100), fingerprint="0" * 64)
    other = trained(started("other", data=bright, iterations=1), bright)
    same, measured = (trained(started(name, other.folder, mean=mean, **STILL), few)
                      for name, mean in (("same", "weights"), ("measured", "pixel")))  # fmt: skip
    assert same.read_json("normalize.json") == other.read_json("normalize.json")
    assert measured.read_json("normalize.json") != other.read_json("normalize.json")
    with pytest.raises(UsageError, match=r'^mean="weights" takes the normalization of the weights'):
        started("none", mean="weights")


def test_a_file_that_says_nothing(
    started: Started, few: ImageData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of RGB images: ImageNet's numbers, which the output calls assumed; of gray ones the recipe must decide."""
    for channels in (1, 3):
        save_file(
            nets.net("resnet8", classes=4, channels=channels, shortcut="B").state_dict(),
            tmp_path / f"{channels}.safetensors",
        )
    with caplog.at_level("INFO", logger="reslab"):
        run = started(
            "run",
            tmp_path / "3.safetensors",
            few.as_rgb(),
            net=B,
            mean="weights",
            **STILL,
        )
    assert caplog.messages[-1] == (
        "normalization: ImageNet's, which is assumed, as the weights do not say (mean and std 0.485 0.456 0.406, "
        "0.229 0.224 0.225)"
    )
    assert run.read_json("start.json")["assumed"] is True
    trained(run, few.as_rgb())
    assert [row[0][0] for row in run.read_json("normalize.json")["mean"]] == pytest.approx([0.485, 0.456, 0.406])
    with pytest.raises(UsageError, match="does not say how its images were normalized; choose mean="):
        started("gray", tmp_path / "1.safetensors", net=B, mean="weights")
    with pytest.raises(UsageError, match=r"is for images with 3 channels, but few has 1: read them with rgb=True"):
        started("gray", tmp_path / "3.safetensors", net=B)
    with pytest.raises(UsageError, match="for which no library offers pretrained weights"):
        started("gray", "default")
    assert not (tmp_path / "gray").exists()


def test_gray_images_are_read_as_rgb(started: Started, few: ImageData, mine: Path, pngs: Path, tmp_path: Path) -> None:
    """For weights of RGB images, and for a net that takes nothing else; a run then reads its data in the same way."""
    save_file(nets.net("resnet8", shortcut="B").state_dict(), tmp_path / "3.safetensors")
    spec = B
    for net, start in ((spec, tmp_path / "3.safetensors"), (nets.spec(f"{mine}:rgb"), None)):
        data, options = load_for(str(pngs), net, facts_of(start, net) if start else None, {})
        assert (data.shape, options) == ((3, 8, 8), {"rgb": True})
        assert isinstance(data.train, Pixels)
        assert torch.equal(data.train.pixels[:, 0], data.train.pixels[:, 2])
        run = prepare(tmp_path / net.name, net=net, data=data, word=str(pngs), recipe=change(QUICK, **STILL),
                      options=options, start=start)  # fmt: skip
        trained(run, data)
        assert load_stored(run).fingerprint == data.fingerprint
    assert load_for(str(pngs), nets.spec(f"{mine}:asked"), None, {})[1] == {}
    gray = facts_of(trained(started("gray", **STILL), few).folder, spec)
    with pytest.raises(UsageError, match=r"is for gray images, but .* has RGB images"):
        load_for(str(pngs), spec, gray, {"rgb": True})


def test_interpolation_travels(started: Started, pngs: Path, few: ImageData, tmp_path: Path) -> None:
    """Decoded in memory and from files alike, in a run's own data and in others read like them."""
    plain = load(str(pngs), size=6)
    cubic, files = (
        load(str(pngs), size=6, interpolation="bicubic"),
        load(str(pngs), size=6, interpolation="bicubic", memory=0),
    )
    assert isinstance(plain.train, Pixels)
    assert isinstance(cubic.train, Pixels)
    assert not torch.equal(plain.train.pixels, cubic.train.pixels)
    assert torch.equal(cubic.train.pixels[3], files.train.pixels(3))
    run = prepare(tmp_path / "run", net=nets.spec("resnet8"), data=cubic, word=str(pngs), recipe=change(QUICK, **STILL),
                  options={"size": 6, "interpolation": "bicubic"})  # fmt: skip
    assert load_stored(run).fingerprint == cubic.fingerprint
    trained(run, cubic)
    facts = facts_of(run.folder, nets.spec("resnet8"))
    assert load_for(str(pngs), nets.spec("resnet8"), facts, {"size": 6})[1] == {"size": 6, "interpolation": "bicubic"}
    assert load_for("digits", nets.spec("resnet8"), facts, {})[1] == {}
    assert net_of(run.folder) == nets.read_spec(run)
    with pytest.raises(UsageError, match="interpolation must be bilinear or bicubic, got 'cubic'"):
        load(str(pngs), interpolation="cubic")


def test_other_settings_are_another_run(started: Started, few: ImageData) -> None:
    """A warm start with more epochs leaves the old run alone."""
    other = trained(started("other", iterations=2), few)
    before = other.path("weights.safetensors").read_bytes()
    with pytest.raises(UsageError, match="iterations: 2 there, 4 requested"):
        started("other", iterations=4)
    with pytest.raises(UsageError, match=r"start: none there, [0-9a-f]{16} requested"):
        started("other", other.folder, iterations=2)
    trained(started("longer", other.folder, iterations=4), few)
    assert other.path("weights.safetensors").read_bytes() == before


def test_damage_is_noticed(started: Started, few: ImageData) -> None:
    other = trained(started("other", **STILL), few)
    run = started("run", other.folder)
    run.write_json("start.json", {**run.read_json("start.json"), "new": ["other.weight"]})
    with pytest.raises(ReslabError, match=r"start.safetensors is damaged: its tensors are not those that start.json"):
        trained(run, few)


def test_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that cannot be reached is not asked by the libraries, which would try for minutes."""
    monkeypatch.setattr(hub.urllib.request, "urlopen", lambda *a, **k: (_ for _ in ()).throw(OSError("no route")))
    with pytest.raises(ReslabError) as caught, pretrained.fetching("timm:x", "https://huggingface.co/x", ready=False):
        raise AssertionError
    assert str(caught.value) == (
        "the pretrained weights of timm:x are not in the cache, and huggingface.co cannot be "
        "reached (no route); on a machine with a network they can be saved to a file, which start takes"
    )
    said = "could not load the pretrained weights of timm:x: HTTP 500; on a machine"
    with pytest.raises(ReslabError, match=said), pretrained.fetching("timm:x", "https://huggingface.co", ready=True):
        raise RuntimeError("HTTP 500")


@pytest.mark.filterwarnings("ignore")
def test_the_weights_of_a_hugging_face_folder(started: Started, few: ImageData, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    names = dict(enumerate("abcdefghij"))
    config = transformers.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                                    image_size=8, patch_size=4, num_channels=1, id2label=names)  # fmt: skip
    model = transformers.ViTForImageClassification(config)
    model.save_pretrained(tmp_path / "vit")
    about = {"image_processor_type": "ViTImageProcessor", "do_normalize": True, "image_mean": [0.25],
             "image_std": [0.5], "resample": 3}  # fmt: skip
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(about))
    spec = nets.spec(str(tmp_path / "vit"))
    facts = facts_of("default", spec)
    assert (facts.interpolation, facts.classes, facts.channels) == ("bicubic", tuple("abcdefghij"), 1)
    run = trained(started("run", "default", net=spec, mean="weights", **STILL), few)
    assert run.read_json("normalize.json") == {"mean": [[[0.25]]], "std": [[[0.5]]]}
    assert run.read_json("start.json")["head"] == "kept"
    assert torch.equal(tensors(run)["classifier.weight"], model.classifier.weight)
    other = trained(started("other", "default", named(few, "klmnopqrst"), spec, **STILL), named(few, "klmnopqrst"))
    assert other.read_json("start.json")["new"] == ["classifier.weight", "classifier.bias"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("word", "interpolation"), [("timm:resnet18", "bicubic"), ("torchvision:resnet18", "bilinear")]
)
def test_random_weights_of_a_library_in_a_file(
    word: str, interpolation: str, started: Started, few: ImageData, tmp_path: Path
) -> None:
    """The whole road: into their own net and into ours by the map of names; a library's facts without its weights."""
    peer(word.partition(":")[0])
    spec = nets.spec(word)
    facts = facts_of("default", spec)
    assert facts.interpolation == interpolation
    assert facts.normalize is not None
    assert facts.normalize.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    torch.save(nets.build(replace(spec, classes=1000)).state_dict(), tmp_path / "w.pth")
    pixels = [Pixels(pixels=part.pixels.repeat(1, 3, 4, 4), labels=part.labels) for part in (few.train, few.test)]
    data = replace(few, train=pixels[0], test=pixels[1], shape=(3, 32, 32))
    for net in (spec, nets.spec("resnet18")):
        run = trained(started(net.name, tmp_path / "w.pth", data, net, mean="weights", **STILL), data)
        about = run.read_json("start.json")
        assert (about["skipped"], len(about["new"]), about["loaded"]) == (["fc.weight", "fc.bias"], 2, 100)


def test_imagenet_s_numbers_are_not_assumed_for_gray_images(few: ImageData, tmp_path: Path) -> None:
    """Weights without a convolution do not show how many channels they take."""
    file = tmp_path / "w.safetensors"
    save_file({"linear.weight": torch.zeros(3, 64)}, file)
    assert facts_of(file, B).assumed
    with pytest.raises(UsageError, match=r"w\.safetensors does not say how its images were normalized; choose mean="):
        report_normalization(fits_channels(facts_of(file, B), replace(B, channels=1)), replace(B, channels=1),
                             change(QUICK, mean="weights"))  # fmt: skip
    assert fits_channels(facts_of(file, B), B).assumed


def test_an_interpolation_that_is_not_available_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    facts = Facts(word="default", of="timm:x, pretrained", interpolation="lanczos")
    with caplog.at_level("INFO", logger="reslab"):
        assert resized_like(facts, "photos", {}) == {}
        resized_like(facts, "digits", {})
        resized_like(facts, "photos", {"interpolation": "bicubic"})
        resized_like(replace(facts, interpolation="bilinear"), "photos", {})
    assert caplog.messages == [
        "timm:x, pretrained expects images resized with lanczos interpolation, which is not available; bilinear is used"
    ]


def test_a_resume_finds_the_residual_connections_in_the_same_weights(
    started: Started, few: ImageData, monkeypatch: pytest.MonkeyPatch, stopped_after: Any, mine: Path
) -> None:
    """Which can be disabled is measured on the weights to start from, also when a checkpoint will replace them."""
    from reslab.train import depth

    seen: list[torch.Tensor] = []
    find = depth.merges_of

    def merges_of(net: Any, example: Any) -> Any:
        seen.append(next(net.parameters()).detach().clone())
        return find(net, example)

    monkeypatch.setattr(depth, "merges_of", merges_of)
    word = f"{mine}:asked"
    other = trained(started("other", None, few, word, iterations=2), few)
    run = started("run", other.folder, net=word, stochastic_depth=0.5)
    with stopped_after(5), pytest.raises(Interrupted):
        trained(run, few)
    trained(run, few)
    assert len(seen) == 2
    assert torch.equal(seen[0], seen[1])
