"""reslab look: what does each block of a residual network do? For any model."""

from reslab.cli.look.verbs import app

__all__ = ["app"]
