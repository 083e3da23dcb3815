"""Flags: what is taken as given, what is refused, and what the data decide."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.cli import main
from reslab.train.recipe import read

QUICK = ["--net", "resnet8", "--iterations", "1", "--precision", "fp32", "--memory-format", "NCHW", "--compile", "off"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--size", "0"], "digits has a fixed size"),  # 0 was given
        (["--size", "8.5"], "must be a whole number, got 8.5"),
        (["--batch", "1.5"], "--batch: must be a whole number, got 1.5"),  # not rounded to 2
        (["--epochs", "0"], "epochs (or iterations) must be positive, got 0"),
        (["--epochs", "-1"], "epochs must be positive, got -1.0"),
        (["--lr", "-1"], "reslab: lr must be positive, got -1.0"),  # not the recipe's fault
    ],
)
def test_values_that_cannot_be(
    flags: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *flags]) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_digits_of_any_source_are_not_mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for k in range(10):
        (tmp_path / f"mine/{k}").mkdir(parents=True)
        for i in range(4):
            Image.fromarray(np.full((8, 8), 20 * k + i, np.uint8)).save(tmp_path / f"mine/{k}/{i}.png")
    assert main(["train", "--data", "mine", *QUICK, "--batch", "8"]) == 0
    [folder] = Path("runs").glob("mine-resnet8-mnist-*-s0")
    recipe = read(folder / "recipe.toml")
    assert (recipe.augment, recipe.flip) == ("crop", False)
