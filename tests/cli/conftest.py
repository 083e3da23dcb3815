"""MODEL words."""

from models import own, zoo

__all__ = ["own", "zoo"]
