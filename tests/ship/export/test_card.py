"""The card of real exports: its commands and its Python run as they stand there, and its numbers are those measured."""

import csv
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from quick import QUICK

from reslab import nets
from reslab.cli import main
from reslab.images.data import load as load_images
from reslab.images.train import prepare, train
from reslab.ship.folder import verify
from reslab.ship.predict import predict
from reslab.train.cores import usable_cores
from reslab.train.recipe import change

pytest.importorskip("openvino")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run on digits, and a photograph."""
    folder = tmp_path_factory.mktemp("card")
    digits = load_images("digits")
    prepare(folder / "run", net=nets.spec("resnet8"), data=digits, word="digits",
            recipe=change(QUICK, iterations=30, validation=0.2))  # fmt: skip
    train(folder / "run", data=digits, device="cpu")
    Image.linear_gradient("L").resize((40, 30)).convert("RGB").save(folder / "photo.jpg")
    return folder


def block(card: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", card, flags=re.DOTALL)
    assert found is not None
    return found[1]


def ran(card: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The card's shell lines and its Python, executed here; what each `reslab predict` printed."""
    said = []
    for line in block(card, "sh").splitlines():
        words = shlex.split(line)
        if words[:2] == ["reslab", "predict"]:
            assert main(words[1:]) == 0
            said.append(capsys.readouterr().out)
        else:
            assert words[:2] in (["pip", "install"], ["reslab", "serve"])
    exec(block(card, "python"), {})
    assert capsys.readouterr().out.strip()
    return said


def exported(run: Path, out: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The card of the run's export to `out`."""
    assert main(["export", str(run), "--out", str(out), *words]) == 0
    capsys.readouterr()
    verify(out)
    return (out / "README.md").read_text()


def test_images(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = exported(
        images / "run", tmp_path / "out", capsys, "--precision", "fp32", "--samples", "100", "--license", "MIT"
    )
    proof = json.loads((tmp_path / "out" / "proof.json").read_text())["proofs"][0]
    shutil.copy(images / "photo.jpg", tmp_path)
    monkeypatch.chdir(tmp_path)
    said = ran(card, capsys)
    assert "photo.jpg" in said[0]
    score = proof["score"]
    assert f"| fp32 | {score['after']:.2f} % |" in card
    assert f"The original model: {score['before']:.2f} % (95 % interval" in card
    assert (score["n"], score["drop"]) == (100, 0)
    assert "`0`, `1`, `2`, `3`, `4`, `5`, `6`, `7`, `8`, `9`" in card
    assert "License of the weights: MIT" in card


def test_images_of_other_sizes_are_part_of_the_proof(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = exported(images / "run", tmp_path / "out", capsys, "--precision", "fp32", "--samples", "20")
    proof = json.loads((tmp_path / "out" / "proof.json").read_text())["proofs"][0]
    sizes = re.findall(r"images \[(\d+), (\d+), 1\]", proof["other_lengths"])
    size = json.loads((tmp_path / "out" / "config.json").read_text())["about"]["shape"][1]
    few, many = round(0.7 * size), round(1.3 * size)
    assert {tuple(map(int, one)) for one in sizes} == {(few, few), (many, many), (many, few)}
    assert "Inputs of other sizes: images" in card


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_reader(
    precision: str, tiny_reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    card = exported(tiny_reader, tmp_path / "out", capsys, "--precision", precision, "--max-drop", "100")
    shutil.copy(tiny_reader.parent / "facts.json", tmp_path / "questions.json")
    monkeypatch.chdir(tmp_path)
    ran(card, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_table(
    precision: str, tiny_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    card = exported(tiny_table, tmp_path / "out", capsys, "--precision", precision, "--max-drop", "100")
    rows = list(csv.DictReader((tiny_table.parent / "flats.csv").read_text().splitlines()))
    with (tmp_path / "rows.csv").open("w") as file:
        made = csv.DictWriter(file, [name for name in rows[0] if name != "large"], extrasaction="ignore")
        made.writeheader()
        made.writerows(rows)
    monkeypatch.chdir(tmp_path)
    ran(card, capsys)


def test_openvino_alone_gives_the_outputs_of_the_proof_as_the_card_loads_it(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In fp32, also where the processor has bf16."""
    card = exported(images / "run", tmp_path / "out", capsys, "--samples", "20", "--precision", "fp32")
    code = next(one for one in re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL) if "import openvino" in one)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    C, H, W = json.loads((tmp_path / "out" / "config.json").read_text())["about"]["shape"]
    pixels = np.random.default_rng(0).integers(0, 256, (5, H, W, C)).astype(np.uint8)
    said = predict(tmp_path / "out").engine.run({"images": pixels})["scores"]
    own = names["model"]({"images": pixels})["scores"]
    assert np.abs(own - said).max() < 1e-4
    assert f"of {usable_cores()} cores" in card
