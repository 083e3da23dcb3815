"""The page of a range test: the loss against the learning rate, without any script."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from reslab.report.folder import Facts
from reslab.report.render import draw, target

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 46  # margins
CUT = 2.0  # times the first average: the axis ends there, as losses that diverge would hide the rest


def write(found: Facts, *, out: Path, title: str, about: str, command: str = "", then: str = "") -> Path:
    """Draw a range test (`RangeTest.as_dict`). `then`: the command to train with the suggested rate.

    Raises UsageError for an `out` that is not .html, or a file that is not a page of reslab.
    """
    place = target(out, out)
    return draw(page(found, title=title, about=about, command=command, then=then), place, home=None, single_file=True)


def page(found: Facts, *, title: str, about: str, command: str = "", then: str = "") -> Facts:
    """What lr-find.html.j2 shows."""
    return {
        "template": "lr-find.html.j2",
        "title": title,
        "about": about,
        "found": found,
        "suggestion": None if found["suggestion"] is None else f"{found['suggestion']:g}",
        "last": f"{found['rates'][-1]:.3g}" if found["rates"] else "",
        "drawing": drawing(found) if len(found["rates"]) > 1 else None,
        "rows": [(f"{rate:.3g}", f"{loss:.4f}", f"{mean:.4f}")
                 for rate, loss, mean in zip(found["rates"], found["losses"], found["averages"], strict=True)],
        "commands": [command] if command else [],
        "then": then,
        "figures": {},
        "scriptless": True,
    }  # fmt: skip


def drawing(found: Facts) -> Facts:
    """Lines and labels in the coordinates of the picture."""
    rates, losses, means = found["rates"], found["losses"], found["averages"]
    low = min(min(losses), min(means))
    high = max(max(means[: len(means) // 2]), min(max(means), CUT * means[0]))
    pad = 0.05 * (high - low) or 0.5
    low, high = low - pad, high + pad
    first, last = math.log10(rates[0]), math.log10(rates[-1])

    def x(rate: float) -> float:
        return round(LEFT + (math.log10(rate) - first) / (last - first) * (WIDTH - LEFT - RIGHT), 1)

    def y(loss: float) -> float:
        inside = min(max(loss, low), high)
        return round(TOP + (high - inside) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    def path(values: Sequence[float]) -> str:
        return " ".join(f"{x(rate)},{y(value)}" for rate, value in zip(rates, values, strict=True))

    decades = range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)
    mark = found["suggestion"]
    return {
        "width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "top": TOP, "bottom": HEIGHT - BOTTOM,
        "losses": path(losses), "means": path(means),
        "x": [(x(10.0**k), f"{10.0**k:g}") for k in decades],
        "y": [(y(value), f"{value:g}") for value in ticks(low, high)],
        "mark": None if mark is None else x(mark),
        "anchor": "end" if mark is not None and x(mark) > WIDTH / 2 else "start",
    }  # fmt: skip


def ticks(low: float, high: float) -> Iterator[float]:
    """About five round numbers between two."""
    raw = (high - low) / 5
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * k for k in (1, 2, 5, 10) if size * k >= raw)
    k = math.ceil(low / step)
    while k * step <= high:
        yield float(f"{k * step:.10g}")
        k += 1
