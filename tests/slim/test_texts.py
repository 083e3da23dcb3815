"""Language models: trained from nothing on a few texts, cut, stored for transformers, healed; causal and masked."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from text_models import NAMES, TINY, tiny

from reslab.errors import UsageError
from reslab.nets.words import Loaded, load
from reslab.qa.data.plain import IGNORED
from reslab.qa.data.texts import load_text_data
from reslab.run import Run
from reslab.slim.cutting.transformers import shortened
from reslab.slim.families.language_task import Asking, measured, of_windows
from reslab.slim.families.pairs import pairs_of
from reslab.slim.families.small_language import language_model
from reslab.slim.families.texts import Texts
from reslab.slim.finding import find_blocks
from reslab.slim.healing.distilled import Distillation
from reslab.train.signals import Interrupted
from reslab.train.tune import Choice

transformers = pytest.importorskip("transformers")


def test_a_small_model_resumes_to_the_bit_and_loads_with_transformers(
    texts: Path, tmp_path: Path, stopped_after: Any
) -> None:
    found = language_model(tmp_path / "whole", str(texts), **TINY)
    with stopped_after(2), pytest.raises(Interrupted):
        language_model(tmp_path / "broken", str(texts), **TINY)
    assert language_model(tmp_path / "broken", str(texts), **TINY)["test_loss"] == found["test_loss"]
    ours, theirs = (tmp_path / name / "model" / "model.safetensors" for name in ("whole", "broken"))
    assert ours.read_bytes() == theirs.read_bytes()
    assert language_model(tmp_path / "whole", str(texts), **TINY) == found  # finished: nothing is done
    assert abs(found["test_loss"] - np.log(262)) < 1  # hardly trained: near a uniform guess
    plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "whole" / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "whole" / "model")
    assert tokenizer.decode(tokenizer("eve was born")["input_ids"]) == "eve was born"
    assert plain.config.use_cache
    loaded = load(str(tmp_path / "whole"))
    ids = torch.tensor([tokenizer("eve was born")["input_ids"]])
    with torch.no_grad():
        assert torch.equal(loaded.model(ids).logits, plain(ids, use_cache=False).logits)
    family = Texts(str(tmp_path / "whole"), device="cpu")  # with the run's own texts
    assert family.evaluate(family.model).value == pytest.approx(found["test_loss"], abs=1e-6)
    assert (family.trained_epochs, family.first.lr / family.recipe.lr) == (found["epochs"], 4)


@pytest.mark.parametrize("kind", ["causal", "masked"])
def test_cut_healed_and_saved(kind: str, texts: Path, tmp_path: Path) -> None:
    """The healed net's folder gives the logits of the net that was scored; planned on validation texts alone."""
    family = Texts(tiny(kind, texts), str(texts), length=16, device="cpu", changes={"precision": "fp32", "batch": 4},
                   how=Distillation(features=0.5))  # fmt: skip
    where = "model.layers" if kind == "causal" else "bert.encoder.layer"
    blocks = find_blocks(family.model, family.example)
    assert [block.module for block in blocks.removable] == [f"{where}.{i}" for i in range(3)]
    cut = shortened(family.model, {where: [1]}, example=family.example).model
    assert pairs_of(cut, family.model) == ((f"{where}.0", f"{where}.0"), (f"{where}.1", f"{where}.2"))
    family.save(cut, tmp_path / "cut")
    again = Texts(str(tmp_path / "cut"), str(texts), length=16, device="cpu", changes={"precision": "fp32"})
    assert again.model.config.num_hidden_layers == 2
    assert again.evaluate(again.model) == family.evaluate(cut)
    arm = family.train(tmp_path / "healed", what="healed", net=cut, teacher=family.model, epochs=1, seed=1)
    healed = load(str(tmp_path / "healed"))
    assert family.evaluate(healed.model).value == pytest.approx(arm.score.value, abs=1e-6)
    assert Run(tmp_path / "healed").has("teacher.json")
    assert (arm.what, arm.epochs, arm.run, arm.score.n) == ("healed", 1, "healed", len(family.parts["test"]))
    scratch = family.train(tmp_path / "scratch", what="scratch", net=cut, teacher=None, epochs=1, seed=1)
    assert scratch.score.value != arm.score.value
    (metric,) = family.metrics()
    (given, labels), whole = family.batches()[0], family.model
    with torch.no_grad():
        logits = whole(**given).logits
    asked = labels[0] != IGNORED
    byhand = F.cross_entropy(logits[0][asked], labels[0][asked])
    torch.testing.assert_close(metric(logits, labels, logits)[0], byhand)
    assert set(map(tuple, family.parts["validation"].tolist())).isdisjoint(map(tuple, family.parts["test"].tolist()))


