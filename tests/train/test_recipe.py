"""Recipes: whole, flat, and strict about what they do not know."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from reslab.errors import ReslabError, UsageError
from reslab.train.recipe import Recipe, change, names, read, write


def test_the_shipped_recipes_read() -> None:
    images = "digits fast-cifar finetune mnist modern-imagenet paper-cifar paper-imagenet photos"
    assert names() == [*images.split(), "qa", "qa-frozen", "qa-small", "small", "tables"]
    for name in names():
        read(name).check()


def test_modern_imagenet_is_torchvisions() -> None:
    """The values of the command in the blog post that the recipe names."""
    recipe = read("modern-imagenet")
    assert (recipe.epochs, recipe.batch, recipe.lr, recipe.weight_decay, recipe.label_smoothing) == (
        600,
        1024,
        0.5,
        2e-5,
        0.1,
    )
    assert (recipe.policy, recipe.erase, recipe.mixup, recipe.cutmix, recipe.repeats) == ("trivial", 0.1, 0.2, 1.0, 4)
    assert 1 - recipe.ema == pytest.approx(
        (1 - 0.99998) * 1024 * 32 / 600 / 32, rel=0.15
    )  # its adjusted decay, per update


def test_paper_cifar_is_the_papers() -> None:
    """Section 4.2: batch 128, momentum 0.9, decay 1e-4, 0.1 divided by 10 at 32k and 48k, 64k iterations in all."""
    recipe = read("paper-cifar")
    assert (recipe.iterations, recipe.epochs, recipe.batch) == (64000, 0, 128)
    assert (recipe.lr, recipe.momentum, recipe.weight_decay, recipe.decay_all) == (0.1, 0.9, 1e-4, True)
    assert (recipe.schedule, recipe.drops, recipe.drop_factor) == ("steps", (32000, 48000), 10)
    assert (recipe.augment, recipe.pad, recipe.flip) == ("crop", 4, True)
    assert (recipe.mean, recipe.std) == ("pixel", False)
    assert (recipe.warmup_lr, recipe.warmup_error, recipe.warmup_depth) == (0.01, 80, 110)
    assert (recipe.nesterov, recipe.label_smoothing, recipe.ema, recipe.clip, recipe.validation) == (False, 0, 0, 0, 0)


def test_paper_imagenet_is_the_papers_and_does_not_peek() -> None:
    recipe = read("paper-imagenet")
    assert (recipe.iterations, recipe.batch, recipe.lr, recipe.schedule) == (600000, 256, 0.1, "plateau")
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 1e-4)
    assert (recipe.augment, recipe.shortest, recipe.longest, recipe.color) == ("scale", 256, 480, True)
    assert recipe.validation > 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"momentun": 0.9}, "a recipe has no key 'momentun'; did you mean 'momentum'?"),
        ({"epoch": 3}, "a recipe has no key 'epoch'; did you mean 'epochs'?"),
        ({"batch": 0}, "batch must be positive, got 0"),
        ({"batch": 1.5}, "batch must be a whole number, got 1.5"),
        ({"batch": math.inf}, "batch must be finite, got inf"),
        ({"batch": True}, "batch must be a whole number, got True"),
        ({"lr": "fast"}, "lr must be a number, got 'fast'"),
        ({"lr": -1}, "lr must be positive, got -1.0"),
        ({"lr": math.inf}, "lr must be finite, got inf"),
        ({"epochs": -math.inf}, "epochs must be finite, got -inf"),
        ({"iterations": -3}, "iterations must be positive, got -3"),
        ({"lr": math.nan}, "lr must be finite, got nan"),
        ({"momentum": 1}, "momentum must be below 1, got 1.0"),
        ({"momentum": -0.5}, "momentum must be zero or more, got -0.5"),
        ({"momentum": 0, "nesterov": True}, "nesterov needs momentum, got momentum 0"),
        ({"flip": 1}, "flip must be true or false, got 1"),
        (
            {"schedule": "step"},
            "schedule must be one of steps, plateau, cosine, linear, one-cycle, constant, got 'step'",
        ),
        ({"drops": 3}, "drops must be a list of numbers, got 3"),
        ({"drops": ["a"]}, "drops must be a list of numbers, got ['a']"),
        ({"drops": [0.7, 0.5]}, "drops must be positive and increasing, got [0.7, 0.5]"),
        ({"drops": [-5, -3]}, "drops must be positive and increasing, got [-5, -3]"),
        ({"drops": [0.5, 300]}, "drops must be all iterations or all shares of the run (below 1), got"),
        ({"epochs": -1}, "epochs must be positive, got -1.0"),
        ({"iterations": 0}, "epochs (or iterations) must be positive, got 0"),
        ({"epochs": 4, "iterations": 5}, "give either epochs or iterations, got 4 and 5"),
        ({"epochs": 0}, "epochs (or iterations) must be positive, got 0"),
        ({"shortest": 500}, "shortest must be at most longest, got 500 and 480"),
        ({"seed": 2**63}, f"seed must be below 2**63, got {2**63}"),
        ({"seed": -1}, "seed must be zero or more, got -1"),
    ],
)
def test_what_cannot_be_is_named_with_its_value(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        read("digits", **changes)
    assert str(caught.value).startswith(sentence)


def test_flags_replace_keys_and_a_length_replaces_the_other() -> None:
    recipe = read("paper-cifar", lr=0.5, epochs=3)
    assert (recipe.lr, recipe.epochs, recipe.iterations, recipe.momentum) == (0.5, 3.0, 0, 0.9)
    recipe = change(recipe, iterations=7)
    assert (recipe.epochs, recipe.iterations) == (0, 7)
    assert change(recipe, epochs=2).iterations == 0


def test_a_file_is_a_recipe_too_and_the_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("epochs = 2\nbatch = 10 # few\nlr = 1\n")
    assert (read(file).epochs, read(file).batch, read(str(file)).lr) == (2.0, 10, 1.0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").write_text("epochs = 99\n")
    assert read("digits").epochs == 40


def test_a_file_is_blamed_for_what_it_says_and_for_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("lr = 0.1\n")
    assert read(file, epochs=3).epochs == 3
    with pytest.raises(UsageError, match=r"recipe .*mine\.toml: epochs \(or iterations\) must be positive, got 0"):
        read(file)
    file.write_text("epochs = 3\nlr = 'fast'\n")
    with pytest.raises(UsageError, match=r"recipe .*mine\.toml: lr must be a number, got 'fast'"):
        read(file, seed=1)


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no recipe named 'paper-cifer'; did you mean 'paper-cifar'\? \(available: "):
        read("paper-cifer")
    with pytest.raises(UsageError, match="no recipe named"):
        read(tmp_path)
    (tmp_path / "a.toml").write_text("epochs = = 3")
    with pytest.raises(ReslabError, match=r"a\.toml is not a TOML file: .*; correct it, or restore a copy$"):
        read(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReslabError, match=r"b\.toml is not a TOML file"):
        read(tmp_path / "b.toml")
    (tmp_path / "c.toml").write_text("epochs = 3\n[model]\nlr = 1\n")
    with pytest.raises(UsageError, match="a recipe has no key 'model'"):
        read(tmp_path / "c.toml")


@pytest.mark.parametrize("name", names())
def test_written_and_read_again_it_is_the_same(tmp_path: Path, name: str) -> None:
    recipe = read(name, lr=1e-7, weight_decay=1e22, seed=12345678901)
    (tmp_path / "r.toml").write_text(write(recipe))
    assert read(tmp_path / "r.toml") == recipe
    assert len(write(recipe).splitlines()) == len(asdict(recipe))


@pytest.mark.parametrize(
    ("recipe", "images", "length"),
    [
        (Recipe(epochs=40, batch=128), 1437, 450),  # 57,480 images are 449.06 batches
        (Recipe(epochs=1, batch=128), 1280, 10),
        (Recipe(epochs=1, batch=128), 1281, 11),
        (Recipe(epochs=0.01, batch=128), 100, 1),
        (Recipe(iterations=64000), 50000, 64000),
    ],
)
def test_length_counts_full_batches(recipe: Recipe, images: int, length: int) -> None:
    assert recipe.length(images) == length


def test_points_are_iterations_or_shares() -> None:
    recipe = Recipe(iterations=1000)
    assert [recipe.at(point, 50000) for point in (0.5, 0.25, 0.9999, 1, 400, 0)] == [500, 250, 1000, 1, 400, 0]


@pytest.mark.parametrize(
    ("name", "changes", "note"),
    [
        ("fast-cifar", {"batch": 32}, "0.2 is meant for batches of 128 and does not follow the batch of 32; in "
         "proportion it would be 0.05"),
        ("paper-imagenet", {"batch": 1024}, "0.1 is meant for batches of 256 and does not follow the batch of 1024; in "
         "proportion it would be 0.4"),
        ("qa", {"batch": 4}, "5e-05 is meant for batches of 16 and does not follow the batch of 4; in proportion to "
         "the square root of the batch it would be 2.5e-05"),
        ("tables", {"batch": 1024}, "0.003 is meant for batches of 256 and does not follow the batch of 1024; in "
         "proportion to the square root of the batch it would be 0.006"),
        ("tables", {"batch": 16}, ""),  # small tables have such batches by default, with the same rate
        ("fast-cifar", {"batch": 96}, ""),
        ("fast-cifar", {"batch": 32, "lr": 0.1}, ""),
        ("fast-cifar", {}, ""),
    ],
)  # fmt: skip
def test_a_rate_that_does_not_follow_the_batch_is_reported(
    name: str, changes: dict[str, Any], note: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="reslab"):
        recipe = read(name, **changes)
    assert recipe.lr == changes.get("lr", read(name).lr)
    assert [record.getMessage() for record in caplog.records] == ([f"the learning rate {note}"] if note else [])
