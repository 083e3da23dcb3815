"""reslab look: what does each block of a residual network do? Any model's."""

from reslab.cli.look.verbs import app

__all__ = ["app"]
