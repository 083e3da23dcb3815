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


def test_what_is_not_shown_is_counted(pets: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Five broken images and five ignored files: three of each are named. Four test images are training images."""
    for k in range(5):
        Path(f"pets/cat/x{k}.png").write_bytes(b"oops")
        Path(f"pets/cat/x{k}.txt").write_text("x")
    for part, names in (("train", "abcdefgh"), ("test", "abcd")):
        Path("twice", part, "cat").mkdir(parents=True)
        for k, name in enumerate(names):
            Image.new("L", (8, 8), 20 * k).save(f"twice/{part}/cat/{name}.png")
    assert main(["data", pets]) == 0
    out = capsys.readouterr().out
    assert "ignored: .txt (5): cat/x0.txt, cat/x1.txt, cat/x2.txt, ...\n" in out
    broken = [int(n) for n in re.findall(r" (\d) broken, ", out)]  # of each part
    more = [int(n) for n in re.findall(r"^  and (\d) more broken images$", out, re.MULTILINE)]
    assert (sum(broken), more) == (5, [n - 3 for n in broken if n > 3])
    assert more
    assert len(re.findall(r"^  broken: ", out, re.MULTILINE)) + sum(more) == 5
    assert main(["data", "twice"]) == 0
    assert "  and 1 more such test images\n" in capsys.readouterr().out


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


def test_prepare_and_verify(pets: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Broken images are listed; a second run writes nothing; --verify finds a changed byte."""
    Path("pets/cat/9.png").write_bytes(b"oops")
    assert main(["data", "prepare", pets, "--out", "shards", "--workers", "0"]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^ train +[78] +1 +0.00\d *$", out, re.MULTILINE)
    assert "shards: 10 images verified, 0 of them copied byte for byte\n" in out
    assert "1 broken image left out; shards/reslab-shards.json lists all:\n  cat/9.png: it is not an image" in out
    assert out.endswith("train on them: reslab train --data shards\n")
    assert "preparing 11 images of pets: shorter side at most 288 pixels, JPEG quality 90; about" in err
    before = {one: one.stat().st_mtime_ns for one in Path("shards").glob("*.tar")}
    assert main(["data", "prepare", pets, "--out", "shards", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["complete"] is True
    assert before == {one: one.stat().st_mtime_ns for one in Path("shards").glob("*.tar")}
    assert main(["data", "prepare", "--out", "shards", "--verify"]) == 0
    assert "10 images verified" in capsys.readouterr().out
    assert main(["data", "shards"]) == 0  # the survey of shards
    assert "pets" not in capsys.readouterr().out
    content = bytearray(Path("shards/train-00000.tar").read_bytes())
    content[700] ^= 1
    Path("shards/train-00000.tar").write_bytes(content)
    for words, code, said in [
        (["--out", "shards", "--verify"], 1, "shards/train-00000.tar: its content is not the one that was prepared"),
        ([pets, "--out", "shards", "--verify"], 2, "leave out the data set"),
        (["--out", "pets", "--verify"], 2, "pets holds no prepared shards"),
        (["--out", "shards"], 2, "name the data set to prepare"),
        (
            [pets, "--out", "pets"],
            2,
            "pets is not empty and holds no prepared shards; choose another folder",
        ),
        ([pets, "--out", "shards", "--side", "9"], 2, "was prepared with side 288"),
        ([pets, "--out", "more", "--size", "9"], 2, "shards keep the shape of each image; set --side"),
        ([pets, "--out", "more", "--quality", "0"], 2, "quality must be positive"),
    ]:
        assert main(["data", "prepare", *words]) == code
        error = capsys.readouterr().err.splitlines()
        assert said in error[-1]
        assert len([line for line in error if line.startswith("reslab:")]) == 1
