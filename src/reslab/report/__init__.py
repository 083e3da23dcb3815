"""Draw stored measurements as one self-contained HTML page. Nothing is measured here."""

from reslab.report.page import write, write_many

__all__ = ["write", "write_many"]
