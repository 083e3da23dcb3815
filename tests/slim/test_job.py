"""The whole job in one folder: stages that are found again, resumed, refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import reslab
from reslab.errors import OtherSettings, UsageError
from reslab.images.data import ImageData
from reslab.images.train import prepare, train
from reslab.nets import count, spec
from reslab.run import Run
from reslab.slim.earlier import before
from reslab.slim.families.image_subject import subject
from reslab.slim.families.images import Images
from reslab.slim.healing.distilled import Distillation
from reslab.slim.job import slim
from reslab.slim.kept import Kept
from reslab.slim.record import Slimmed
from reslab.train.folder import read_recipe
from reslab.train.recipe import Recipe
from reslab.train.signals import Interrupted

pytestmark = [
    pytest.mark.filterwarnings("ignore:the blocks' times do not add up"),  # of tiny nets, on a busy machine
    pytest.mark.usefixtures("few_passes"),
]

HOW: dict[str, Any] = {"batch": 16, "precision": "fp32", "memory_format": "NCHW", "compile": "off", "threads": 1}


@pytest.fixture(scope="module")
def trained(few: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("trained") / "run"
    recipe = Recipe(epochs=2, validation=20, lr=0.02, **HOW)
    prepare(folder, net=spec("resnet14"), data=few, word="few", recipe=recipe)
    train(folder, data=few, device="cpu")
    return Run(folder)


def job(trained: Run, few: ImageData, out: Path, **settings: Any) -> Slimmed:
    family = Images(subject(str(trained.folder), data=few), device="cpu")
    return slim(family, out=out, **{"remove": 1, "epochs": 1.0, **settings})


@pytest.fixture(scope="module")
def whole(trained: Run, few: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job") / "out"
    job(trained, few, folder)
    return folder


def test_one_folder_holds_all_of_it(whole: Path, few: ImageData) -> None:
    names = {path.name for path in whole.iterdir() if path.is_dir()}
    assert names == {"results", "intact", "cut", "norms", "healed-s0", "intact-longer-s0", "scratch-s0", "model"}
    done = json.loads((whole / "results/slim.json").read_text())
    assert [arm["what"] for arm in done["arms"]] == ["intact", "cut", "norms", "healed", "intact-longer", "scratch"]
    assert [arm["epochs"] for arm in done["arms"][3:]] == [1.067, 1.067, 3.2]  # of 60 images: 4, 4 and 12 of 16
    assert done["after"]["params"] < done["before"]["params"]
    macs = [count(reslab.load(whole / name).spec).macs for name in ("intact", "model")]  # of one image
    assert [done["before"]["macs"], done["after"]["macs"]] == macs
    plan = json.loads((whole / "results/slim-plan.json").read_text())
    assert [plan["steps"][i]["macs"] for i in (0, plan["chosen"])] == macs
    assert len(done["removed"]) == 1
    assert done["difference"] < 1e-5
    assert "one seed each" in done["verdict"]
    model: Any = reslab.load(whole / "model")
    healed: Any = reslab.load(whole / "healed-s0")
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), healed.state_dict().values(), strict=True)
    )
    assert model.predict(few.test.pixels[0][0].numpy()).class_name in few.classes
    assert not list(whole.glob(".*-*"))
    assert not (whole / "model" / "last.pt").exists()


def test_what_made_the_model_is_known_wherever_it_is_copied(whole: Path, trained: Run, tmp_path: Path) -> None:
    """Two epochs of 60 images (8 batches of 16) and one of healing; from random weights all three."""
    copy = Run(shutil.copytree(whole / "model", tmp_path / "copy"))
    for run in (Run(whole / "healed-s0"), Run(whole / "model"), copy):
        found = before(run, "")
        assert (found.recipe, found.epochs) == (read_recipe(trained), pytest.approx(2.133 + 1.067))
    assert before(Run(whole / "cut"), "").epochs == 2.133
    assert before(Run(whole / "scratch-s0"), "").epochs == 3.2
    done = copy.read_json("results/train.json")
    copy.write_json("results/train.json", {key: done[key] for key in done if key != "trainings"})  # of an older version
    assert before(copy, "").epochs is None  # it started from weights, and from which is not stored
    assert before(copy, "").unknown.endswith("started from weights, whose training is not known")


def test_finished_it_does_nothing_and_other_settings_are_refused(
    whole: Path, trained: Run, few: ImageData, caplog: pytest.LogCaptureFixture
) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.json")}
    caplog.set_level("INFO")
    again = job(trained, few, whole)
    assert f"{whole} is finished; nothing is left to do" in caplog.text
    assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("*.json")}
    assert again.verdict == json.loads((whole / "results/slim.json").read_text())["verdict"]
    with pytest.raises(OtherSettings, match=r"a job with different settings \(remove: 1 there, 2 requested\)"):
        job(trained, few, whole, remove=2)
    with pytest.raises(OtherSettings, match=r"different settings \(epochs: 1 there, 2 requested\)"):
        job(trained, few, whole, epochs=2)
    other = Images(subject(str(trained.folder), data=few), device="cpu", samples=5)
    with pytest.raises(
        OtherSettings, match=r"different settings \(other samples that the plan is measured on\); choose"
    ):
        slim(other, out=whole, remove=1, epochs=1.0)


def test_a_job_is_found_again_only_if_its_numbers_would_be_the_same(
    whole: Path, trained: Run, few: ImageData, tmp_path: Path
) -> None:
    """Else seeds or trainings that are added would be of other settings than those that are there."""

    def again(data: ImageData = few, **settings: Any) -> None:
        slim(Images(subject(str(trained.folder), data=data), device="cpu", **settings), out=whole, remove=1, epochs=1.0)

    with pytest.raises(OtherSettings, match=r"\(lr: 0.005 there, 0.9 requested\)"):
        again(changes={"lr": 0.9})
    with pytest.raises(OtherSettings, match=r"\(distill: 0.9 there, 0 requested; temperature: 4 there, 2 requested\)"):
        again(how=Distillation(weight=0.0, temperature=2.0))
    other = replace(few, test=few.train, fingerprint="other")  # the plan is measured on the same images
    with pytest.raises(OtherSettings, match="; other images, texts or labels"):
        again(data=other)


def test_stopped_in_a_training_it_resumes_bit_identical(
    whole: Path, trained: Run, few: ImageData, tmp_path: Path, stopped_after: Any
) -> None:
    out = tmp_path / "out"
    with stopped_after(2), pytest.raises(Interrupted):
        job(trained, few, out, compare="intact")
    assert (out / "results/slim-plan.json").is_file()
    assert not (out / "results/slim.json").exists()
    torch.manual_seed(9)
    done = job(trained, few, out, compare="intact")
    assert [arm.what for arm in done.arms] == ["intact", "cut", "norms", "healed", "intact-longer"]
    for name in ("healed-s0", "intact-longer-s0"):
        one, other = ((folder / name / "weights.safetensors").read_bytes() for folder in (whole, out))
        assert one == other
    more = job(trained, few, out, compare="all")  # adds the training that is missing
    assert [arm.what for arm in more.arms][-1] == "scratch"


def test_bad_input(trained: Run, few: ImageData, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").write_text("x")
    with pytest.raises(UsageError, match="full is not empty and has no results of `reslab slim`; choose another"):
        job(trained, few, tmp_path / "full")
    with pytest.raises(UsageError, match="seeds must be positive, got 0"):
        job(trained, few, tmp_path / "a", seeds=0)
    with pytest.raises(UsageError, match="epochs must be zero or more, got -1"):
        job(trained, few, tmp_path / "a", epochs=-1)


@pytest.mark.slow
def test_a_shape_that_cannot_be_trained_is_saved_without_training(
    trained: Run, few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def know(self: Images, small: Any, folder: Path) -> None:
        raise UsageError("Net cannot be trained further: no file builds it")

    monkeypatch.setattr(Images, "know", know)
    with pytest.raises(UsageError, match="no file builds it; 0 epochs save it as it is"):
        job(trained, few, tmp_path / "out")
    done = job(trained, few, tmp_path / "out", epochs=0)  # the folder is not taken by the job that could not begin
    assert "Net cannot be trained further: no file builds it" in done.notes
    assert list((tmp_path / "out" / "model").iterdir())


@pytest.mark.slow
def test_without_healing_the_model_is_the_one_with_averaged_norms(trained: Run, few: ImageData, tmp_path: Path) -> None:
    nothing = job(trained, few, tmp_path / "out", epochs=0)
    assert [arm.what for arm in nothing.arms] == ["intact", "cut", "norms"]
    one, other = ((tmp_path / "out" / name / "weights.safetensors").read_bytes() for name in ("model", "norms"))
    assert one == other


@pytest.mark.slow
def test_a_finished_job_folds_when_it_is_asked_to(trained: Run, few: ImageData, tmp_path: Path) -> None:
    """In a ResNet there is nothing to fold, and the record says so; nothing is trained or written for it."""
    first = job(trained, few, tmp_path / "out", epochs=0)
    assert not any(note.startswith("merge: ") for note in first.notes)
    second = job(trained, few, tmp_path / "out", epochs=0, method="merge")
    assert [note for note in second.notes if note.startswith("merge: ")] == [
        "merge: nothing was folded: a nonlinearity stands between any two layers of the model"
    ]
    assert second.arms == first.arms
    assert not (tmp_path / "out" / "merged").exists()


def test_a_folder_that_is_replaced_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "job")
    kept.run.make()
    kept.replaced("model", lambda folder: (folder / "a").write_text("first"))

    def full(folder: Path) -> None:
        (folder / "a").write_text("half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        kept.replaced("model", full)
    assert sorted(path.name for path in (tmp_path / "job").iterdir()) == ["model", "results"]
    assert (tmp_path / "job" / "model" / "a").read_text() == "first"
    kept.replaced("model", lambda folder: (folder / "b").write_text("second"))
    assert [path.name for path in (tmp_path / "job" / "model").iterdir()] == ["b"]


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "job")
    kept.run.make()
    for name in ("model", "merged", "norms"):
        (tmp_path / "job" / f".{name}-abcd1234" / name).mkdir(parents=True)
    (tmp_path / "job" / ".mine-abcd1234").mkdir()
    kept.sweep()
    assert sorted(path.name for path in (tmp_path / "job").iterdir()) == [".mine-abcd1234", "results"]