def test_the_loss_of_a_window_counts_its_labels_alone() -> None:
    """Uniform scores cost ln 4 a token, wherever the labels are; the class 0 has the highest score of equal ones."""
    labels = torch.tensor([[0, 1, IGNORED], [2, IGNORED, IGNORED]])
    losses, wrong = of_windows(torch.zeros(2, 3, 4), labels)
    assert losses.tolist() == pytest.approx([np.log(4)] * 2)
    assert wrong.tolist() == [0.5, 1.0]


def test_parts_of_texts(tmp_path: Path, texts: Path) -> None:
    """A text in two files is a test text; what is missing is split off; a lone text cannot be split."""
    data = load_text_data(str(texts))
    assert [len(getattr(data, part)) for part in ("train", "validation", "test")] == [13, 1, 2]
    assert set(data.train).isdisjoint((*data.validation, *data.test))
    folder = tmp_path / "parts"
    folder.mkdir()
    shutil.copy(texts, folder / "train.txt")
    (folder / "dev.txt").write_text(f"{data.train[0]}\n\nanother")
    (folder / "readme.txt").write_text("of no part")
    both = load_text_data(str(folder))
    assert both.test == (data.train[0], "another")
    assert len(both.train) + len(both.validation) == len(NAMES) - 1
    texts.write_text("one text")
    with pytest.raises(UsageError, match="too few to split off a test part"):
        load_text_data(str(texts))
    (folder / "train.txt").unlink()
    with pytest.raises(UsageError, match="no name starts with train"):
        load_text_data(str(folder))


def test_models_and_texts_that_do_not_fit(texts: Path) -> None:
    loaded = tiny("causal", texts)
    texts.write_text("\n\n".join("abcdefghijklmnop"))
    with pytest.raises(UsageError, match=r"part: the texts have \d+ tokens, too few for one window of 32"):
        Texts(loaded, str(texts), length=32, device="cpu")
    with pytest.raises(UsageError, match="tiny needs texts"):
        Texts(loaded)
    with pytest.raises(UsageError, match="tiny is no language model"):
        Texts(Loaded(model=loaded.model, kind="encoder", word="tiny", name="tiny"), str(texts))
    with pytest.raises(UsageError, match="windows of at most 32 tokens"):
        Texts(loaded, str(texts), length=64, device="cpu")
    with pytest.raises(UsageError, match="no mask token"):
        Texts(Loaded(model=loaded.model, kind="masked", word="tiny", name="tiny"), str(texts))
    loaded.model.resize_token_embeddings(50)
    with pytest.raises(UsageError, match="the model knows only 50 tokens"):
        Texts(loaded, str(texts), length=4, device="cpu")
    with pytest.raises(UsageError, match="hidden must be a multiple of heads"):
        language_model("nowhere", str(texts), hidden=10, heads=4)


def test_masked_windows_are_measured_alike_every_time() -> None:
    ids = torch.arange(12).view(2, 6) + 4
    ask = Asking(kind="masked", mask=3, special=(0, 1, 2, 3))
    given, labels = ask(ids)
    assert ((given == 3) == (labels != IGNORED)).all()
    assert (labels != IGNORED).sum(dim=1).tolist() == [1, 1]
    assert torch.equal(ask(ids)[0], given)

    class Sure(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return F.one_hot(ids, 16) * 50.0

    losses, wrong = measured(Sure(), ids, ask, device=torch.device("cpu"), choice=Choice(memory_format=""))
    assert (losses.max().item(), wrong.sum().item()) == (0, 0)
