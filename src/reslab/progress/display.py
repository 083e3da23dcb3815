"""Show progress: a bar in a terminal, lines in a pipe or file, an updated output in a notebook."""

import sys
import threading
from html import escape
from importlib import import_module
from typing import Any

from reslab.progress.protocol import Progress
from reslab.progress.row import Row
from reslab.progress.stream import lasting


class Display:
    """Draws rows at most every `every` seconds; the start of a phase at once, the last state when closed."""

    every = 10.0

    def __init__(self, unit: str = "", every: float | None = None) -> None:
        self.unit, self.lock = unit, threading.RLock()
        self.every = self.every if every is None else every
        self.drawn: dict[Row, float] = {}  # when each row was drawn last
        self.waiting: dict[Row, None] = {}  # rows that have changed since, in order

    def row(self, name: str) -> Progress:
        """What the work called `name` reports to, from any thread."""
        row = Row(name, self.unit)
        with self.lock:
            self.catch_up([row for row in self.waiting if row.done == row.total])
            self.start(row)

        def step(done: int, total: int, note: str = "", /) -> None:
            with self.lock:
                begins = row.step(done, total, note)
                self.waiting[row] = None
                if begins or row not in self.drawn or row.now - self.drawn[row] >= self.every:
                    self.catch_up([row])

        return step

    def catch_up(self, rows: list[Row]) -> None:
        for row in rows:
            self.waiting.pop(row, None)
            self.drawn[row] = row.now
            self.draw(row)

    def start(self, row: Row) -> None:
        """Make room for a row."""

    def draw(self, row: Row) -> None:
        """Show what the row says now."""
        raise NotImplementedError

    def close(self) -> None:
        """Draw what has not been drawn yet and end the display."""
        with self.lock:
            self.catch_up(list(self.waiting))


class Lines(Display):
    """Lines on standard error. If the first step takes longer than `every` seconds, a line says so."""

    def __init__(self, unit: str = "", every: float | None = None) -> None:
        super().__init__(unit, every)
        self.timers: list[threading.Timer] = []

    def start(self, row: Row) -> None:
        timer = threading.Timer(max(self.every, 1), self.still_waiting, [row])
        timer.daemon = True
        self.timers.append(timer)
        timer.start()

    def still_waiting(self, row: Row) -> None:
        with self.lock:
            if row not in self.drawn:
                self.write(f"{row.name}: the first step is not finished yet")

    def draw(self, row: Row) -> None:
        self.write(row.line)

    def write(self, line: str) -> None:
        stream = lasting(sys.stderr)
        if stream is not None:
            print(line, file=stream, flush=True)

    def close(self) -> None:
        for timer in self.timers:
            timer.cancel()
        super().close()


class Notebook(Display):
    """An output of the cell for each row, updated in place; needs nothing but the notebook itself."""

    every = 0.25

    def __init__(self, unit: str = "", every: float | None = None) -> None:
        super().__init__(unit, every)
        self.handles: dict[Row, Any] = {}

    def draw(self, row: Row) -> None:
        display = import_module("IPython.display").display
        bar = f'<progress value="{row.done}" max="{max(1, row.total)}"></progress>'
        content = {"text/plain": row.line, "text/html": f"{bar} {escape(row.line)}"}
        if row in self.handles:
            self.handles[row].update(content, raw=True)
        else:
            self.handles[row] = display(content, raw=True, display_id=True)
