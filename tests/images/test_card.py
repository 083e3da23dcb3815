"""The model card: which training error it shows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reslab.images.card import training_error
from reslab.images.data import ImageData

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
