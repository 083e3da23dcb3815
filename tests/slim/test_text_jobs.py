"""The whole job of `reslab.slim` on a reader and on language models: what it stores loads, and says what it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from text_models import TINY, tiny, trained

import reslab
from reslab.nets.words import load
from reslab.run import Run
from reslab.slim.families.questions import Questions
from reslab.slim.families.small_language import language_model
from reslab.slim.families.texts import Texts
from reslab.slim.job import slim
from reslab.slim.planning import timing

pytest.importorskip("transformers")
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def _few_passes() -> Iterator[None]:
    """The clock is not what is tested here."""
    plain = timing.in_turn

    def quick(models: Any, example: Any, **how: Any) -> list[list[float]]:
        return plain(models, example, **{**how, "rounds": (5, 5), "seconds": 0.1})

    with pytest.MonkeyPatch.context() as patch:
        for name in ("reslab.slim.planning.timing", "reslab.slim.planning.job", "reslab.slim.sizes"):
            patch.setattr(f"{name}.in_turn", quick)
        yield


def test_a_reader(tmp_path: Path, facts: Path) -> None:
    family = Questions(trained(tmp_path / "run", facts), device="cpu")
    found = slim(family, out=tmp_path / "out", remove=2, epochs=1.0)
    assert [arm.what for arm in found.arms] == ["intact", "cut", "healed", "intact-longer", "scratch"]
    assert (found.family, found.measure, found.form, found.generation) == ("questions", "f1", "spec", None)
    assert found.loads == f'reslab.qa.load("{tmp_path / "out" / "model"}")'
    reader = reslab.qa.load(tmp_path / "out" / "model", device="cpu")
    assert reader.net.encoder.depth + len(reader.net.head.layers) == 3 + 2 - 2
    assert slim(family, out=tmp_path / "out", remove=2, epochs=1.0) == found


def test_a_language_model_of_our_own(tmp_path: Path, texts: Path) -> None:
    """The epochs of its first training are known, so a model from nothing gets those of both trainings."""
    first = language_model(tmp_path / "run", str(texts), **{**TINY, "batch": 8})
    family = Texts(str(tmp_path / "run"), str(texts), device="cpu")
    found = slim(family, out=tmp_path / "out", remove=1, epochs=1.0)
    assert [arm.what for arm in found.arms] == ["intact", "cut", "healed", "intact-longer", "scratch"]
    assert found.arms[0].score.value == pytest.approx(first["test_loss"], abs=1e-6)
    assert found.arms[4].epochs == pytest.approx(first["epochs"] + 1, abs=0.7)  # whole batches
    assert found.generation is not None
    assert found.generation["prompts"] == len(family.parts["test"])
    assert load(str(tmp_path / "out" / "model")).model.config.num_hidden_layers == 2


def test_a_masked_model_whose_training_is_not_known(tmp_path: Path, texts: Path) -> None:
    family = Texts(tiny("masked", texts), str(texts), length=16, device="cpu")
    found = slim(family, out=tmp_path / "out", remove=1, epochs=1.0, compare="all")
    assert [arm.what for arm in found.arms] == ["intact", "cut", "healed", "intact-longer"]
    assert any("how tiny was trained is not known" in note for note in found.notes)
    assert found.generation is None
    assert Run(tmp_path / "out" / "model").has("tokenizer.json")
    assert load(str(tmp_path / "out" / "model")).kind == "masked"
