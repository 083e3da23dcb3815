"""Run cells: each once, in this process, one after another."""

import time
from collections.abc import Sequence
from pathlib import Path

from reslab.progress import Rows, quiet
from reslab.run import Run
from reslab.study.grid.cell import Cell, Found, in_order
from reslab.study.grid.works import WORKS

DONE = "cell.json"  # in a cell's folder, once it is done


def run(cells: Sequence[Cell], cache: Path, *, device: str = "auto", rows: Rows = quiet) -> dict[Cell, Found]:
    """What every cell found; those that are done in `cache` are read, not run."""
    found: dict[Cell, Found] = {}
    for one in in_order(cells):
        folder = Run(cache / one.key)
        if not folder.has(DONE):
            folder.make()
            began = time.process_time()
            values = WORKS[one.work].load().work(
                folder.folder, one.settings, [found[needed].folder for needed in one.needs], device=device,
                progress=rows(f"{one.work} {one.key}"),
            )  # fmt: skip
            folder.write_json(DONE, {"work": one.work, "settings": one.settings, "values": values,
                                     "seconds": time.process_time() - began})  # fmt: skip
        kept = folder.read_json(DONE, "values", "seconds")
        found[one] = Found(folder=folder.folder, values=kept["values"], seconds=kept["seconds"])
    return found
