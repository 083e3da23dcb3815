"""reslab slim: remove the blocks that do nothing, heal the rest, and end in a model that anyone loads."""

from reslab.cli.slim.verb import slim

__all__ = ["slim"]
