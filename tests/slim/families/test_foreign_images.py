"""Slimming an image model of your own file: its spec, its shape with random weights, the whole job."""

from pathlib import Path
from typing import Any

import pytest
import torch

import reslab
from reslab.errors import ReslabWarning, UsageError
from reslab.images.data import ImageData
from reslab.nets import ModelSpec, build
from reslab.slim.cutting.removal import cut
from reslab.slim.families.image_shapes import random_weights, spec_of_cut
from reslab.slim.families.image_subject import subject
from reslab.slim.families.images import Images
from reslab.slim.healing.healed import heal
from reslab.slim.job import slim
from reslab.train.checkpoint import as_file

pytestmark = pytest.mark.filterwarnings("ignore:the blocks' times do not add up")  # of tiny nets, on a busy machine

MINE = "import torch\nfrom foreign import SmallResNet\n\n\ndef make():\n    return SmallResNet()\n"
QUICK: dict[str, Any] = {"batch": 16, "epochs": 1, "precision": "fp32", "memory_format": "NCHW", "compile": "off"}


@pytest.fixture
def found(few: ImageData, tmp_path: Path) -> Images:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    asked = subject(f"{file}:make", data=few, normalize="channel")
    return Images(asked, device="cpu", changes=QUICK, trained_epochs=1)


def test_a_cut_model_of_a_file_is_a_spec_again(found: Images, few: ImageData, tmp_path: Path) -> None:
    small = cut(found.model, ["layer1.1"], example=found.example, word=found.word)
    small.save(tmp_path / "shape")
    spec = spec_of_cut(small, tmp_path / "shape", few, name="mine")
    assert isinstance(spec, ModelSpec)
    assert spec.word.endswith("slimmed.py:make")
    assert (spec.name, spec.classes, spec.size) == ("mine-slim1", 10, 8)
    assert list(build(spec).state_dict()) == list(small.model.state_dict())
    a, b, again = (random_weights(found.subject.spec, small.removed, found.example, seed=k) for k in (0, 1, 0))
    assert list(a.state_dict()) == list(small.model.state_dict())
    assert not torch.equal(next(a.parameters()), next(b.parameters()))
    assert as_file(a.state_dict()) == as_file(again.state_dict())


PLAIN = """
from torch import nn

class Add(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(16, 16)

    def forward(self, x):
        return x + self.f(x).tanh()

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Sequential(*[Add() for _ in range(3)]), nn.Linear(16, 10))
"""


@pytest.mark.filterwarnings("ignore:.*its classes may be others")
def test_a_model_without_batchnorm_is_healed(few: ImageData, tmp_path: Path) -> None:
    file = tmp_path / "plain.py"
    file.write_text(PLAIN)
    mine = Images(subject(f"{file}:make", data=few, normalize="channel"), device="cpu", changes=QUICK, trained_epochs=1)
    small = cut(mine.model, ["2.1"], example=mine.example, word=mine.word)
    before = as_file(small.model.state_dict())
    done = heal(mine, small, out=tmp_path / "healed", epochs=1)
    assert (done.what, done.epochs, done.run) == ("healed", 1.0, "healed-s0")
    assert not (tmp_path / "healed" / "norms").exists()
    assert as_file(small.model.state_dict()) == before


def test_a_model_no_better_than_chance_is_warned_of(found: Images) -> None:
    with pytest.warns(
        ReslabWarning, match=r"make errs on .* % of these images.*: its classes may be others than those"
    ):
        found.batches()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*its classes may be others")
def test_the_whole_job_on_a_model_of_a_file(found: Images, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = slim(found, out=out, remove=1, epochs=1)
    assert [arm.what for arm in done.arms] == ["intact", "cut", "norms", "healed", "intact-longer", "scratch"]
    assert done.form == "file"
    healed: Any = reslab.load(out / "healed-s0")
    assert len(healed.classes) == 10
    assert (out / "model" / "slimmed.py").is_file()
    other = slim(found, out=out, remove=1, epochs=1)
    assert other.verdict == done.verdict


def test_a_model_without_a_file_cannot_be_trained_further(found: Images, few: ImageData, tmp_path: Path) -> None:
    small = cut(found.model, ["layer1.1"], example=found.example)
    with pytest.raises(UsageError, match="SmallResNet cannot be trained further: no file or library builds it"):
        spec_of_cut(small, tmp_path, few, name="mine")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*its classes may be others")
def test_the_whole_job_on_a_model_of_transformers(few: ImageData, tmp_path: Path) -> None:
    """Its outputs are objects, also the teacher's; healed, it loads with transformers alone."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
                                    image_size=8, patch_size=4, num_channels=1, num_labels=10)  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    found = Images(subject(str(tmp_path / "vit"), data=few, normalize="channel"), device="cpu", changes=QUICK)
    done = slim(found, out=tmp_path / "out", remove=1, epochs=1, compare="intact")
    assert [arm.what for arm in done.arms] == ["intact", "cut", "healed", "intact-longer"]
    again = transformers.ViTForImageClassification.from_pretrained(tmp_path / "out" / "model").eval()
    healed: Any = reslab.load(tmp_path / "out" / "healed-s0")
    with torch.no_grad():
        assert torch.equal(again(found.example).logits, healed(found.example))
