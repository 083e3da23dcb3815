"""reslab data: what it prints, its JSON and its page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.cli import main
from reslab.images.account import take
from reslab.images.data import load


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with a name that is markup, a copy in both parts, and a file that is ignored."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0)
    for name in ("cat", "<b>dog"):
        for k in range(5):
            Path("pets", name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(f"pets/{name}/{k}.png")
    Path("pets/cat/notes.heic").write_text("x")
    return "pets"


def test_the_account_is_printed(pets: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", pets]) == 0
    out = capsys.readouterr().out
    assert out.startswith("pets: 2 classes: <b>dog, cat; 8 + 2 images, RGB 8x8; 1 file ignored: .heic\n")
    assert re.search(r"^ cat +4 +1 *$", out, re.MULTILINE)
    assert "train: 8 images, 0 broken, 0 repeated; sizes: 8 x 8 (8); modes: RGB (8)\n" in out
    assert "ignored: .heic (1): cat/notes.heic\n" in out
    assert "test images that are training images, too: 0" in out
    assert out.endswith("report: data-pets.html\n")


def test_json_is_what_python_reports(pets: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", pets, "--json", "--out", "mine.html"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.pop("report") == "mine.html"
    assert found == json.loads(json.dumps(take(load(pets, memory=0)).as_dict()))


def test_the_page_is_one_small_file_without_scripts(pets: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", pets]) == 0
    page = Path("data-pets.html").read_text(encoding="utf-8")
    assert len(page) < 60_000
    assert "<script" not in page
    assert "&lt;b&gt;dog" in page
    assert "<b>dog" not in page
    assert page.count("data:image/png;base64,") == 8
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_mistakes_are_one_sentence(pets: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.html").write_text("my page")
    for words, code, said in [
        (["nowhere"], 2, "no data set, folder or file named 'nowhere'"),
        ([pets, "--out", "x.txt"], 2, "pages are written as .html, got 'x.txt'"),
        ([pets, "--out", "mine.html"], 2, "exists and is not a page of reslab"),
        ([pets, "--white", "0"], 2, "white must be positive"),
        (["digits", "--level", "2"], 2, "--level applies only to folders"),
    ]:
        assert main(["data", *words]) == code
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) == 1
