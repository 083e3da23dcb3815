"""The report room: stored measurements in, one self-contained HTML page out. Nothing is measured here."""

from reslab.report.page import write, write_many

__all__ = ["write", "write_many"]
