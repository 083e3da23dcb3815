"""Quick trainings."""

from clocks import leap
from quick import _one_thread, begin, digits, few, pngs, straight

__all__ = ["_one_thread", "begin", "digits", "few", "leap", "pngs", "straight"]
