"""Draw stored measurements as one HTML page. Nothing is measured here."""

from reslab.report.page import write, write_look, write_many

__all__ = ["write", "write_look", "write_many"]
