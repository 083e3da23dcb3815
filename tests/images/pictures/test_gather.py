"""The gathered choice, counted by hand on seven images, and its bounds."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.images.data import ImageData, Pixels, load
from reslab.images.data.images import fingerprint
from reslab.images.pictures import choice, duplicates
from reslab.images.pictures.gather import gather
from reslab.images.pictures.keep import keep
from reslab.images.pictures.thumbnails import LENGTH, SIDE, encode, thumbnail
from reslab.run import Run

P = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.1, 0.9], [0.7, 0.3], [0.5001, 0.4999]]
LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 1])


def part(n: int, *, size: int = 8, channels: int = 1) -> Pixels:
    noise = torch.randint(
        0, 256, (n, channels, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return Pixels(pixels=noise, labels=torch.zeros(n, dtype=torch.int64))


def seven(**more: Any) -> dict[str, Any]:
    found = gather(part(7), (torch.tensor(P).log(), LABELS), classes=["cat", "dog"], **more)
    assert found is not None
    return found


def names(found: dict[str, Any], numbers: list[int]) -> list[str]:
    return [found["images"][k]["name"] for k in numbers]


def test_worst_and_least_certain_are_ranked_by_confidence() -> None:
    found = seven()
    assert names(found, found["worst"]) == ["image 2", "image 5", "image 6"]  # wrong with 0.8, 0.7, 0.5001
    assert names(found, found["uncertain"])[:3] == ["image 6", "image 3", "image 1"]
    two = next(one for one in found["images"] if one["name"] == "image 2")
    assert (two["true"], two["predicted"], two["confidence"], two["own"]) == (0, 1, 0.8, 0.2)


def test_cells_count_every_image_and_show_mistakes_by_confidence() -> None:
    found = seven()
    assert found["confusion"] == {"true": [1, 0, 0, 1], "predicted": [0, 1, 0, 1], "n": [2, 1, 2, 2]}
    shown = {(one["true"], one["predicted"]): names(found, one["images"]) for one in found["cells"]}
    assert shown == {(1, 0): ["image 5", "image 6"], (0, 1): ["image 2"], (0, 0): ["image 1", "image 0"],
                     (1, 1): ["image 3", "image 4"]}  # fmt: skip


def test_a_temperature_changes_the_probabilities_and_keeps_both_calibrations() -> None:
    """At T = 2 the odds are the root: 0.8 / 0.2 = 4 becomes 2, so 2 / 3."""
    found = seven(temperature=2.0)
    two = next(one for one in found["images"] if one["name"] == "image 2")
    assert two["confidence"] == pytest.approx(2 / 3, rel=1e-5)
    assert found["reliability_before"] == seven()["reliability"] != found["reliability"]
    assert found["reliability"]["n"] == 7
    assert found["reliability"]["accuracy"] == pytest.approx(4 / 7)


def test_scores_that_are_not_finite_make_no_pictures() -> None:
    assert gather(part(2), (torch.tensor([[0.0, torch.nan]] * 2), LABELS[:2]), classes=["a", "b"]) is None


def test_several_labels_are_counted_label_by_label() -> None:
    """Label 0: one right, one false, one missed. The falsest label ranks the images."""
    labels = torch.tensor([[1, 0], [0, 1], [1, 1]])
    p = torch.tensor([[0.9, 0.2], [0.7, 0.8], [0.1, 0.6]])
    found = gather(part(3), (p.logit(), labels), classes=["sky", "sea"])
    assert found is not None
    assert found["counts"] == [[1, 1, 1], [2, 0, 0]]
    assert names(found, found["worst"]) == ["image 2", "image 1"]
    two = next(one for one in found["images"] if one["name"] == "image 2")
    assert (two["labels"], two["said"], two["label"]) == ([0, 1], [1], 0)
    assert two["own"] == two["confidence"] == pytest.approx(0.1, rel=1e-4)
    assert "confusion" not in found


def test_the_choice_is_bounded_for_a_thousand_classes_of_noise() -> None:
    """Every thumbnail within its length, and 1 MB in all; each mistake's cell gets its first image before a second."""
    n, K = 3000, 1000
    generator = torch.Generator().manual_seed(1)
    scores, labels = torch.randn((n, K), generator=generator), torch.randint(0, K, (n,), generator=generator)
    found = gather(part(n, size=112, channels=3), (scores, labels), classes=[f"class {k}" for k in range(K)])
    assert found is not None
    assert sum(found["confusion"]["n"]) == n
    assert sum(len(cell["images"]) for cell in found["cells"]) == choice.CELLS == 120
    thumbnails = [one["thumbnail"] for one in found["images"]]
    assert max(map(len, thumbnails)) <= LENGTH
    assert sum(map(len, thumbnails)) < 820_000
    assert (choice.WORST + choice.UNCERTAIN + 2 * choice.DOUBTS + choice.CELLS + 2 * duplicates.PAIRS) * LENGTH < 1.01e6


