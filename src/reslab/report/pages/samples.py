"""The gallery of training images as they were augmented."""

from typing import Any

from reslab.report import words
from reslab.report.figures.charts import clipped
from reslab.report.folder import Facts, Run, dicts, items
from reslab.report.pages.pictures import EXACT, address, named

MOST = 24  # images
TOLD = 3  # classes of a mixed image that are named


def samples(run: Run) -> Facts:
    """What the macro `augmented` of pictures.html.j2 shows; {} for a run that stored none."""
    names = [str(name) for name in items(run.data.get("classes"))]
    tiles = [tile(one, names) for one in dicts(run.samples.get("pictures"))[:MOST]]
    size = [side for side in items(run.data.get("shape"))[1:] if words.is_number(side)]
    if not tiles:
        return {}
    return {"tiles": tiles, "exact": bool(size) and max(size) <= EXACT, "repeats": run.samples.get("repeats"),
            "mixed": [key for key in ("mixup", "cutmix") if run.recipe.get(key)]}  # fmt: skip


def tile(one: Facts, names: list[str]) -> Facts:
    """An image and its classes, with the share of each if there are several or it is not whole."""
    pairs = [pair for pair in items(one.get("shares")) if isinstance(pair, list) and len(pair) == 2]
    pairs = sorted((pair for pair in pairs if all(map(words.is_number, pair))), key=lambda pair: -pair[1])
    lines = [said(names, *pair) for pair in pairs[:TOLD]]
    full = ", ".join(said(names, *pair, short=False) for pair in pairs) or "no label"
    return {"url": address(one.get("thumbnail")), "full": full, "lines": lines}


def said(names: list[str], k: Any, share: float, *, short: bool = True) -> str:
    """`cat`, or `cat 70 %` for a share of it."""
    name = named(names, int(k))
    return (clipped(name) if short else name) + (f" {words.percent(100 * share, 0)}" if share < 1 else "")
