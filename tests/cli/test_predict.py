"""`reslab predict` as a person meets it: images of folders, lists and odd names; what is broken or refused."""

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import reslab
from reslab.cli import main
from reslab.images.model import Predictor
from reslab.images.origin import FIFTH, trained_on
from reslab.run import Run

ROOT = Path(__file__).parents[2]
QUICK = ["--net", "resnet8", "--iterations", "3", "--precision", "fp32", "--memory-format", "NCHW", "--compile", "off",
         "--schedule", "constant"]  # fmt: skip


def noise(path: str, *, size: tuple[int, int] = (20, 24), mode: str = "RGB", level: int = 0) -> str:
    pixels = np.random.default_rng(len(path)).integers(0, 100, (*size, 3), dtype=np.uint8) + np.uint8(level)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def table(path: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(Path(path).read_bytes().decode(), newline="")))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three classes of RGB noise of several sizes, with a validation part."""
    home = tmp_path_factory.mktemp("trained")
    for k, name in enumerate(("ant", "bee", "cat")):
        for i in range(8):
            noise(str(home / "pets" / name / f"{i}.png"), size=(16 + i, 20), level=70 * k)
    words = [
        "--data",
        str(home / "pets"),
        "--size",
        "16",
        "--batch",
        "8",
        "--validation",
        "4",
        "--out",
        str(home / "run"),
    ]
    assert main(["train", *QUICK, *words]) == 0
    return home


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """The run as `run` in the test's folder, and new/: two images, a hidden one, a text; nothing printed yet."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "run", "run")
    noise("new/b.png", level=100)
    noise("new/deep/a.jpg")
    noise("new/.hidden.png")
    Path("new/notes.txt").write_text("no image")
    capsys.readouterr()
    return tmp_path


