"""Quick trainings: small nets on a few digits, stopped where a test wants."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.images.data import ImageData, load
from reslab.images.data.images import fingerprint
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.run import Run
from reslab.train.recipe import Recipe, change

QUICK = Recipe(
    iterations=12, batch=16, lr=0.05, precision="fp32", memory_format="NCHW", compile="off", threads=1, workers=0,
    checkpoint_seconds=1e9,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    yield
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def digits() -> ImageData:
    return load("digits")


@pytest.fixture(scope="session")
def few(digits: ImageData) -> ImageData:
    """The first 80 training and 50 test digits, called otherwise so that they may be mirrored: 5 batches of 16."""
    train, test, classes = digits.train.subset(range(80)), digits.test.subset(range(50)), tuple("abcdefghij")
    mark = fingerprint(train, test, classes=classes)
    return ImageData(name="few", train=train, test=test, classes=classes, shape=digits.shape,
                     fingerprint=mark, about="a few digits.")  # fmt: skip


@pytest.fixture(scope="session")
def pngs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of class folders, three classes of 20 grey 8 x 8 images: loads fast in a child process."""
    root = tmp_path_factory.mktemp("pngs")
    noise = np.random.default_rng(0)
    for k in range(3):
        (root / f"class{k}").mkdir()
        for i in range(20):
            pixels = noise.integers(0, 80, (8, 8)) + 80 * k
            Image.fromarray(pixels.astype(np.uint8)).save(root / f"class{k}" / f"{i}.png")
    return root


Begin = Callable[..., Run]


@pytest.fixture
def begin() -> Begin:
    """begin(folder, data, net="resnet8", lr=0.1): a run folder ready to train."""

    def make(folder: Path, data: ImageData, *, net: str = "resnet8", word: str = "digits", **changes: Any) -> Run:
        return prepare(folder, net=spec(net), data=data, word=word, recipe=change(QUICK, **changes))

    return make


@pytest.fixture
def straight() -> Callable[..., Run]:
    """Train a run to its end without a break, and give it back."""

    def whole(run: Run, data: ImageData | None = None) -> Run:
        train(run.folder, data=data, device="cpu")
        return run

    return whole
