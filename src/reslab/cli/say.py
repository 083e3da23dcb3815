"""Print results: tables for people, JSON for programs."""

import json
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from reslab.errors import Argument, Sentence, Worded, one_line

WIDE = 2_000  # characters of a line in a table that is never cut
NAMES = {  # arguments with another name on the command line than in Python
    "folder": "folder with --out",
    "start": "--weights",
    "test_word": "--test",
    "own": "--claims",
}


def as_json(data: Any) -> None:
    print(json.dumps(data, indent=1, ensure_ascii=False))


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", left: int = 1, whole: bool = False
) -> None:
    """A plain table; every column but the first `left` ones is right-aligned. `whole`: no cell is ever cut."""
    drawn = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for i, name in enumerate(columns):
        drawn.add_column(name, justify="right" if i >= left else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*map(one_line, row))
    console = Console()
    # A pipe has no width: never cut a number there.
    (console if console.is_terminal and not whole else Console(width=WIDE if whole else 200)).print(drawn)


def fitting(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, left: int = 1, least: Sequence[str] = ()
) -> None:
    """A plain table as wide as the terminal: columns of `least` are left out first, in order, then cells are folded.

    In a pipe, which has no width, everything is on one line.
    """
    screen = Console()
    if not screen.is_terminal:
        table(columns, rows, left=left, whole=True)
        return
    shown = list(columns)

    def drawn() -> Table:
        made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for k, name in enumerate(columns):
            if name in shown:
                made.add_column(name, justify="right" if k >= left else "left", overflow="fold")
        for row in rows:
            made.add_row(*(one_line(cell) for name, cell in zip(columns, row, strict=True) if name in shown))
        return made

    endless = Console(width=WIDE, height=1)  # with a width alone, a dumb terminal stays 80 wide
    gone = []
    for name in least:
        if endless.measure(drawn()).maximum <= screen.width:
            break
        shown.remove(name)
        gone.append(name)
    screen.print(drawn())
    if gone:
        print(f"not shown in {screen.width} columns: {', '.join(gone)}")


def flags(options: dict[str, Any]) -> list[str]:
    """Options as command-line words: {"shortcut": "B", "norm": False} -> --shortcut B --no-norm."""
    words = []
    for key, value in options.items():
        name = NAMES.get(key, f"--{key}").removeprefix("--").replace("_", "-") if key != "folder" else key
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, dict):
            words += [f"--{name}", *(f"{one}={what}" for one, what in value.items())]
        else:
            words += [f"--{name}", *map(str, value if isinstance(value, list | tuple) else [value])]
    return words


def words(sentence: object) -> str:
    """A sentence, or the message of an error or warning, with the library's arguments written as flags."""
    if isinstance(sentence, Worded):
        sentence = sentence.sentence
    return sentence.worded(argument) if isinstance(sentence, Sentence) else str(sentence)


def argument(one: Argument) -> str:
    """An argument of the library as a flag: validation=0 becomes --validation 0."""
    if one.value is ...:
        return NAMES.get(one.name, f"--{one.name.replace('_', '-')}")
    return shlex.join(flags({one.name: one.value}))


def skipped(names: Sequence[str]) -> None:
    """Warn about images that could not be read, naming the first few."""
    if names:
        more = ", ..." if len(names) > 3 else ""
        print(f"warning: broken images skipped: {len(names)} ({', '.join(map(one_line, names[:3]))}{more})")


def problems(report: Any) -> None:
    """Warn about problems in questions or a table, each line once."""
    for line in map(one_line, map(words, dict.fromkeys(report.lines()))):
        print(f"warning: {line}" if line[0] != " " else line, file=sys.stderr)


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} %"


def millions(value: int) -> str:
    return f"{value / 1e9:,.3f} G" if value >= 1e9 else f"{value / 1e6:,.2f} M"
