"""The page of a data set: its account, and a sheet of thumbnails."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab.report.folder import Facts
from reslab.report.render import draw, target

CLASSES = 200  # listed with their counts


def write(account: Facts, sheet: Sequence[tuple[str, Sequence[Any]]], *, out: Path, command: str = "") -> Path:
    """Draw the account (`Account.as_dict`) and the thumbnails of each class as one page without any script.

    Raises UsageError for an `out` that is not .html, or a file that is not a page of reslab.
    """
    place = target(out, out)
    return draw(page(account, sheet, command=command), place, home=None, single_file=True)


def page(account: Facts, sheet: Sequence[tuple[str, Sequence[Any]]], *, command: str = "") -> Facts:
    """What data.html.j2 shows."""
    C, H, W = account["shape"]
    parts = account["parts"]
    by_part = zip(*(part["by_class"] for part in parts), strict=True)
    counts = list(zip(account["classes"], by_part, strict=True))
    return {
        "template": "data.html.j2",
        "title": account["name"],
        "account": account,
        "shape": f"{'RGB' if C == 3 else 'gray'}, {H} x {W}",
        "counts": counts[:CLASSES],
        "more_classes": max(0, len(counts) - CLASSES),
        "sheet": [(name, tiles) for name, tiles in sheet if tiles],
        "smooth": max(H, W) > 36,
        "commands": [command] if command else [],
        "figures": {},
        "scriptless": True,
    }
