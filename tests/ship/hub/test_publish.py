"""A run as a folder of the Hub: the same outputs to the bit, true numbers, no path of this machine, nothing pickled."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import EvalResult

import reslab
from reslab.errors import ReslabError, UsageError
from reslab.nets import ResNet
from reslab.run import MEMBERS, Run
from reslab.ship import publish
from reslab.stored.digest import check_tensors

FOLDERS = Path(__file__).parents[2] / "golden" / "folders"


def texts_of(folder: Path) -> dict[str, str]:
    """Every text file of a folder, by name."""
    return {path.relative_to(folder).as_posix(): path.read_text()
            for path in folder.rglob("*") if path.suffix in (".json", ".md", ".toml")}  # fmt: skip


@pytest.mark.parametrize("word", ["hf:{}", "{}"])
def test_images_come_back_to_the_bit(images: Path, pixels: list[np.ndarray], tmp_path: Path, word: str) -> None:
    found = publish(images, out=tmp_path / "out", license="MIT")
    assert sorted(found.files) == ["README.md", "config.json", "data.json", "model.safetensors", "normalize.json",
                                   "recipe.toml", "results/train.json"]  # fmt: skip
    assert found.size == sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    shutil.move(images, tmp_path / "gone")  # nothing is read from where it was
    before, after = reslab.load(tmp_path / "gone"), reslab.load(word.format(tmp_path / "out"))
    x = torch.randn(4, 3, 32, 32)
    assert float((before(x) - after(x)).detach().abs().max()) == 0.0
    assert after.classes == ("hen", "/m/01yrx", "owl")  # a class's name that looks like a path is no path
    old, new = before.predict(pixels), after.predict(pixels)
    assert [one.values.tolist() for one in old] == [one.values.tolist() for one in new]
    assert new.calibration == "calibrated: temperature 1.50, fitted on 20 validation images"
    assert reslab.model(word.format(tmp_path / "out")).spec == before.spec
    assert check_tensors(tmp_path / "out" / "model.safetensors")


def test_no_path_of_this_machine_is_published(images: Path, questions: Path, tmp_path: Path) -> None:
    for folder in (images, questions):
        out = tmp_path / f"out-{folder.name}"
        publish(folder, out=out)
        for name, text in texts_of(out).items():
            assert str(tmp_path) not in text, name
            assert "secret" not in text, name
        assert str(tmp_path).encode() not in (out / "model.safetensors").read_bytes()
    told = json.loads((tmp_path / "out-birds" / "data.json").read_text())
    assert (told["word"], told["about"]) == ("photos", "Images of photos, unchanged.")
    assert (tmp_path / "out-birds" / "recipe.toml").read_text() == "batch = 32\nseed = 4\n"
    assert json.loads((tmp_path / "out-reader" / "config.json").read_text())["spec"]["encoder"] == "bert"


def test_a_reader_answers_alike(questions: Path, tmp_path: Path) -> None:
    publish(questions, out=tmp_path / "out")
    shutil.move(questions, tmp_path / "gone")
    shutil.rmtree(tmp_path / "bert")
    before, after = reslab.load(tmp_path / "gone"), reslab.load(f"hf:{tmp_path / 'out'}")
    asked = ("Where was Ada born?", "Ada was born in Rome in 1817. Later Ada went away.")
    assert before.ask(*asked) == after.ask(*asked)  # type: ignore[attr-defined]
    assert ModelCard.load(tmp_path / "out" / "README.md").data.to_dict()["pipeline_tag"] == "question-answering"


def test_tables_and_several_nets_predict_alike(tables: Path, several: Path, tmp_path: Path) -> None:
    rows = str(FOLDERS.parents[2] / "docs" / "examples" / "rooms.csv")
    each = []
    for folder in (tables, several):
        out = tmp_path / f"out-{folder.name}"
        publish(folder, out=out)
        with pytest.warns(match="not in the training table"):
            before, after = (reslab.tables.load(one).predict_proba(rows) for one in (folder, f"hf:{out}"))
        np.testing.assert_array_equal(before, after)
        each.append(after)
    assert np.abs(each[0] - each[1]).max() > 0.001  # the second net counts
    assert json.loads((tmp_path / "out-both" / MEMBERS).read_text())["members"] == ["s0", "s1"]


def test_the_encoder_of_a_tables_texts_goes_along(bert: tuple[Path, Any], tmp_path: Path) -> None:
    rows = {"text": ["a red hen", "a blue owl"] * 20, "n": list(range(40)), "y": ["a", "b", "b", "a"] * 10}
    table = {key: rows[key] for key in ("text", "n")}
    model = reslab.tables.ResidualClassifier(
        text=str(bert[0]), sizes={"depth": 1, "width": 8, "inner": 8}, recipe={"iterations": 2}, device="cpu",
        random_state=0, kinds={"text": "text"},
    ).fit(table, rows["y"])  # fmt: skip
    model.model_.save(tmp_path / "run")
    publish(tmp_path / "run", out=tmp_path / "out")
    before = reslab.tables.load(tmp_path / "run").predict_proba(table)
    shutil.rmtree(bert[0])
    np.testing.assert_array_equal(before, reslab.tables.load(tmp_path / "out").predict_proba(table))
    assert all(str(tmp_path) not in text for text in texts_of(tmp_path / "out").values())


def test_the_card_holds_the_runs_true_numbers(images: Path, tmp_path: Path) -> None:
    """45 of 50 right: Wilson's interval is 78.64 to 95.65 %, by hand."""
    publish(images, out=tmp_path / "out", name="birds", license="GPL-3.0-only")
    card = ModelCard.load(tmp_path / "out" / "README.md")
    data = card.data
    assert (data.library_name, data.license, data.pipeline_tag) == ("reslab", "gpl-3.0", "image-classification")
    assert data.tags == ["reslab", "residual-network"]
    results = data.eval_results
    assert isinstance(results, list)
    first = results[0]
    assert isinstance(first, EvalResult)
    assert (first.metric_type, first.metric_value, first.dataset_name, first.dataset_split) == (
        "accuracy", 90.0, "photos", "test")  # fmt: skip
    assert [one.metric_value for one in results] == [90.0, 88.0]
    assert "| photos, test part, n = 50 | |" in card.text
    assert "| top-1 accuracy (%) | 90 (95 % interval 78.64 to 95.65) |" in card.text


