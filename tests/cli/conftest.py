"""MODEL words."""

from models import own, zoo
from quick import pngs

__all__ = ["own", "pngs", "zoo"]