def test_frequent_cells_show_more_images_up_to_their_bound() -> None:
    """100 mistakes of one cell, 1 of another; 3 right ones."""
    labels = torch.tensor([0] * 100 + [1] + [2] * 3)
    predicted = torch.tensor([1] * 100 + [2] + [2] * 3)
    found = choice.cells(labels, predicted, torch.linspace(0, 1, 104), classes=3)
    assert [(one.true, one.predicted, one.n, len(one.rows)) for one in found] == [
        (0, 1, 100, choice.EACH), (1, 2, 1, 1), (2, 2, 3, choice.RIGHT)]  # fmt: skip
    assert found[0].rows[0] == 99
    assert found[2].rows[0] == 101  # the least sure


@pytest.mark.parametrize(("size", "kept"), [((400, 300), (96, 72)), ((8, 8), (8, 8)), ((2, 3000), (1, 96))])
def test_thumbnails_keep_the_aspect_and_small_images_their_pixels(size: Any, kept: Any) -> None:
    url = encode(Image.new("RGB", size, (200, 30, 40)))
    image = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))))
    assert (image.size, image.format) == (kept, "JPEG")
    assert np.abs(np.asarray(image, int) - (200, 30, 40)).max() <= 3
    assert max(image.size) <= SIDE


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (5, "RGB")])
def test_arrays_of_any_number_of_channels_have_thumbnails(channels: int, mode: str) -> None:
    url = thumbnail(part(1, channels=channels), 0)
    assert url is not None
    assert Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).mode == mode


def test_thumbnails_are_of_the_file_unless_it_has_gone(pngs: Path, tmp_path: Path) -> None:
    """The file of the folder is whole; the net sees a square of it."""
    for k in range(4):
        (tmp_path / "p" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 40), (60 * k, 0, 0)).save(tmp_path / "p" / "ab"[k % 2] / f"{k}{k}.png")
    for k in range(6):
        Image.new("RGB", (40, 80), (0, 40 * k, 0)).save(tmp_path / "p" / "ab"[k % 2] / f"{k}.png")
    data = load(str(tmp_path / "p"), size=32)
    scores = torch.zeros((len(data.test), 2))
    found = gather(data.test, (scores, data.test.labels), classes=data.classes)
    assert found is not None
    sizes = set()
    for one in found["images"]:
        image = Image.open(io.BytesIO(base64.b64decode(one["thumbnail"].partition(",")[2])))
        sizes.add(tuple(sorted(image.size)))
        (tmp_path / "p" / one["name"]).unlink()
    assert sizes == {(40, 80)}
    gone = gather(data.test, (scores, data.test.labels), classes=data.classes)
    assert gone is not None
    assert all(Image.open(io.BytesIO(base64.b64decode(one["thumbnail"].partition(",")[2]))).size == (32, 32)
               for one in gone["images"])  # fmt: skip


def test_a_later_evaluation_keeps_what_training_found_on_the_validation_part(tmp_path: Path) -> None:
    pixels = part(7)
    data = ImageData(name="seven", train=part(9), test=Pixels(pixels=pixels.pixels, labels=LABELS), classes=("a", "b"),
                     shape=(1, 8, 8), fingerprint=fingerprint(pixels, pixels, classes="ab"), about="")  # fmt: skip
    run, scored = Run(tmp_path / "run"), (torch.tensor(P).log(), LABELS)
    run.make()
    run.write_json("spec.json", {"family": "resnet"})
    keep(run, data, scored, validation=(part(7), scored), views="single view")
    first = run.read_json("results/pictures.json")
    keep(run, data, (scored[0].flip(1), LABELS), views="10-crop")
    second = run.read_json("results/pictures.json")
    assert first["validation"] == second["validation"]
    assert first["validation"]["doubts"]["n"] == 2  # images 2 and 5; thresholds 0.567 and 0.562
    assert (first["views"], second["views"]) == ("single view", "10-crop")
    assert run.read_json("results/duplicates.json")["compared"]
