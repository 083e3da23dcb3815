"""Slimming models of images: their data, the recipes of the comparison, three trainings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import reslab
from reslab.errors import UsageError
from reslab.images.data import ImageData
from reslab.images.evaluate import evaluate
from reslab.images.task import split
from reslab.images.train import prepare, train
from reslab.nets import build, spec
from reslab.run import Run
from reslab.slim.earlier import before
from reslab.slim.families.image_recipes import length_of, scratch_recipe
from reslab.slim.families.image_subject import subject
from reslab.slim.families.images import Images
from reslab.slim.healing.distilled import Distillation
from reslab.train.folder import read_recipe
from reslab.train.recipe import Recipe, change

HOW: dict[str, Any] = {"batch": 16, "precision": "fp32", "memory_format": "NCHW", "compile": "off", "threads": 1}


@pytest.fixture(scope="module")
def trained(few: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two epochs, with 20 images set aside."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    recipe = Recipe(epochs=2, validation=20, mean="pixel", drops=(5, 7), lr=0.02, nesterov=True, **HOW)
    prepare(folder, net=spec("resnet14"), data=few, word="few", recipe=recipe)
    train(folder, data=few, device="cpu")
    return Run(folder)


def family(run: Run, data: ImageData, **settings: Any) -> Images:
    return Images(subject(str(run.folder), data=data), device="cpu", **settings)


def cut(net: nn.Module) -> Any:
    """A ResNet-14 without the second block of its middle stage, by hand."""
    made = build(replace(spec("resnet14"), stages=(2, 1, 2), channels=1, size=8))
    made.load_state_dict({key: value for key, value in net.state_dict().items() if "stages.1.1." not in key})
    return made.eval()


def test_the_plan_is_measured_on_what_the_recipe_set_aside(trained: Run, few: ImageData) -> None:
    found = family(trained, few)
    held = split(few.train, read_recipe(trained))[1]
    assert held is not None
    assert torch.equal(torch.cat([labels for _, labels in found.batches() if labels is not None]), held.labels)
    assert found.planned_on() == "the images of few that were set aside from the training part for validation"
    assert family(trained, few, samples=7).planned_on().endswith(" for validation (7 of 20, sampled at random)")
    assert sum(len(labels) for _, labels in family(trained, few, samples=7).batches() if labels is not None) == 7
    score = found.evaluate(found.model)
    same = evaluate(found.model, few.test, normalize=found.normalize, device=torch.device("cpu"))
    assert (score.value, score.low, score.high, score.n) == (same.error, same.error_low, same.error_high, len(few.test))


def test_healing_is_the_runs_recipe_with_a_cosine(trained: Run, few: ImageData) -> None:
    """Rate of finetune: 0.01 for batches of 32, so 0.005 for 16. Length: half of two epochs, as 10 % are fewer."""
    recipe = family(trained, few).recipe
    own = read_recipe(trained)
    assert (recipe.lr, recipe.schedule, recipe.epochs, recipe.mean) == (0.005, "cosine", 1.0, "weights")
    assert (recipe.batch, recipe.validation, recipe.nesterov, recipe.keep) == (16, own.validation, True, "last")
    assert family(trained, few, changes={"lr": 0.3, "epochs": 3}).recipe.lr == 0.3
    assert length_of(Run("nowhere"), 10_000) == 5  # the least of finetune


def test_from_nothing_the_first_recipe_takes_both_lengths(trained: Run, few: ImageData) -> None:
    """Drops at iterations move with the length; the run's two epochs and one of healing are three."""
    found = family(trained, few)
    longer = scratch_recipe(found.subject, found.known, epochs=3.0, heal=change(found.recipe, seed=5))
    assert (longer.epochs, longer.seed, longer.schedule, longer.lr) == (3.0, 5, "steps", 0.02)
    own = read_recipe(trained)
    n = len(found.train_part)
    times = 3.0 * n / (own.length(n) * own.batch)
    assert longer.drops == (round(5 * times), round(7 * times))
    assert found.trained_epochs == pytest.approx(own.length(n) * 16 / n, abs=1e-3)


