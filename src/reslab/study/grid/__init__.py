"""Many pieces of work, each done once: cells, cached by what defines them, run in parallel, resumable."""

from reslab.study.grid.cell import Cell, Found
from reslab.study.grid.plan import Plan, plan
from reslab.study.grid.run import run

__all__ = ["Cell", "Found", "Plan", "plan", "run"]
