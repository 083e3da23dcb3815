"""What the terminal shows, compared with tests/golden/text; `make golden` writes those files again.

Each file is a transcript: `$ reslab ...`, then what it printed to standard output and error. Where a command computes,
every number is masked as 0, so that the words are compared and not the machine.
"""

import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from reslab.cli import app, main

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "text"
QUICK = "--iterations 3 --precision fp32 --memory-format NCHW --compile off --threads 1"
NETS = ["nets", "nets resnet50", "nets resnet20 --shortcut B", "nets resnet21"]
FEW = "runs/r --samples 8 --threads 1"
IMAGES = [
    f"train --net resnet8 --out runs/r {QUICK}",
    f"train --net resnet8 --out runs/r {QUICK}",
    f"train --net resnet8 --out runs/r --lr 0.2 {QUICK}",
    "eval runs/r",
    *(
        f"look {verb} {FEW}"
        for verb in ("merges", "certify", "lesions", "paths", "responses", "gradients", "influence")
    ),
    "report runs/r",
]
STUDY = [f"study degradation --depths 8 14 --seeds 1 --out runs/s {QUICK}"]
QUESTIONS = [
    "qa train --data docs/examples/questions.json --out runs/q --head tokens --layers 1 --length 64 --iterations 2 "
    "--precision fp32 --compile off --threads 1",
    "qa eval runs/q",
    'qa ask runs/q "Who built the lighthouse?" --context docs/examples/harbor.txt --top 1',
]
TABLES = [
    "tables train docs/examples/rooms.csv --target let --out runs/t --epochs 1 --precision fp32 --compile off "
    "--threads 1 --members 2",
    "tables predict runs/t docs/examples/rooms-new.csv",
    "tables eval runs/t docs/examples/rooms.csv",
]


def helps(words: list[str], verb: object) -> Iterator[str]:
    """`VERB --help`, and that of each verb inside it."""
    yield shlex.join([*words, "--help"])
    for name in sorted(verb):
        if not name.startswith("-"):
            yield from helps([*words, name], verb[name])


HELP = {f"help-{name}": list(helps([name], app[name])) for name in app if not name.startswith("-")}
SEEN = {"images": IMAGES, "questions": QUESTIONS, "tables": TABLES, "study": STUDY, "doctor": ["doctor"]}
STORED = {"help": ["--help"], **HELP, "nets": NETS}


def masked(command: str, text: str) -> str:
    """Words only: numbers are 0; progress lines, values of doctor and answers of studies, which vary, are dropped."""
    text = text.replace(str(ROOT), "ROOT")  # before its digits are masked
    text = re.sub(r"[-+−]?\d[\d,]*(\.\d+)?(e[+-]?\d+|( × 10)?\^[+-]?\d+)?", "0", text)
    lines = [re.sub(r"[█▇▆▅▄▃▂▁]+|[─━]+", "─", re.sub(r"[ \t]+", " ", line)).rstrip() for line in text.splitlines()]
    lines = [line for line in lines if not re.search(r" 0/0|is not finished yet|timing [pa]|\(step 0 of 0\)", line)]
    lines = [re.sub(r",? about 0 s( left)?$", "", line) for line in lines]
    if command == "doctor":
        return "".join(f"{line.split(' ')[0]} ...\n" for line in lines[:6])
    lines = [re.sub(r"(?<=by shuffling\):) .*", " ...", line) for line in lines]
    if command.startswith("qa ask"):
        lines = [lines[0], "..."]  # the answers of a net that has not learned
    if command.startswith("study"):
        lines = [re.sub(r"\? .*", "? ...", line) for line in lines]
    return "".join(f"{line}\n" for i, line in enumerate(lines) if i == 0 or line != lines[i - 1])


def transcript(commands: list[str], capsys: pytest.CaptureFixture[str], *, mask: bool) -> str:
    """The commands and what each printed."""
    out = []
    for command in commands:
        with contextlib.suppress(SystemExit):
            main(shlex.split(command))
        said = capsys.readouterr()
        both = said.out if command.startswith("study") else said.out + said.err  # two trainings report as they come
        text = "".join(f"{line.rstrip()}\n" for line in both.splitlines())
        out.append(f"$ reslab {command}\n{masked(command, text) if mask else text}")
    return "\n".join(out)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "study" else name for name in (*STORED, *SEEN)]
)
def test_the_terminal_shows_what_is_stored(
    name: str, overwrite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(app, "_console", Console(width=100))  # cyclopts keeps the one of an earlier test, 80 wide
    Path("docs").symlink_to(ROOT / "docs")
    shown = transcript({**STORED, **SEEN}[name], capsys, mask=name in SEEN)
    file = GOLDEN / f"{name}.txt"
    if overwrite:
        file.write_text(shown, encoding="utf-8")
    assert shown.splitlines() == file.read_text(encoding="utf-8").splitlines()
