"""What the documents say must work: every command parses, the README's verbs and its Python run as written."""

import contextlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import reslab
from reslab.cli import app, main
from reslab.extras import installed

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUICK = ["--iterations", "3", "--precision", "fp32", "--memory-format", "NCHW", "--compile", "off"]
USUAL = ["--out", "runs/digits-resnet20-digits-s0"]  # the name without the options of QUICK


def commands(text: str) -> list[list[str]]:
    """Every `reslab ...` line inside a code block, without its comment; lines ending in a backslash joined."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("reslab ")]


@pytest.mark.parametrize("doc", DOCS, ids=lambda path: path.name)
def test_every_command_parses(doc: Path) -> None:
    for words in commands(doc.read_text(encoding="utf-8")):
        app.parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.timeout(900)  # a dozen commands, one after another
def test_the_readmes_verbs_and_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ran = set()
    for words in commands(text):
        verb = words[0]
        few = [] if "--samples" in words else ["--samples", "20"]
        extra = {"train": [*QUICK, *USUAL], "look": few, "slim": few}.get(verb, [])
        if verb == "study":  # the guides' own tests run the others
            extra = {"degradation": [*QUICK, "--depths", "8", "14", "--seeds", "1"], "grid": ["--dry-run"],
                     "identity": ["--steps", "2", "--layers", "linear"]}[words[1]]  # fmt: skip
        if verb == "claims" and words[1].startswith("--"):
            extra = ["--dry-run"]
        if verb == "nets" and len(words) == 1:
            continue  # builds the 1202-layer nets: tests/cli lists them
        if verb in ("qa", "tables", "predict", "runs", "serve") or {"photos", "runs/photos"} & set(words):
            continue  # of the reader's own files; the guides' examples run below
        assert main([*words, *extra]) == 0, words
        ran.add(verb)
    assert ran == {"nets", "train", "eval", "look", "slim", "export", "push", "study", "claims", "report", "doctor"}
    python = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(python) == 1
    done = subprocess.run([sys.executable, "-c", python[0]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "97 tensors matched by name" in done.stdout


def test_the_readme_names_every_file_that_stands_alone() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in re.findall(r"^  ([\w/]+\.py|[\w/]+/) ", text, re.MULTILINE):
        assert (ROOT / "src" / "reslab" / line).exists(), line


def test_the_guide_of_looking_inside_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first look, on digits, and its Python."""
    text = (ROOT / "docs" / "looking-inside.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    first = [words for words in commands(text) if "digits" in " ".join(words)]
    assert [words[:2] for words in first[:2]] == [["train", "--net"], ["look", "all"]]
    for words in first:
        few = [*QUICK, *USUAL] if words[0] == "train" else ["--samples", "4", "--batch", "4"]
        few = [] if words[1] in ("merges", "certify") else few
        given = [word for i, word in enumerate(words) if word != "--samples" and words[i - 1] != "--samples"]
        assert main([*given, *few]) == 0, words
    python = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "9 stages.1.0 its shortcut maps" in done.stdout


def test_the_guide_of_large_data_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As written, but for the length of the trainings, on twenty photos."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0)
    for k in range(20):
        folder = tmp_path / "photos" / "cat dog".split()[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    done = []
    for words in commands((ROOT / "docs" / "large-data.md").read_text(encoding="utf-8")):
        assert main([*words, *([*QUICK, "--batch", "4"] if words[0] == "train" else [])]) == 0, words
        done.append(words[:2])
    assert done == [
        ["data", "prepare"],
        ["train", "--data"],
        ["data", "prepare"],
        ["data", "shards"],
        ["train", "--data"],
    ]
    assert len([*tmp_path.glob("runs/*/weights.safetensors")]) == 2  # of all shards, and of some


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the blocks' times do not add up")
def test_the_guide_of_slimming_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first time, on digits, as written but for the length of the training; and its Python."""
    text = (ROOT / "docs" / "slimming.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    first = [words for words in commands(text) if "digits" in " ".join(words)]
    assert [words[0] for words in first] == ["train", "slim", "slim", "eval"]
    for words in first:
        assert main([*words, *(QUICK if words[0] == "train" else [])]) == 0, words
    (python,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "remove 3 of 9 blocks of ResNet" in done.stdout
    assert 'spec reslab.load("FOLDER' in done.stdout
    assert "resnet20-slim14" in done.stdout


@pytest.mark.slow
def test_the_guide_of_grids_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As written, but for the length of the trainings; on Ray only where it is installed."""
    text = (ROOT / "docs" / "grids.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = []
    for words in commands(text):
        done.append(words)
        if "ray:head:6379" in words or ("ray" in words and not installed("ray")):
            continue
        short = ["--iterations", "2"] if "--plan" not in words else []
        code = main([*(word for word in words if word not in ("--epochs", "5")), *short])
        if "--gather" in words:  # after the first of six tasks
            assert code == 1
            for k in range(1, 6):
                assert main([*words[:-1], "--task", str(k)]) == 0
            code = main(words)
        assert code == 0, words
    assert len(done) == 8
    assert (tmp_path / "runs" / "batches" / "report.html").exists()


@pytest.mark.slow
def test_the_guide_of_shipping_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As written, but for the length of the training; a server is asked once and stopped; and its Python."""
    text = (ROOT / "docs" / "shipping.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("photo.png", "a.png", "b.png"):
        Image.fromarray(np.full((20, 30), 90, np.uint8)).save(name)
    ran = []
    for words in commands(text):
        ran.append(words[0])
        if words[0] == "serve" and len(words) == 2:
            assert served_and_stopped(words) == 0
        elif "answers=runs/squad" not in words:  # a reader of the user's own
            assert main([*words, *(QUICK if words[0] == "train" else [])]) == 0, words
    assert ran.count("export") == 3
    (python,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def served_and_stopped(words: list[str]) -> int:
    """Serve on a free port until it is ready, then send SIGTERM; the exit code."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "reslab", *words, "--port", str(port)], stderr=subprocess.DEVNULL)
    for _ in range(600):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready") as answer:
            if answer.status == 200:
                break
        time.sleep(0.1)
    else:
        server.kill()
        raise AssertionError("the server was not ready within a minute")
    server.send_signal(signal.SIGTERM)
    return server.wait(timeout=60)


def guide_of_questions(*, iterations: str) -> str:
    """Run the commands about its example, the training's 200 iterations replaced; its Python's code."""
    text = (ROOT / "docs" / "question-answering.md").read_text(encoding="utf-8")
    Path("docs").symlink_to(ROOT / "docs")
    first = [words for words in commands(text) if "runs/stories" in words]
    assert [words[1] for words in first] == ["train", "eval", "ask"]
    for words in first:
        assert main([iterations if word == "200" else word for word in words]) == 0, words
    (python,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return python


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_guide_of_questions_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    python = guide_of_questions(iterations="20")
    done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_guide_of_questions_says_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    guide_of_questions(iterations="200")
    assert re.search(r"1 +\d+ %  Emma Stone\n(.|\n)* 1 +\d+ %  1874\n", capsys.readouterr().out)


def guide_of_tables(*few: str) -> str:
    """Run the commands about its example, `few` words added to the training; its Python's code."""
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    Path("docs").symlink_to(ROOT / "docs")
    first = [words for words in commands(text) if "docs/examples/rooms" in " ".join(words)]
    assert [words[1] for words in first] == ["train", "predict", "eval"]
    for words in first:
        assert main([*words, *(few if words[1] == "train" else [])]) == 0, words
    (python,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return python


def test_the_guide_of_tables_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    few = 'ResidualClassifier(recipe={"epochs": 1}, '
    python = guide_of_tables("--epochs", "1", "--members", "2").replace("ResidualClassifier(", few)
    done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "{'sizes__depth': " in done.stdout


@pytest.mark.slow
def test_the_guide_of_tables_says_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it took the columns for to the letter; of the accuracy that it is far from 58 %."""
    monkeypatch.chdir(tmp_path)
    guide_of_tables()
    said = capsys.readouterr()
    (table,) = re.findall(r"^ column .*?^```", (ROOT / "docs" / "tables.md").read_text(), re.MULTILINE | re.DOTALL)
    shown = {" ".join(line.split()) for line in said.out.splitlines()}
    assert {" ".join(line.split()) for line in table.splitlines()[2:-1]} <= shown
    assert float(re.search(r"^accuracy ([\d.]+) %", said.out, re.MULTILINE)[1]) > 75
    assert "column 'town': 1 of 12 rows has a value" in said.err


@pytest.mark.slow
def test_the_guide_of_claims_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As written, but that claims are bottleneck-costs, which trains nothing, in the place of all and of others."""
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("docs").symlink_to(ROOT / "docs")
    assert main(["claims", "--only", "bottleneck-costs", "--out", "runs/claims-digits"]) == 0
    ran = []
    for words in commands(text):
        quick = ["digits" if word == "mnist" else word for word in words]
        runs = len(words) == 1 or words[1].startswith("--")
        if runs and "--claims" not in words:
            quick = ["bottleneck-costs" if word == "plain-degrades" else word for word in quick]
            quick += ["--only", "bottleneck-costs"] * ("--only" not in words)
        assert main(quick) == 0, words
        ran.append("run" if runs else words[1])
    assert {*ran} == {"run", "list", "show", "agree", "table"}
    said = capsys.readouterr().out
    assert "1 of 1 verdicts agree: 100.0 %" in said
    assert re.search(r"^(HOLDS|NOT SHOWN) +A wider net fits better \(wider-fits-better\)", said, re.MULTILINE)


def test_the_guide_of_predicting_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands and its Python, on three classes of noise."""
    text = (ROOT / "docs" / "predicting.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    pets(train=6, test=2)
    Path("new").mkdir()
    for k in (1, 2):
        shutil.copy(f"pets/test/bee/{k - 1}.png", f"new/{k}.png")
    first = [words for words in commands(text) if "RUN" not in words]
    assert [words[0] for words in first] == ["train", *["predict"] * 4]
    for words in first:
        few = ["1" if word == "10" else word for word in words]
        assert main([*few, *(QUICK[2:] if words[0] == "train" else [])]) == 0, words
    assert Path("predictions.csv").read_text().startswith("file,class,probability,p(ant),p(bee),p(cat)\nnew/1.png,")
    (pipe,) = re.findall(r"^find .*", text, re.MULTILINE)
    find, words = pipe.split("| reslab ")
    with Path("list").open("wb") as file:
        subprocess.run(shlex.split(find), stdout=file, check=True)
    with Path("list").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert main(shlex.split(words)) == 0
    assert Path("predictions.parquet").is_file()
    (python,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", python], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"3 predictions; calibrated: temperature" in done.stdout


def pets(*, train: int, test: int) -> None:
    """pets/train and pets/test with this many images of noise in each of three classes."""
    noise = np.random.default_rng(0)
    for part, n in (("train", train), ("test", test)):
        for name in ("ant", "bee", "cat"):
            Path("pets", part, name).mkdir(parents=True)
            for k in range(n):
                pixels = noise.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(f"pets/{part}/{name}/{k}.png")


def test_the_guide_of_images_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands and its Python, on three classes of noise, with the line that it prints."""
    text = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    pets(train=16, test=4)
    for k in range(5):
        Path(f"pets/train/ant/{k}.heic").touch()
    lists = [words for words in commands(text) if any(word.endswith(".csv") for word in words)]
    rows = [(f"pets/train/{name}/{k}.png", name, k) for name in ("ant", "bee") for k in range(5)]
    Path("photos.csv").write_text("\n".join(["file,label", *(f"{file},{name}" for file, name, _ in rows)]))
    Path("scenes.csv").write_text(
        "\n".join(["file,beach,sunset,people", *(f"{file},1,0,{k % 2}" for file, _, k in rows)])
    )
    Path("tags.csv").write_text("\n".join(["file,tags", *(f"{file},beach;{name}" for file, name, _ in rows)]))
    for words in lists:
        assert main(["data", *words[2:], "--out", f"{words[2]}.html"]) == 0, words
    others = [words for words in commands(text) if words not in lists]
    assert (len(lists), [words[0] for words in others]) == (3, ["data", "train"])
    for words in others:
        few = ["1" if word == "10" else word for word in words]
        assert main([*few, *(QUICK[2:] if words[0] == "train" else [])]) == 0, words
    assert Path("data-pets.html").stat().st_size < 1_500_000
    account, training = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", account], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"pets: {done.stdout.splitlines()[0]}\n" in text
    assert done.stdout.endswith("0 test images are training images, too\n")
    Path("new.jpg").symlink_to("pets/train/ant/0.png")
    assert "epochs=10" in training
    quick = training.replace("epochs=10", "iterations=2, precision='fp32', memory_format='NCHW', compile='off'")
    trained = subprocess.run([sys.executable, "-c", quick], capture_output=True, text=True, check=False)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.splitlines()[-1] in ("ant", "bee", "cat")


def guide_of_photographs(*, net: str, size: int, train: int, few: tuple[str, ...]) -> str:
    """Run the six commands on three colors of noise, from random weights in a file; its Python's code."""
    text = (ROOT / "docs" / "photographs.md").read_text(encoding="utf-8")
    noise = np.random.default_rng(0)
    for part, n in (("train", train), ("test", 4)):
        for k, name in enumerate(("ant", "bee", "cat")):
            Path("photos", part, name).mkdir(parents=True)
            for i in range(n):
                pixels = noise.integers(0, 90, (size, size, 3))
                pixels[:, :, k] += 120
                Image.fromarray(pixels.astype(np.uint8)).save(f"photos/{part}/{name}/{i}.jpg")
    shutil.copytree("photos/test/bee", "new")
    torch.save(reslab.net(net).state_dict(), "resnet18.pth")  # type: ignore[call-overload]
    first = [words for words in commands(text) if words[0] != "runs"]
    assert [words[0] for words in first] == ["data", "train", "train", "eval", "look", "predict"]
    for words in first:
        given = [net if word == "resnet18" else word for word in words]
        assert main([*given, *(few if words[0] == "train" else [])]) == 0, words
    assert Path("lr-find.html").is_file()
    assert Path("predictions.csv").read_text().startswith("file,class,probability,class_2,probability_2,class_3")
    (python,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return python


def test_the_guide_of_photographs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ResNet-8 in the place of ResNet-18, on small images."""
    monkeypatch.chdir(tmp_path)
    python = guide_of_photographs(net="resnet8", size=32, train=10, few=(*QUICK, "--workers", "0"))
    quick = (
        python.replace('"resnet18"', '"resnet8"').replace("out=", "iterations=2, out=").replace("/photos", "/python")
    )
    done = subprocess.run([sys.executable, "-c", quick], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\d+\.\d+ runs/python/report.html$", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_the_guide_of_photographs_tells_colors_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As written, but for the length: 60 updates of ResNet-18 from random weights."""
    monkeypatch.chdir(tmp_path)
    guide_of_photographs(net="resnet18", size=100, train=10, few=("--iterations", "60"))
    assert "\ntest error 0.00 % (n = 12" in capsys.readouterr().out
    assert {line.split(",")[1] for line in Path("predictions.csv").read_text().splitlines()[1:]} == {"bee"}