def test_a_slimmed_model_is_published_from_its_job(images: Path, tmp_path: Path) -> None:
    job = tmp_path / "home" / "slim"
    shutil.copytree(images, job / "model")
    (job / "results").mkdir()
    shutil.copy(FOLDERS / "slimmed" / "results" / "slim.json", job / "results" / "slim.json")
    found = publish(job, out=tmp_path / "out")
    assert found.notes[0] == f"{job} holds several nets: {job / 'model'}, the slimmed one, is taken"
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Slimmed: 2 blocks removed, 90,080 parameters before and 66,720 after." in card
    assert "1.81x as fast as before (95 % interval 1.78 to 1.85; batch 128, cpu, 1 threads, fp32)." in card
    assert '  - "slimmed"' in card


def test_the_mixin_of_huggingface_hub_reads_it(images: Path, tmp_path: Path) -> None:
    from huggingface_hub import PyTorchModelHubMixin

    class Shared(ResNet, PyTorchModelHubMixin):  # type: ignore[misc]
        pass

    publish(images, out=tmp_path / "out")
    theirs, ours = Shared.from_pretrained(str(tmp_path / "out")).eval(), reslab.load(images)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(theirs(x), ours(x))


def test_what_cannot_be_published_is_said(images: Path, tmp_path: Path) -> None:
    for wrong, sentence in (
        ({"license": "my own rules"}, "a license is named as SPDX does"),
        ({"out": images}, "is not an empty folder"),
        ({"out": images / "new"}, "lies in .* which is published"),
    ):
        with pytest.raises(UsageError, match=sentence):
            publish(images, **{"out": tmp_path / "out", **wrong})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no such run folder or exported folder"):
        publish(tmp_path / "nothing", out=tmp_path / "out")
    with pytest.raises(UsageError, match="is neither a run folder"):
        publish(tmp_path / "home", out=tmp_path / "out")
    run = Run(images)
    spec = {**run.read_json("spec.json"), "family": "model", "word": "/home/me/mine.py:make"}
    run.write_json("spec.json", spec)
    with pytest.raises(UsageError, match=r"a net that your file mine\.py builds, and code is not published"):
        publish(images, out=tmp_path / "out")
    run.write_json("spec.json", {"family": "language", "name": "gpt"})
    with pytest.raises(UsageError, match="holds a language model"):
        publish(images, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_run_leaves_nothing_behind(images: Path, tmp_path: Path) -> None:
    weights = images / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ReslabError, match="its content does not match its digest"):
        publish(images, out=tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))
