"""Progress: a bar where a person looks, plain lines where the output is piped, JSON for a parent process."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

Tell = Callable[[int, int, dict[str, float], Any], None]  # iteration, total, the last line of the log, the choice


def silent(iteration: int, total: int, line: dict[str, float], choice: Any) -> None:
    """Say nothing."""


def describe(line: dict[str, float]) -> str:
    return (
        f"loss {line['loss']:.4f}  training error {line['error']:.2f} %  lr {line['lr']:.4g}  "
        f"{line['images_per_second']:,.0f} images/s"
    )


@contextmanager
def shown(name: str, *, every: float = 10.0) -> Iterator[Tell]:
    """Show the progress of one training on standard error."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
                   TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
        with Progress(*columns, console=console) as bar:
            row = bar.add_task(name, total=None, note="starting")

            def draw(iteration: int, total: int, line: dict[str, float], choice: Any) -> None:
                bar.update(row, completed=iteration, total=total, note=f"{describe(line)}  {choice}")

            yield draw
        return
    last, first = 0.0, (0, 0.0)

    def write(iteration: int, total: int, line: dict[str, float], choice: Any) -> None:
        nonlocal last, first
        now = time.perf_counter()
        if not last:
            first = (iteration, now)
        elif now - last < every and iteration < total:
            return
        last, left = now, (total - iteration) * (now - first[1]) / max(iteration - first[0], 1)
        print(f"{name} {iteration}/{total}  {describe(line)}  {choice}  {left:.0f} s left", file=sys.stderr, flush=True)

    yield write


def piped(iteration: int, total: int, line: dict[str, float], choice: Any) -> None:
    """One JSON line on standard output, for the process that started this one."""
    print(json.dumps({"iteration": iteration, "total": total, **line}), flush=True)
