"""How verbs print: a table for people, JSON for programs."""

import json
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def as_json(data: Any) -> None:
    print(json.dumps(data, indent=1, ensure_ascii=False))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """A plain table; every column but the first is right-aligned."""
    drawn = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for i, name in enumerate(columns):
        drawn.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*(str(cell) for cell in row))
    console = Console()
    # A pipe has no width of its own: never cut a number there.
    (console if console.is_terminal else Console(width=200)).print(drawn)


def flags(options: dict[str, Any]) -> list[str]:
    """Options as the words that give them: {"shortcut": "B", "norm": False} -> --shortcut B --no-norm."""
    words = []
    for key, value in options.items():
        name = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            words += [f"--{name}", *map(str, value if isinstance(value, list | tuple) else [value])]
    return words


def skipped(names: Sequence[str]) -> None:
    """Warn of images that could not be read, naming the first."""
    if names:
        more = ", ..." if len(names) > 3 else ""
        print(f"warning: broken images skipped: {len(names)} ({', '.join(names[:3])}{more})")


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} %"


def millions(value: int) -> str:
    return f"{value / 1e9:,.3f} G" if value >= 1e9 else f"{value / 1e6:,.2f} M"
