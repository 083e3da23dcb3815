"""The pages of `reslab look`."""

from reslab.report.look.page import write

__all__ = ["write"]
