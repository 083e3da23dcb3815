"""A bar for each piece of work, in a terminal."""

import sys

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from reslab.progress.display import Display
from reslab.progress.row import Row
from reslab.progress.stream import lasting


class Bar(Display):
    """rich's bars on standard error; `close` restores the terminal and shows the cursor."""

    every = 0.1

    def __init__(self, unit: str = "", every: float | None = None) -> None:
        super().__init__(unit, every)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=20),
                   TextColumn("{task.fields[count]}"), TextColumn("{task.fields[detail]}", markup=False))  # fmt: skip
        self.bars = Bars(*columns, console=Console(file=lasting(sys.stderr)))
        self.tasks: dict[Row, TaskID] = {}
        self.bars.start()

    def start(self, row: Row) -> None:
        self.tasks[row] = self.bars.add_task(row.name, total=None, count="", detail="")

    def draw(self, row: Row) -> None:
        self.bars.update(self.tasks[row], completed=row.done, total=row.total, count=row.count, detail=row.detail)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.bars.stop()