def test_all_nets_are_chosen_alike(trained: Run, few: ImageData) -> None:
    """Healed by the best of the validation images: so is the net from random weights, and none stops early."""
    found = family(trained, few, changes={"keep": "best"})
    found.known = replace(found.known, recipe=change(read_recipe(trained), early_stop=3))
    healed, scratch = (found.recipe_for(what, epochs=3.0, seed=1) for what in ("healed", "scratch"))
    alike = ("keep", "early_stop", "select", "validation", "precision", "memory_format", "seed")
    assert all(getattr(healed, key) == getattr(scratch, key) for key in alike)
    assert (scratch.keep, scratch.early_stop, scratch.lr) == ("best", 0, 0.02)


def test_images_that_the_model_was_trained_on_are_not_called_held_out(
    trained: Run, few: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the run set aside: the plan is measured on the run's 20, which are among them. None set aside: seen."""
    held = split(few.train, read_recipe(trained))[1]
    assert held is not None
    more = family(trained, few, changes={"validation": 40})
    assert torch.equal(torch.cat([labels for _, labels in more.batches() if labels is not None]), held.labels)
    fewer = family(trained, few, changes={"validation": 10})
    assert sum(len(labels) for _, labels in fewer.batches() if labels is not None) == 10
    none = change(read_recipe(trained), validation=0)
    monkeypatch.setattr("reslab.slim.families.images.read_recipe", lambda run: none)
    assert more.planned_on().startswith("training images of few, as no others were set aside: the model has seen them")


def test_what_is_not_known_of_the_first_training_is_said(trained: Run, few: ImageData, tmp_path: Path) -> None:
    """A run that started from a run: both lengths. From a file: unknown, unless the epochs are named."""
    weights = trained.path("weights.safetensors")
    for name, start in (("again", trained.folder), ("file", weights)):
        if name == "file":
            start = tmp_path / "weights.safetensors"
            start.write_bytes(weights.read_bytes())
        recipe = Recipe(epochs=1, validation=20, mean="pixel", **HOW)
        prepare(tmp_path / name, net=spec("resnet14"), data=few, word="few", recipe=recipe, start=start)
        train(tmp_path / name, data=few, device="cpu")
    both = before(Run(tmp_path / "again"), "")
    lengths = [run.read_json("results/train.json")["epochs"] for run in (trained, Run(tmp_path / "again"))]
    assert both.epochs == sum(lengths)
    assert both.recipe == read_recipe(trained)
    unknown = before(Run(tmp_path / "file"), "")
    assert (unknown.epochs, unknown.recipe) == (None, None)
    assert unknown.unknown.endswith("weights.safetensors, whose training is not known")
    found = family(Run(tmp_path / "file"), few)
    assert (found.trained_epochs, found.unknown) == (None, unknown.unknown)
    known = family(Run(tmp_path / "file"), few, trained_epochs=2)
    assert (known.trained_epochs, known.unknown) == (2, "")


@pytest.fixture(scope="module")
def arms(trained: Run, few: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The three trainings of the comparison, one epoch of healing."""
    out, found = tmp_path_factory.mktemp("slimmed"), family(trained, few)
    small, intact = cut(found.model), found.model
    made = {}
    for what, net, teacher, epochs in (
        ("healed", small, intact, 1.0), ("intact-longer", intact, None, 1.0), ("scratch", small, None, 3.0)
    ):  # fmt: skip
        what_: Any = what
        made[what] = found.train(out / f"{what}-s1", what=what_, net=net, teacher=teacher, epochs=epochs, seed=1)
    return out, made, found


def test_three_trainings_beside_each_other(arms: Any, trained: Run, few: ImageData) -> None:
    out, made, found = arms
    recipes = {what: read_recipe(Run(out / arm.run)) for what, arm in made.items()}
    assert recipes["healed"] == recipes["intact-longer"]  # the same updates in the same order
    assert recipes["healed"].seed == recipes["scratch"].seed == 1
    assert Run(out / "healed-s1").has("teacher.json")
    assert not Run(out / "intact-longer-s1").has("teacher.json")
    assert not Run(out / "scratch-s1").has("start.safetensors")
    results = {what: Run(out / arm.run).read_json("results/train.json") for what, arm in made.items()}
    assert made["healed"].score.value == results["healed"]["test_error"]
    assert made["healed"].score.low < made["healed"].score.value < made["healed"].score.high
    assert results["healed"]["parameters"] == results["scratch"]["parameters"] < results["intact-longer"]["parameters"]
    before = Run(out / "scratch-s1").path("results/train.json").stat().st_mtime_ns
    found.train(out / "scratch-s1", what="scratch", net=cut(found.model), teacher=None, epochs=3.0, seed=1)
    assert Run(out / "scratch-s1").path("results/train.json").stat().st_mtime_ns == before  # found again


def test_healed_alone_it_is_the_same_run(arms: Any, trained: Run, few: ImageData, tmp_path: Path) -> None:
    """`heal` averages the norms, then trains from them; features at the remaining blocks may be learned, too."""
    found = family(trained, few, how=Distillation(features=0.1))
    small = reslab.slim.cut(found.model, ["stages.1.1"], example=found.example)
    arm = reslab.slim.heal(found, small, out=tmp_path, epochs=1.0, seed=1)
    assert (arm.what, arm.run, arm.epochs) == ("healed", "healed-s1", arms[1]["healed"].epochs)
    assert Run(tmp_path / "healed-s1").read_json("teacher.json")["features"] == 0.1
    assert len(found.pairs) == 5
    assert Run(tmp_path / "norms").has("weights.safetensors")


def test_a_cut_net_is_a_run_that_loads_and_predicts(arms: Any, few: ImageData) -> None:
    out, _, found = arms
    net: Any = reslab.load(out / "cut")
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), cut(found.model).state_dict().values(),
                                                 strict=True))  # fmt: skip
    assert net.predict(few.test.pixels[0][0].numpy()).class_name in few.classes
    assert Run(out / "cut").read_json("results/train.json")["test_error"] == found.evaluate(net).value


def test_norms_are_averaged_over_the_training_part(trained: Run, few: ImageData) -> None:
    """The first norm's mean is that of its input over the training images."""
    found = family(trained, few)
    net = cut(found.model)
    assert found.average_norms(net)
    views = torch.cat([views[0] for views, _, _ in found.views(found.train_part)])
    with torch.no_grad():
        wanted = net.stem.conv(views).mean(dim=(0, 2, 3))
    assert torch.allclose(net.stem.norm.running_mean, wanted, atol=1e-5)
    assert not found.average_norms(nn.Linear(2, 2))


def test_labels_that_are_not_the_models(trained: Run, few: ImageData, tmp_path: Path) -> None:
    more = replace(few, classes=(*few.classes, "k"), fingerprint="other")
    with pytest.raises(UsageError, match=r"resnet14 has 10 classes, but few has 11"):
        subject(str(trained.folder), data=more)
    file = tmp_path / "mine.py"
    file.write_text("from torch import nn\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))\n")
    with pytest.raises(UsageError, match=r"has 3 classes, but .* has 10, so its labels are not the model's: train it"):
        subject(f"{file}:make", data=few)
    with pytest.raises(UsageError, match="needs data to be slimmed with"):
        subject("net:resnet8")
    with pytest.raises(UsageError, match=r"whose training is not known; this one's took 2.13.* not 4: leave"):
        family(trained, few, trained_epochs=4)
    with pytest.raises(UsageError, match="trained_epochs must be positive, got -1"):
        family(trained, few, trained_epochs=-1)
