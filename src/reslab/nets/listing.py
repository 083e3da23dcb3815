"""Stored costs of all named nets: `reslab nets` prints them without building a net or importing torch.

counts.json has a line for each net; tests/nets/test_listing.py compares it with what `count` computes, and
`pytest tests/nets/test_listing.py -m "" --overwrite` writes it.
"""

import json
from importlib.resources import files
from typing import Any


def listing() -> list[dict[str, Any]]:
    """Each named net with default options: net, depth, size (pixels), parameters, macs, receptive_field (pixels)."""
    return json.loads(files("reslab.nets").joinpath("counts.json").read_text(encoding="utf-8"))
