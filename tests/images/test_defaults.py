"""Defaults for images: net, recipe, length, batch, validation part and rate, by the rules of docs/images.md."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.cli.say import words
from reslab.errors import UsageError
from reslab.images.data import ImageData, Pixels, load
from reslab.images.defaults import LENGTHS, MADE_FOR, batch_for, choose, held_out, net_for, recipe_for, size_for
from reslab.images.plan import Asked
from reslab.images.setup import loaded
from reslab.images.task import split
from reslab.train.recipe import read


def images(
    n: int, side: int = 32, *, names: tuple[str, ...] = ("ant", "bee"), channels: int = 3, validation: int = 0,
    width: int | None = None,
) -> ImageData:  # fmt: skip
    """A data set of n training images, without memory for their pixels."""

    def part(n: int) -> Pixels:
        pixels = torch.empty(1, dtype=torch.uint8).expand(n, channels, side, width or side)
        return Pixels(pixels=pixels, labels=torch.arange(n) % len(names))

    return ImageData(name="d", train=part(n), test=part(10), classes=names, shape=(channels, side, width or side),
                     fingerprint="", about="", validation=part(validation) if validation else None)  # fmt: skip


@pytest.mark.parametrize(
    ("n", "side", "net", "recipe"),
    [
        (100, 8, "resnet20", "small"),
        (50_000, 48, "resnet20", "small"),
        (9_999, 49, "resnet20", "small"),
        (10_000, 96, "resnet56", "small"),
        (100, 97, "resnet18", "photos"),
        (1_000_000, 224, "resnet18", "photos"),
    ],
)
def test_net_and_recipe_by_size_and_number(n: int, side: int, net: str, recipe: str) -> None:
    data = images(n, side)
    assert (net_for(data)[0], recipe_for(data)[0]) == (net, recipe)
    assert recipe_for(data, pretrained=True)[0] == "finetune"


def test_published_data_keep_their_net_and_recipe() -> None:
    for word, name in {"digits": "digits", "cifar10": "paper-cifar", "cifar100": "paper-cifar", "mnist": "mnist",
                       "fashion-mnist": "paper-cifar"}.items():  # fmt: skip
        chosen = choose(images(1437), word=word)
        assert (chosen.name, chosen.recipe, chosen.fitted) == (name, read(name), ())
        assert net_for(images(100, 224), word=word)[0] == "resnet20"


@pytest.mark.parametrize("word", MADE_FOR)
def test_published_data_are_fine_tuned_from_weights(word: str) -> None:
    """1,437 images: 144 are held out, and 20,000 images are 15.5 passes over the other 1,293."""
    chosen = choose(images(1437), word=word, pretrained=True)
    assert (chosen.name, chosen.recipe.epochs, chosen.recipe.lr) == ("finetune", 16, 0.01)
    assert chosen.recipe.validation == 144
    assert choose(images(1437), word=word, recipe="digits", pretrained=True).recipe == read("digits")


def test_published_data_are_loaded_for_the_recipe_of_weights() -> None:
    assert loaded(Asked(data="digits"), None)[1] == {}
    assert loaded(Asked(data="digits", start="w.safetensors"), None)[1] == {"crops": True}  # as finetune crops


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("n", [12, 30, 48, 300, 2_000, 12_000, 50_000, 1_280_000])
def test_hundreds_of_updates_and_never_thousands_of_epochs(name: str, n: int) -> None:
    rule = LENGTHS[name]
    assert rule.least <= rule.epochs(n) <= rule.most <= 200
    updates = rule.epochs(n) * n / batch_for(n, read(name).batch)
    assert updates >= 300


def test_the_length_of_2000_photographs() -> None:
    """200 are held out; 120,000 images are 66.7 passes over the other 1,800, and 67 of them 1,884.4 batches of 64."""
    chosen = choose(images(2_000, 224))
    assert (chosen.name, chosen.recipe.validation, chosen.recipe.epochs) == ("photos", 200, 67)
    assert chosen.recipe.length(1_800) == 1_885
    assert chosen.reasons[0] == ("recipe photos (photographs, random weights): 67 epochs = 1,885 updates of 64 images "
                                 "(1,800 training images)")  # fmt: skip


@pytest.mark.parametrize(
    ("n", "batch", "used"),
    [(512, 128, 128), (511, 128, 64), (48, 128, 8), (12, 32, 2), (4, 32, 2), (400, 100, 100), (399, 100, 50)],
)
def test_an_epoch_has_four_batches_or_more(n: int, batch: int, used: int) -> None:
    assert batch_for(n, batch) == used


@pytest.mark.parametrize(("n", "held"), [(24, 5), (22, 0), (48, 10), (100, 20), (200, 20), (201, 20), (2_000, 200)])
def test_a_tenth_is_held_out_at_least_20_at_most_a_fifth(n: int, held: int) -> None:
    assert held_out(torch.arange(n) % 2, classes=2) == held


def test_no_class_loses_all_its_training_images() -> None:
    labels = torch.arange(100) % 50  # two images each: of 20, and of 10, held out, two are all of one class
    held = held_out(labels, classes=50)
    assert held == 5
    data = images(100, names=tuple(f"class {k}" for k in range(50)))
    kept, aside = split(data.train, read("small", validation=held))
    assert aside is not None
    assert len(set(kept.labels.tolist())) == 50
    single = torch.arange(100)  # each class has one image
    assert held_out(single, classes=100) == 0


def test_the_last_net_is_kept_without_a_validation_part() -> None:
    asked: list[tuple[int, dict[str, Any]]] = [(2_000, {}), (20, {}), (2_000, {"validation": 0})]
    assert [choose(images(n), changes=given).recipe.keep for n, given in asked] == ["best", "last", "last"]


def test_a_validation_part_of_the_data_is_used() -> None:
    chosen = choose(images(2_000, validation=100))
    assert chosen.recipe.validation == 0
    assert "validation" not in " ".join(chosen.reasons)


@pytest.mark.parametrize(
    ("changes", "lr"),
    [
        ({"batch": 256}, 0.2),  # SGD: twice the batch, twice the rate
        ({"batch": 256, "optimizer": "adamw"}, 0.1),  # a rate of another optimizer is not converted
        ({"batch": 32, "lr": 0.3}, 0.3),
        ({}, 0.1),
    ],
)
def test_the_rate_follows_the_batch(changes: dict[str, Any], lr: float) -> None:
    assert choose(images(50_000), word="cifar10", changes=changes).recipe.lr == pytest.approx(lr)


def test_adamw_follows_the_square_root(tmp_path: Any) -> None:
    (tmp_path / "r.toml").write_text('batch = 64\nlr = 0.001\noptimizer = "adamw"\nepochs = 1\nwarmup_lr = 0.0001\n')
    recipe = choose(images(5_000), recipe=str(tmp_path / "r.toml"), changes={"batch": 256}).recipe
    assert (recipe.lr, recipe.warmup_lr) == (0.002, 0.0002)


def test_a_named_recipe_is_kept_but_for_the_length_that_it_leaves_open(tmp_path: Any) -> None:
    assert choose(images(50, 224), recipe="paper-cifar").recipe == read("paper-cifar")
    (tmp_path / "open.toml").write_text("batch = 64\n")
    chosen = choose(images(50_000, 224), recipe=str(tmp_path / "open.toml"))
    assert (chosen.recipe.epochs, chosen.fitted) == (30, ("epochs",))


def test_what_is_given_is_never_chosen_and_named() -> None:
    given = {"epochs": 2.0, "batch": 100, "validation": 0.5, "flip": True, "lr": 0.01, "seed": 3, "momentum": 0.9}
    chosen = choose(images(1_000, names=("a", "b")), changes=given)
    assert {key: getattr(chosen.recipe, key) for key in given} == given
    assert chosen.named == {key: given[key] for key in ("epochs", "batch", "validation", "flip", "lr")}


def test_characters_are_not_mirrored() -> None:
    assert not choose(images(1_000, names=("a", "b"))).recipe.flip
    assert choose(images(1_000)).recipe.flip


@pytest.mark.parametrize(
    ("names", "mirrored", "why"),
    [
        ("ABC", False, "no image is mirrored, as the classes are single characters"),
        ("01", True, "half of the images are mirrored, as 0 to 1 are taken as the numbers of classes"),
        ("2103", True, "half of the images are mirrored, as 0 to 3 are taken as the numbers of classes"),
        ("1234", True, "half of the images are mirrored, as 1 to 4 are taken as the numbers of classes"),
        ("0123456789", False, "no image is mirrored, as the classes 0 to 9 are taken as digits; if they are none"),
        ("123456789", False, "no image is mirrored, as the classes 1 to 9 are taken as digits"),
        ("38", False, "no image is mirrored, as the classes 3, 8 are taken as digits"),
        ("01a", False, "no image is mirrored, as the classes are single characters"),
    ],
)
def test_numbers_of_classes_are_not_digits(names: str, mirrored: bool, why: str) -> None:
    """Classes without names are numbered from 0, or from 1; what is assumed is said, and how to change it."""
    chosen = choose(images(1_000, names=tuple(names)))
    assert chosen.recipe.flip is mirrored
    assert why in chosen.reasons[1]
    asked = choose(images(1_000, names=tuple(names)), changes={"flip": not mirrored})
    assert asked.recipe.flip is not mirrored
    assert "mirrored" not in " ".join(asked.reasons)


def test_how_to_mirror_is_worded_for_the_command_line() -> None:
    line = choose(images(1_000, names=tuple("0123"))).reasons[1]
    assert line.endswith("if left and right matter, set flip=False")
    assert words(line).endswith("set --no-flip")


def test_small_images_of_several_sizes_get_their_median(tmp_path: Path) -> None:
    """Shorter sides 60, 70, 70, 90 of 8 training images: the median 70 is cut to 64; of one size they stay."""
    for name, seed in (("ants", 0), ("bees", 1)):
        (tmp_path / name).mkdir()
        for i, side in enumerate((60, 70, 70, 90, 70)):
            noise = np.random.default_rng([seed, i]).integers(0, 256, (side, side + 20, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{i}.png")
    assert size_for(load(str(tmp_path))) == 64
    assert size_for(load("digits")) is None


def test_few_validation_images_choose_no_net() -> None:
    """20 of 100 images are set aside and keep the last net; 100 of 1,000 choose the best one."""
    assert choose(images(n=100, side=32)).recipe.keep == "last"
    assert "20 validation images are too few to choose one" in " ".join(choose(images(n=100, side=32)).reasons)
    assert choose(images(n=1000, side=32)).recipe.keep == "best"
    assert choose(images(n=100, side=32), changes={"keep": "best"}).recipe.keep == "best"


@pytest.mark.parametrize("key", ["epochs", "iterations"])
def test_a_length_of_zero_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="must be positive, got 0"):
        choose(images(n=100, side=32), changes={key: 0})


def test_large_images_of_one_size_are_resized() -> None:
    assert size_for(images(10, 1_500, width=2_000)) == 224
    assert size_for(images(10, 256, width=300)) is None
