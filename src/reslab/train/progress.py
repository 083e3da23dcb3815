"""Progress: a bar where a person looks, plain lines where the output is piped, JSON for a parent process."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Before(str):
    """What is done before the training, in words."""


# iteration, total, the last line of the log (empty where an evaluation begins), the choice or Before
Tell = Callable[[int, int, dict[str, float], Any], None]


def silent(iteration: int, total: int, line: dict[str, float], choice: Any) -> None:
    """Say nothing."""


Showing = Callable[[str], AbstractContextManager[Tell]]  # a training's name to what tells its progress


def quietly(name: str) -> AbstractContextManager[Tell]:
    return nullcontext(silent)


def describe(line: dict[str, float], unit: str = "images") -> str:
    if not line:
        return "evaluating"
    return (
        f"loss {line['loss']:.4f}  training error {line['error']:.2f} %  lr {line['lr']:.4g}  "
        f"{line['images_per_second']:,.0f} {unit}/s"
    )


@contextmanager
def shown(name: str, *, every: float = 10.0, unit: str = "images") -> Iterator[Tell]:
    """Show the progress of one training on standard error."""
    console = Console(stderr=True)

    def note(line: dict[str, float], choice: Any) -> str:
        return choice if isinstance(choice, Before) else f"{describe(line, unit)}  {choice}"

    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
                   TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
        with Progress(*columns, console=console) as bar:
            row = bar.add_task(name, total=None, note="starting")

            def draw(iteration: int, total: int, line: dict[str, float], choice: Any) -> None:
                bar.update(row, completed=iteration, total=total, note=note(line, choice))

            yield draw
        return
    last, first = 0.0, (0, 0.0)

    def write(iteration: int, total: int, line: dict[str, float], choice: Any) -> None:
        nonlocal last, first
        now, left = time.perf_counter(), ""
        early = isinstance(choice, Before)
        if last and (now - last < every or not (line or early)) and iteration < total:
            return
        if not last or early:
            first = (iteration, now)
        elif iteration < total:  # the first line knows no rate yet
            left = f"  {(total - iteration) * (now - first[1]) / max(iteration - first[0], 1):.0f} s left"
        last = now
        print(f"{name} {iteration}/{total}  {note(line, choice)}{left}", file=sys.stderr, flush=True)

    yield write


def piped(iteration: int, total: int, line: dict[str, float], choice: Any) -> None:
    """One JSON line on standard output, for the process that started this one."""
    if line:
        print(json.dumps({"iteration": iteration, "total": total, **line}), flush=True)
