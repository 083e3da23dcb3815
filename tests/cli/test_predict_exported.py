"""`reslab predict` with an exported folder: the same lines and files as with a run; what does not apply is refused."""

import json
from pathlib import Path

import pytest
from exported import export_colors
from PIL import Image

from reslab.cli import main

pytest.importorskip("openvino")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An exported model of colors as `model`, and new/: a green image, a blue one in a folder, a text."""
    monkeypatch.chdir(tmp_path)
    export_colors(Path("model"))
    Path("new/deep").mkdir(parents=True)
    Image.new("RGB", (9, 9), (0, 30, 0)).save("new/a.png")
    Image.new("RGB", (9, 30), (0, 0, 30)).save("new/deep/b.png")
    Path("new/notes.txt").write_text("no image")
    return tmp_path


def test_a_folder_is_predicted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Softmax of 0, 3, 0: e^3 / (e^3 + 2) is 90.9 %, and 1 / (e^3 + 2) 4.5 %."""
    assert main(["predict", "model", "new", "--top", "2"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "new/a.png       green  90.9 %  red     4.5 %",
        "new/deep/b.png  blue   90.9 %  red     4.5 %",
    ]
    assert said.err == "calibrated by hand; fp32\n1 file ignored: .txt (1)\n"


def test_files_are_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--out", "p.csv", "--tta", "flip", "--batch", "1", "--workers", "2", "--json"]
    assert main(["predict", "model", "new", *words]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["n"], about["precision"], about["tta"]) == (2, "fp32", "flip")
    assert about["predicted"] == {"green": 1, "blue": 1}
    lines = Path("p.csv").read_text().splitlines()
    assert lines[0] == "file,class,probability,p(red),p(green),p(blue)"
    assert lines[2].startswith("new/deep/b.png,blue,0.909")


@pytest.mark.parametrize(("words", "code", "sentence"), [
    (["--precision", "fp32"], 2,
     "model was exported in fp32: leave out --precision, or export the model again in another"),
    (["--device", "cuda"], 2, "model was exported for openvino, which runs on the CPU: leave out --device"),
    (["--context", "a.txt"], 2, "model holds a net for images, for which there is no --context: leave it out"),
    (["--batch", "0"], 2, "batch must be positive, got 0"),
])  # fmt: skip
def test_options_that_do_not_apply(
    here: Path, words: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "model", "new", *words]) == code
    assert capsys.readouterr().err.splitlines()[-1] == f"reslab: {sentence}"


def test_broken_files_and_damaged_folders(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("new/c.png").write_bytes(b"nothing")
    assert main(["predict", "model", "new"]) == 0
    assert capsys.readouterr().err.endswith("1 of 3 files could not be predicted\n")
    Path("model/.DS_Store").write_text("added, and not read")
    assert main(["predict", "model", "new/a.png"]) == 0
    capsys.readouterr()
    binary = Path("model/model.bin")
    binary.write_bytes(binary.read_bytes() + b"\0")
    assert main(["predict", "model", "new"]) == 1
    assert "model/model.bin was changed or damaged after the export" in capsys.readouterr().err
    Path("model/config.json").unlink()
    assert main(["predict", "model", "new"]) == 1
    assert "model/config.json is missing; restore a copy of it" in capsys.readouterr().err
