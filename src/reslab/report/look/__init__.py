"""The pages of `reslab look`: what was seen inside a model, drawn."""

from reslab.report.look.page import write

__all__ = ["write"]
