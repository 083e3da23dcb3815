"""Quick trainings."""

from quick import _one_thread, digits, few

__all__ = ["_one_thread", "digits", "few"]
