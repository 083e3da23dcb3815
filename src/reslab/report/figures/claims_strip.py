"""Where a claim's effect lies, in units of its margin: one row of the figure of all claims."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reslab.report import words
from reslab.report.folder import Facts, facts, items

LEAST, MOST = 2, 5  # powers of ten plus one that the axis reaches at least and at most: 10 and 10,000 margins
EDGE = 1.5  # percent of the width kept free on either side


@dataclass(frozen=True, kw_only=True)
class Effect:
    """In margins from the threshold; of a prediction `below`, with the sign turned: right is the predicted side."""

    mean: float
    low: float | None
    high: float | None
    within: bool  # whether the prediction is a value within the margin, not a side


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Places in percent of the width, for effects in margins: linear up to one margin, logarithmic beyond."""

    left: int
    right: int

    def place(self, margins: float) -> float:
        at = min(max(fold(margins), self.left), self.right)
        return round(EDGE + (100 - 2 * EDGE) * (at - self.left) / (self.right - self.left), 2)

    @property
    def ticks(self) -> list[Facts]:
        """Each whole place: -100, -10, -1, 0, 1, 10, 100 margins."""
        return [{"at": self.place(unfold(k)), "text": label(k), "zero": k == 0, "minor": abs(k) == 1}
                for k in range(self.left, self.right + 1)]  # fmt: skip


def fold(margins: float) -> float:
    """0.5 -> 0.5, 1 -> 1, 10 -> 2, -100 -> -3."""
    return margins if abs(margins) <= 1 else math.copysign(1 + math.log10(abs(margins)), margins)


def unfold(place: float) -> float:
    return place if abs(place) <= 1 else math.copysign(10 ** (abs(place) - 1), place)


def label(k: int) -> str:
    text = str(abs(k)) if abs(k) <= 1 else f"{10 ** (abs(k) - 1):,}"
    return f"−{text}" if k < 0 else text


def effect(prediction: Facts, judged: Facts) -> Effect | None:
    """The measured effect in margins; None without a mean, a threshold or a margin.

    An exact prediction has no mean: the mark is the case furthest from the threshold, the line the range of all. Its
    margin may be 0; then only cases that are all on the threshold have a place.
    """
    mean, threshold, margin = judged.get("mean"), prediction.get("threshold"), prediction.get("margin")
    direction = prediction.get("direction")
    sign = -1.0 if direction == "below" else 1.0
    low, high = judged.get("low"), judged.get("high")
    each = [value for value in items(judged.get("effects")) if words.is_number(value)]
    if direction == "exact" and each and words.is_number(threshold):
        mean, low, high = max(each, key=lambda value: abs(value - threshold)), min(each), max(each)
        margin = 1.0 if margin == 0 and low == high == threshold else margin
    if not (words.is_number(mean) and words.is_number(threshold) and words.is_number(margin) and margin > 0):
        return None

    def scaled(value: object) -> float | None:
        return sign * (value - threshold) / margin if words.is_number(value) else None

    ends = [end for end in (scaled(low), scaled(high)) if end is not None]
    lowest, highest = (min(ends), max(ends)) if len(ends) == 2 else (None, None)
    return Effect(mean=sign * (mean - threshold) / margin, low=lowest, high=highest,
                  within=direction in ("same", "exact"))  # fmt: skip


def axis(effects: Sequence[Effect]) -> Axis:
    """Wide enough for every effect and its interval, within the limits."""
    every = [fold(v) for one in effects for v in (one.mean, one.low, one.high) if v is not None]
    left = min(max(math.floor(min(every, default=0.0)), -MOST), -LEAST)
    return Axis(left=left, right=max(min(math.ceil(max(every, default=0.0)), MOST), LEAST))


def strip(one: Effect | None, on: Axis) -> Facts | None:
    """The row's marks: the predicted range, the interval, the mean; `beyond` where the mean lies off the axis."""
    if one is None:
        return None
    zone = [on.place(-1.0), on.place(1.0)] if one.within else [on.place(0.0), 100 - EDGE]
    known = one.low is not None and one.high is not None
    at = fold(one.mean)
    return {
        "mean": on.place(one.mean), "zone": zone, "margin": [on.place(-1.0), on.place(1.0)],
        "interval": [on.place(one.low or 0.0), on.place(one.high or 0.0)] if known else None,
        "beyond": "left" if at < on.left else "right" if at > on.right else "",
        "said": said(one),
    }  # fmt: skip


def said(one: Effect) -> str:
    """`12.3 margins (9.1 to 15.5)`."""
    text = f"{signed(one.mean)}{words.GAP}margins"
    return f"{text} ({signed(one.low)} to {signed(one.high)})" if one.low is not None and one.high is not None else text


def signed(value: float) -> str:
    return words.number(float(value)).replace("-", "−")


def of_claim(claim: Facts) -> Effect | None:
    return effect(facts(claim.get("prediction")), facts(claim.get("judged")))
