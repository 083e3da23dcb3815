"""An exported folder on the Hub: its own files, sealed again, with metadata and without private paths."""

import json
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

import reslab
from reslab.errors import ReslabError, UsageError
from reslab.nets.published import local
from reslab.ship import publish, read_config
from reslab.ship.folder import seal, verify, write_config
from reslab.ship.hub.upload import difference
from reslab.ship.record import Config, Port


def write_proof(folder: Path, where: str) -> None:
    """90 of 100 right before the export, 88 after."""
    score = {"unit": "accuracy", "n": 100, "before": 90.0, "before_low": 83.0, "before_high": 95.0, "after": 88.0,
             "after_low": 80.0, "after_high": 93.0, "drop": 2.0, "drop_low": 0.0, "drop_high": 4.0}  # fmt: skip
    proof = {"precision": "int8", "where": where, "random": False, "agreements": [], "other_lengths": "",
             "score": score, "int8_layers": 3, "put_back": 0}  # fmt: skip
    (folder / "proof.json").write_text(json.dumps(
        {"precision": "int8", "proofs": [proof], "speeds": [], "refused": {}, "max_drop": 5.0}))  # fmt: skip


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """As `reslab export` writes it, with a graph of no meaning, a note of the user's beside, and private paths."""
    folder = tmp_path / "home" / "shipped"
    folder.mkdir(parents=True)
    write_config(folder, Config(
        kind="images", engine="openvino", precision="int8", name="birds", word=str(tmp_path / "home" / "birds"),
        files=("model.xml",), inputs=(Port(name="images", dtype="uint8", shape=(None, 32, 32, 3)),),
        outputs=(Port(name="scores", dtype="float32", shape=(None, 2)),), license="unknown",
        about={"classes": ["hen", "/m/owl"]},
    ))  # fmt: skip
    (folder / "model.xml").write_text("<net/>")
    (folder / "model.bin").write_bytes(b"12")
    (folder / "README.md").write_text(f"---\nold: true\n---\n\n# birds\n\nExported from {tmp_path}/home/birds.\n")
    write_proof(folder, f"validation images of {tmp_path}/photos")
    (folder / "LICENSE").write_text("License of the weights: unknown\n")
    seal(folder)
    (folder / "diary.txt").write_text("mine")
    return folder


def test_its_files_are_published_and_sealed_again(exported: Path, tmp_path: Path) -> None:
    found = publish(exported, out=tmp_path / "out", license="Apache-2.0")
    assert sorted(found.files) == ["LICENSE", "README.md", "checksums.json", "config.json", "model.bin", "model.xml",
                                   "proof.json"]  # fmt: skip
    assert (tmp_path / "out" / "LICENSE").read_text() == "License of the weights: Apache-2.0\n"
    assert "left out, as checksums.json does not list them: diary.txt" in found.notes
    assert len(verify(tmp_path / "out")) == 64
    config = read_config(tmp_path / "out")
    assert (config.word, config.license, config.about) == ("birds", "Apache-2.0", {"classes": ["hen", "/m/owl"]})
    for name in ("README.md", "config.json", "proof.json"):
        assert str(tmp_path) not in (tmp_path / "out" / name).read_text()
    card = ModelCard.load(tmp_path / "out" / "README.md")
    found_data = card.data.to_dict()
    (result,) = found_data.pop("model-index")[0]["results"]
    assert result["dataset"] == {"name": "validation images of photos", "type": "validation-images-of-photos"}
    assert [(one["type"], one["value"]) for one in result["metrics"]] == [("accuracy", 88.0)]  # of what is published
    assert found_data == {"library_name": "reslab", "pipeline_tag": "image-classification", "license": "apache-2.0",
                          "tags": ["reslab", "residual-network", "openvino", "int8"],
                          "metrics": ["accuracy"]}  # fmt: skip
    assert card.text.strip() == "# birds\n\nExported from birds."


@pytest.mark.parametrize(("target", "task"), [("numbers", "tabular-regression"), ("labels", "tabular-classification")])
def test_a_net_for_tables_is_for_the_task_of_its_target(tmp_path: Path, target: str, task: str) -> None:
    folder = tmp_path / "shipped"
    (folder / "s0").mkdir(parents=True)
    write_config(folder, Config(
        kind="tables", engine="openvino", precision="fp32", name="flats", word="flats", files=("s0/model.xml",),
        inputs=(Port(name="numbers", dtype="float32", shape=(None, 3, 2)),), license="unknown",
        outputs=(Port(name="scores", dtype="float32", shape=(None, 1)),),
        about={"members": ["s0"], "target": ["rent"], "fields": []},
    ))  # fmt: skip
    for name in ("s0/model.xml", "s0/model.bin"):
        (folder / name).write_text("")
    (folder / "s0" / "target.json").write_text(json.dumps({"kind": target, "outputs": 1}))
    seal(folder)
    publish(folder, out=tmp_path / "out")
    assert ModelCard.load(tmp_path / "out" / "README.md").data.pipeline_tag == task
    assert read_config(tmp_path / "out").about["target"] == ["rent"]


def test_it_is_found_by_its_word_and_has_no_net(exported: Path, tmp_path: Path) -> None:
    publish(exported, out=tmp_path / "out")
    assert local(f"hf:{tmp_path / 'out'}") == tmp_path / "out"
    for word in (f"hf:{tmp_path / 'out'}", str(tmp_path / "out")):
        with pytest.raises(UsageError, match="is an exported folder, which only predicts: `reslab predict "):
            reslab.model(word)


def test_it_predicts_as_before(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    from exported import export_colors

    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    before = reslab.predict(export_colors(tmp_path / "here"))
    publish(tmp_path / "here", out=tmp_path / "out")
    after = reslab.predict(f"hf:{tmp_path / 'out'}")
    assert before(image).values.tolist() == after(image).values.tolist()


def test_a_score_on_training_images_is_no_result(exported: Path, tmp_path: Path) -> None:
    write_proof(exported, "training images of photos: the model has seen them, so its accuracy on them is too high")
    seal(exported)
    publish(exported, out=tmp_path / "out")
    assert "model-index" not in ModelCard.load(tmp_path / "out" / "README.md").data.to_dict()


def test_a_damaged_one_is_refused(exported: Path, tmp_path: Path) -> None:
    (exported / "model.bin").write_bytes(b"13")
    with pytest.raises(ReslabError, match=r"model\.bin was changed or damaged after the export"):
        publish(exported, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_another_model() -> None:
    net = {"reslab_model": 1, "kind": "images", "family": "resnet", "spec": {"name": "a", "classes": 2}}
    shipped = {"reslab_export": 1, "kind": "images", "engine": "onnx", "precision": "fp32"}
    assert difference(net, {**net, "reslab": "9"}) == ""
    assert difference(net, {**net, "spec": {"name": "a", "classes": 3}}) == "its classes is 2, not 3"
    assert difference(shipped, {**shipped, "precision": "int8"}) == "its precision is fp32, not int8"
    assert difference(net, shipped) == "it is not an exported folder, and this one is"
    assert difference(shipped, net) == "it is an exported folder, and this one is not"