def test_a_folder_is_predicted_in_order(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "run", "new", "new/b.png", "--top", "2"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines] == ["new/b.png", "new/deep/a.jpg", "new/b.png"]
    assert lines[0] == lines[2]
    best = reslab.load("run").predict("new/b.png").top(2)
    assert lines[0].split()[1:] == [word for name, p in best for word in (name, f"{100 * p:.1f}", "%")]
    assert "calibrated: temperature " in said.err
    assert "fitted on 4 validation images; fp32\n" in said.err
    assert "1 file ignored: .txt (1)\n" in said.err


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("top", [None, 2])
def test_files_hold_what_python_predicts(
    here: Path, kind: str, top: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"p.{kind}"
    for said in (f"predictions: {out}\n", f"replaced {out}\n"):
        assert main(["predict", "run", "new", "--out", out, *([] if top is None else ["--top", str(top)])]) == 0
        text = capsys.readouterr().out
        assert text.startswith("predicted 2 images\nclasses: ")
        assert text.endswith(said)
    found = reslab.load("run").predict(["new/b.png", "new/deep/a.jpg"])
    if kind in ("csv", "parquet"):
        rows = table(out) if kind == "csv" else pytest.importorskip("pyarrow.parquet").read_table(out).to_pylist()
        names = ["p(ant)", "p(bee)", "p(cat)"] if top is None else ["class_2", "probability_2"]
        assert list(rows[0]) == ["file", "class", "probability", *names]
        for row, one in zip(rows, found, strict=True):
            assert (row["file"], row["class"], float(row["probability"])) == (one.file, one.class_name, one.probability)
            if top is None:
                assert [float(row[name]) for name in names] == one.values.tolist()
            else:
                assert (row["class_2"], float(row["probability_2"])) == one.top(2)[1]
        return
    text = Path(out).read_text()
    records = json.loads(text)["predictions"] if kind == "json" else [json.loads(line) for line in text.splitlines()]
    assert [one["file"] for one in records] == ["new/b.png", "new/deep/a.jpg"]
    if top is None:
        assert [one["probabilities"] for one in records] == [one.probabilities for one in found]
    else:
        assert [[(c["class"], c["probability"]) for c in one["top"]] for one in records] == [
            one.top(2) for one in found
        ]


def test_broken_files_are_reported_and_the_rest_is_predicted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("new/c.png").write_bytes(Path("new/b.png").read_bytes()[:60])
    Path("new/d.jpg").symlink_to("nowhere")
    os.mkfifo("new/e.gif")
    Path("empty").mkdir()
    assert main(["predict", "run", "new", "gone.png", "new/e.gif", "empty", "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert [one["file"] for one in found["predictions"]] == ["new/b.png", "new/deep/a.jpg"]
    reasons = {one["file"]: one["reason"] for one in found["broken"]}
    assert list(reasons) == ["gone.png", "empty", "new/c.png", "new/d.jpg", "new/e.gif"]
    assert reasons["gone.png"] == "no such file or folder"
    assert reasons["empty"].startswith("there is no image in this folder (known by .bmp, .gif")
    assert reasons["new/d.jpg"] == "there is no such file"
    assert reasons["new/e.gif"] == "it is not a regular file"
    for name, reason in reasons.items():
        assert f"reslab: {name} cannot be predicted: {reason}\n" in said.err
    assert said.err.endswith("5 of 7 files could not be predicted\n")


def test_exit_codes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.png").write_bytes(b"bad")
    assert main(["predict", "run", "bad.png", "--out", "p.csv"]) == 1
    assert capsys.readouterr().err.endswith("reslab: the file cannot be predicted\n")
    assert main(["predict", "run", "bad.png", "gone.png", "--out", "p.csv"]) == 1
    assert capsys.readouterr().err.endswith("reslab: none of the 2 files can be predicted\n")
    assert sorted(path.name for path in Path().iterdir()) == ["bad.png", "new", "run"]
    assert main(["predict", "run", "gone.png"]) == 2
    assert capsys.readouterr().err == "reslab: gone.png: no such file or folder\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("predict run", "name what to predict: reslab predict run FILE, a folder, or -"),
        ("predict nothing new", "nothing: no such run folder"),
        ("predict new new", "new is not a run folder: it has no spec.json"),
        ("predict new/b.png new", "new/b.png is no run folder: `reslab predict` needs one"),
        ("predict run new --out p.txt", "predictions are written as .csv, .parquet, .json or .jsonl, got 'p.txt'"),
        ("predict run new --out new/deep.csv", "new/deep.csv exists and does not look like predictions; choose another "
         "file with --out"),
        ("predict run new --top 0", "--top must be at least 1, got 0"),
        ("predict run new --batch 0", "batch must be positive, got 0"),
        ("predict run new --workers -1", "workers must be zero or more, got -1"),
        ("predict run new --context a.txt", "run holds a net for images, for which there is no --context"),
        ("predict run ''", "'': no such file or folder"),
    ],
)  # fmt: skip
def test_what_is_refused(here: Path, words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("new/deep.csv").write_text("name,price\nx,3\n")
    assert main([word.strip("'") if word == "''" else word for word in words.split()]) == 2
    assert said in capsys.readouterr().err
    assert Path("new/deep.csv").read_text() == "name,price\nx,3\n"


class Input(io.TextIOWrapper):
    """Standard input with these bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))


def test_paths_on_standard_input(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One a line, or NUL-separated: then names with line breaks, and bytes that are not text, reach the files."""
    odd = [b"new/two\nlines.png", b"new/\xff\x1b[31m.png", b"-dash.png"]
    for name in odd:
        shutil.copy("new/b.png", name)
    for data, names in ((b"new/b.png\r\n\nnew/deep/a.jpg", [b"new/b.png", b"new/deep/a.jpg"]), (b"\0".join(odd), odd)):
        monkeypatch.setattr(sys, "stdin", Input(data))
        assert main(["predict", "run", "-", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [os.fsencode(one["file"]) for one in found["predictions"]] == names
    assert main(["predict", "run", "new", "--", "-dash.png"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 5
    assert "new/two\\nlines.png" in out
    assert main(["predict", "run", "new", "--out", "p.csv"]) == 0
    assert "new/two\nlines.png" in [row["file"] for row in table("p.csv")]
    assert main(["predict", "run", "new", "--out", "p.parquet"]) == 0
    for data, said in ((b"", "standard input holds no paths"), (Path("new/b.png").read_bytes(), "holds an image, not")):
        monkeypatch.setattr(sys, "stdin", Input(data))
        assert main(["predict", "run", "-"]) == 2
        assert said in capsys.readouterr().err


def test_training_images_are_noted(trained: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("link").symlink_to(trained / "pets" / "ant")
    assert main(["predict", "run", "link"]) == 0
    assert "the images are in" in (said := capsys.readouterr().err)
    assert "which the run was trained on (four fifths of its images): a net knows its training images" in said
    assert main(["predict", "run", "new", str(trained / "pets" / "ant" / "0.png")]) == 0
    assert "1 of the 3 images is in" in capsys.readouterr().err
    assert main(["predict", "run", "new"]) == 0
    assert "trained on" not in capsys.readouterr().err


def test_training_images_of_a_list_are_noted(here: Path) -> None:
    run = Run("listed")
    run.write_json("data.json", {"word": str(here / "all.csv"), "options": {}})
    Path("all.csv").write_text("file,label,part\nnew/b.png,ant,train\nnew/deep/a.jpg,bee,test\n")
    said = trained_on(run, ["new/b.png", "new/deep/a.jpg", "gone.png"])
    assert said.startswith(f"1 of the 3 images is in {here}/all.csv, which the run was trained on: a net knows")
    Path("all.csv").write_text("file,label\nnew/b.png,ant\nnew/deep/a.jpg,bee\n")
    said = trained_on(run, ["new/deep/a.jpg", "new/b.png"])
    assert said.startswith(
        f"the images are in {here}/all.csv, which the run was trained on (four fifths of its images)"
    )
    Path("all.csv").unlink()
    assert trained_on(run, ["new/b.png"]) == ""


@pytest.mark.parametrize("out", [[], ["--out", "p.csv"], ["--out", "p.json"], ["--out", "p.parquet"]])
def test_ctrl_c_leaves_no_file(
    here: Path, out: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = Predictor.stream

    def interrupted(self: Predictor, *given: Any, **options: Any) -> Any:
        yield next(plain(self, *given, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "stream", interrupted)
    assert main(["predict", "run", "new", "--batch", "1", *out]) == 130
    assert capsys.readouterr().err.endswith("reslab: stopped\n")
    assert sorted(path.name for path in Path().iterdir()) == ["new", "run"]


def test_several_labels_have_a_probability_each(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The labels of at least 0.5 are the class; a file of the test part gets the scores that evaluating gives."""
    lines = ["file,red,big"]
    for i in range(12):
        noise(f"some/{i}.png", level=100 * (i % 2))
        lines.append(f"some/{i}.png,{i % 2},{int(i < 6)}")
    Path("some.csv").write_text("\n".join(lines))
    words = ["--data", "some.csv", "--label-columns", "red", "big", "--size", "16", "--batch", "4", "--validation", "3"]
    assert main(["train", *QUICK, *words, "--out", "several"]) == 0
    stored = json.loads(Path("several/results/train.json").read_text())
    assert stored["temperature"]["n"] == 3
    capsys.readouterr()
    assert main(["predict", "several", "some", "--out", "p.csv"]) == 0
    said = capsys.readouterr()
    assert "predicted 12 images\n" in said.out
    assert f"some.csv, which the run was trained on{FIFTH}" in said.err
    net = reslab.load("several")
    with torch.no_grad():
        z = net(torch.stack([net.preprocess(f"some/{i}.png") for i in range(12)]))
    p = (z / stored["temperature"]["temperature"]).sigmoid()
    rows = {row["file"]: row for row in table("p.csv")}
    for i in range(12):
        row = rows[f"some/{i}.png"]
        assert [float(row["p(red)"]), float(row["p(big)"])] == pytest.approx(p[i].tolist(), abs=1e-5)
        names = {name for name, one in zip(("red", "big"), p[i], strict=True) if one >= 0.5}
        assert set(filter(None, row["class"].split("|"))) == names
        assert float(row["probability"]) == pytest.approx(p[i].max().item(), abs=1e-5)
    assert main(["predict", "several", "some/0.png", "--top", "2", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["predictions"]
    assert one["labels"] == [name for name, _ in net.predict("some/0.png").top(2) if name in one["labels"]]
    assert main(["predict", "several", "some/0.png", "some/1.png", "--top", "2"]) == 0
    assert capsys.readouterr().out.count("[") == 2
    assert main(["predict", "several", "some/0.png", "--top", "2", "--out", "q.csv"]) == 0
    assert list(table("q.csv")[0]) == [
        "file",
        "class",
        "probability",
        "class_1",
        "probability_1",
        "class_2",
        "probability_2",
    ]


@pytest.mark.filterwarnings("always")
def test_mirrored_digits_are_warned_of(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "tests" / "golden" / "folders" / "images-finished", "digits")
    assert main(["predict", "digits", "new/b.png", "--tta", "flip"]) == 0
    said = capsys.readouterr().err
    assert "a mirrored digit is not a digit: leave it out" in said
    assert "not calibrated: no validation part (set --validation 0.1); fp32, mean of each image and its mirror" in said
    assert said.endswith("1 color image converted to gray\n")


def test_weights_of_a_run_name_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for model in ("run", "run/weights.safetensors"):
        assert main(["predict", model, "new", "--precision", "auto", "--workers", "1"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


def test_a_run_of_questions_answers(here: Path, colors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `reslab qa ask` and `reslab qa eval` do."""
    run = shutil.copytree(colors, "colors")
    Path("c.txt").write_text("the sky is blue")
    asked = ["What color is the sky?", "--context", "c.txt", "--top", "1"]
    assert main(["predict", run, *asked]) == 0
    said = capsys.readouterr().out
    assert main(["qa", "ask", run, *asked]) == 0
    assert said == capsys.readouterr().out
    article = {"context": "the sky is blue", "qas": [{"id": "q", "question": "what color?", "answers": []}]}
    article["qas"][0]["answers"] = [{"text": "blue", "answer_start": 11}]
    Path("q.json").write_text(json.dumps({"data": [{"title": "a", "paragraphs": [article]}]}))
    assert main(["predict", run, "q.json", "--out", "a.json"]) == 0
    assert json.loads(Path("a.json").read_text()) == {"q": "blue"}
    assert "exact match 100.00 %" in capsys.readouterr().out
    assert main(["predict", run, "q.json", "--tta", "flip"]) == 2
    assert "colors holds a net for questions, for which there is no --tta" in capsys.readouterr().err


def test_a_run_of_tables_predicts_rows(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reslab.tables.ResidualClassifier(recipe={"epochs": 1}).fit({"a": list(range(20))}, ["no", "yes"] * 10).save("t")
    Path("new.csv").write_text("a\n3\n4\n")
    capsys.readouterr()
    assert main(["predict", "t", "new.csv"]) == 0
    assert capsys.readouterr().out.startswith("predicted 2 rows of new.csv\n")
    rows = table("predictions.csv")
    assert list(rows[0]) == ["row", "predicted", "p(no)", "p(yes)"]
    assert main(["predict", "t", "new.csv", "new.csv"]) == 2
    assert "t predicts one file of rows at a time, got 2" in capsys.readouterr().err
