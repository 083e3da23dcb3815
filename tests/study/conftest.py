"""Quick trainings."""

from quick import _one_thread, begin, digits, few, pngs, straight

__all__ = ["_one_thread", "begin", "digits", "few", "pngs", "straight"]
