"""`reslab qa ask` as a person meets it; the net finds colors (tests/conftest.py)."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text

from reslab.cli import main
from reslab.cli.qa.ask import AROUND, in_sentence

BOATS = "One sailed east. The crimson boat\n  sailed west, they say. It sank."


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with texts."""
    monkeypatch.chdir(tmp_path)
    Path("boats.txt").write_text(BOATS)
    Path("more/deep").mkdir(parents=True)
    Path("more/hats.txt").write_text("A green hat.")
    Path("more/deep/cups.txt").write_text("A blue cup!")
    Path("more/notes.md").write_text("A crimson note.")
    return tmp_path


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_what_it_prints(colors: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Probabilities of 6, 4 and 2 at temperature 2: e^3, e^2 and e^1 in 30.2."""
    assert main(["qa", "ask", str(colors), "What color?", "--precision", "fp32", "--context", "boats.txt", "more"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "What color?",
        " 1   67 %  crimson",
        "           The crimson boat sailed west, they say.",
        "           boats.txt, characters 21 to 28",
        " 2   24 %  green",
        "           A green hat.",
        "           more/hats.txt, characters 2 to 7",
        " 3    9 %  blue",
        "           A blue cup!",
        "           more/deep/cups.txt, characters 2 to 6",
    ]
    assert err == ""


def test_json_and_several_questions(colors: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["qa", "ask", str(colors), "What color?", "Which color?", "--context", "boats.txt", "--top", "1"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["question"] for one in found["questions"]] == ["What color?", "Which color?"]
    (answer,) = found["questions"][1]["answers"]
    assert answer == {
        "text": "crimson", "score": pytest.approx(6, abs=0.1), "probability": pytest.approx(1), "document": "boats.txt",
        "start": 21, "end": 28,
    }  # fmt: skip
    assert BOATS[21:28] == "crimson"
    assert main(words) == 0
    assert capsys.readouterr().out.count("crimson boat") == 2


def test_no_answer(colors: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("dune.txt").write_text("A dune.")
    words = ["qa", "ask", str(colors), "What color?", "--context", "dune.txt", "--top", "1"]
    assert main([*words, "--no-answer"]) == 0
    assert capsys.readouterr().out == "What color?\n 1  100 %  no answer in these texts\n"
    for flags in ([], ["--always-answer"]):
        assert main([*words, *flags]) == 0
        assert "no answer" not in capsys.readouterr().out


def test_standard_input(
    colors: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line ends count as they are; a byte order mark does not."""
    stdin(monkeypatch, b"\xef\xbb\xbfone\r\ncrimson boat")
    assert main(["qa", "ask", str(colors), "What color?", "--context", "-", "--top", "1"]) == 0
    place = ["           one crimson boat", "           standard input, characters 5 to 12"]
    assert capsys.readouterr().out.splitlines()[2:] == place
    stdin(monkeypatch, b"A crimson boat")
    assert main(["qa", "ask", str(colors), "What color?", "--context", "boats.txt", "more", "-", "--top", "4"]) == 0
    assert "standard input, characters 2 to 9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["What?", "--context"], "there is no text to search: name files, folders or - after --context"),
        (["What?", "--context", "gone.txt"], "gone.txt: no such file or folder"),
        (["What?", "--context", "bare"], "bare contains no .txt files; name other files individually"),
        (["What?", "--context", "empty.txt"], "there is no text to search: empty.txt is empty"),
        (["What?", "--context", "empty.txt", "blank.txt"],
         "there is no text to search: empty.txt, blank.txt are empty"),
        (["--context", "boats.txt"], 'there is no question: reslab qa ask RUN "Who wrote it?" --context FILE'),
        ([" ", "--context", "boats.txt"], "the question is empty"),
        (["What?", "--context", "boats.txt", "--top", "99"], "top must be from 1 to 20, got 99"),
    ],
)  # fmt: skip
def test_what_is_refused(
    colors: Path, here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    Path("bare").mkdir()
    Path("empty.txt").touch()
    Path("blank.txt").write_text(" \n")
    assert main(["qa", "ask", str(colors), *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"reslab: {said.replace('RUN', str(colors))}\n")


def test_no_context_no_text_no_run(colors: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["qa", "ask", str(colors), "What?"]) == 2
    assert "--context" in capsys.readouterr().err
    Path("image.txt").write_bytes(b"\x89PNG\r\n")
    assert main(["qa", "ask", str(colors), "What?", "--context", "image.txt"]) == 1
    assert capsys.readouterr().err == "reslab: image.txt is not UTF-8 text: invalid start byte at byte 0\n"
    assert main(["qa", "ask", "norun", "What?", "--context", "boats.txt"]) == 2
    assert capsys.readouterr().err == "reslab: norun is not a run folder: it has no spec.json\n"


@pytest.mark.filterwarnings("always")
def test_empty_files_among_others_are_left_out(colors: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("more/empty.txt").touch()
    assert main(["qa", "ask", str(colors), "What color?", "--context", "more"]) == 0
    assert "warning: empty files ignored: 1 (more/empty.txt)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "answer", "shown"),
    [
        ("A b. C crimson d. E", "crimson", "C «crimson» d."),
        ("Mr. X said: “Crimson.” Then he left.", "Crimson.", "X said: “«Crimson.»”"),
        ("crimson", "crimson", "«crimson»"),
        ("A title\n\nThe crimson\nboat", "crimson", "The «crimson» boat"),
        ("첫째다. 배는 crimson 색이다. 끝.", "crimson", "배는 «crimson» 색이다."),
        ("一つ。船は crimson だ。終", "crimson", "船は «crimson» だ。"),
        ("B. Two crimson. Sentences here. C", "crimson. Sentences", "Two «crimson. Sentences» here."),
        ("a " * 200 + "crimson", "crimson", "…" + "a " * (AROUND // 2) + "«crimson»"),
        ("crimson" + " b" * 200, "crimson", "«crimson»" + " b" * (AROUND // 2) + "…"),
        ("[bold]crimson[/bold]", "crimson", "[bold]«crimson»[/bold]"),
    ],
)  # fmt: skip
def test_the_answer_in_its_sentence(text: str, answer: str, shown: str) -> None:
    start = text.index(answer)
    found = in_sentence(text, start, start + len(answer))
    (mark,) = [span for span in found.spans if span.style == "bold reverse"]
    plain = found.plain
    assert f"{plain[: mark.start]}«{plain[mark.start : mark.end]}»{plain[mark.end :]}" == shown
    assert isinstance(found, Text)


def test_a_text_gives_the_terminal_no_commands(colors: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("boats.txt").write_bytes(b"The crimson\x1b[31m boat\x00.")
    assert main(["qa", "ask", str(colors), "What color?", "--context", "boats.txt", "--top", "1"]) == 0
    out = capsys.readouterr().out
    assert "The crimson\ufffd[31m boat\ufffd." in out
    assert "\x1b" not in out


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_bytes_that_are_no_text(colors: Path, here: Path, flags: list[str]) -> None:
    """In the question and in a file's name, where the output takes nothing but UTF-8."""
    Path("boats.txt").rename(os.fsdecode(b"caf\xe9.txt"))
    words = [b"qa", b"ask", os.fsencode(colors), b"\xff color?", b"--context", b"caf\xe9.txt", b"--top", b"1"]
    done = subprocess.run(
        [sys.executable, "-m", "reslab", *words, *flags], capture_output=True, check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"caf\\udce9.txt" in done.stdout
    assert b"\\udcff color?" in done.stdout
