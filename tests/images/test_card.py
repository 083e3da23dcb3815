"""The model card: which training error it shows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reslab.images.card import training_error
from reslab.images.data import ImageData
from reslab.images.train import train


def test_the_card_says_how_to_predict(begin: Callable[..., Any], few: ImageData, tmp_path: Path) -> None:
    """Its code is run: a photograph of nothing in it gets a class."""
    run = begin(tmp_path / "run", few, iterations=1)
    train(run.folder, data=few, device="cpu")
    card = run.path("README.md").read_text()
    code = card.partition("```python")[2].partition("```")[0].replace("image.png", str(tmp_path / "image.png"))
    Image.new("L", (8, 8)).save(tmp_path / "image.png")
    said: list[Any] = []
    exec(code, {"print": said.append})
    assert said[0].class_name in few.classes


RESULT = {"train_error": 61.25, "train_error_eval": 2.5}


@pytest.mark.parametrize(
    ("mixing", "words"),
    [
        ({}, "61.25 % (during the last epoch)"),
        ({"mixup": 0.2}, "2.50 % (of the trained net, without mixing images)"),
        ({"cutmix": 1.0}, "2.50 % (of the trained net, without mixing images)"),
    ],
)
def test_the_training_error_of_mixed_images_is_that_of_the_trained_net(
    mixing: dict[str, float], words: str, begin: Callable[..., Any], few: ImageData, tmp_path: Path
) -> None:
    """In the last epoch an image that is half a 3 and half a 5 counts as half wrong, whatever is predicted."""
    run = begin(tmp_path / "run", few, **mixing)
    assert training_error(run, RESULT) == words
    assert training_error(run, {"train_error": 61.25}) == "61.25 % (during the last epoch)"  # of an older version
