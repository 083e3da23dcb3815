"""From numbers to words: what a comparison of runs shows, with the statistic that says so."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from scipy.stats import norm, ttest_ind

LEVEL = 0.05  # below this probability (two-sided) a difference is called shown


def verdicts(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The three questions of the degradation study, answered from its runs (errors in percent)."""
    low, high = (pick(run["depth"] for run in runs) for pick in (min, max))
    plain, residual = (
        [[run for run in runs if run["kind"] == kind and run["depth"] == depth] for depth in (low, high)]
        for kind in ("plain", "residual")
    )
    return [
        answer("Does depth hurt the plain net's training error?", plain[1], plain[0], "train", worse=True),
        answer(f"Do shortcuts cure it at depth {high}?", residual[1], plain[1], "train", worse=False),
        answer("Does depth help the residual net?", residual[1], residual[0], "test", worse=False),
    ]


def answer(
    question: str, a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]], part: str, *, worse: bool
) -> dict[str, Any]:
    """Is the error of runs `a` above that of `b` (`worse`), or below it? If the statistic cannot tell: "not shown"."""
    errors_a, errors_b = ([run[f"{part}_error"] for run in runs] for runs in (a, b))
    statistic = compare(errors_a, errors_b, images=a[0][f"{part}_n"])
    difference = statistics.fmean(errors_a) - statistics.fmean(errors_b)
    sentence = (
        f"The {'training' if part == 'train' else 'test'} error of {name(a[0])} is {spread(errors_a)}, that of "
        f"{name(b[0])} {spread(errors_b)}: "
        + (f"{abs(difference):.2f} points {'higher' if difference > 0 else 'lower'}" if difference else "no difference")
        + f" ({statistic['words']})."
    )
    if not difference:
        word = "no difference"
    elif statistic["p"] >= LEVEL:
        word = "not shown"
    else:
        word = "yes" if (difference > 0) == worse else "no"
    if len(a) < 2 or len(b) < 2:
        word += ", on one seed"
    return {"question": question, "answer": word, "sentence": sentence, "statistic": statistic}


def compare(a: Sequence[float], b: Sequence[float], *, images: int) -> dict[str, Any]:
    """Are two sets of error rates (%) the same? Each rate is a count of wrong among `images`.

    Two seeds or more a side: Student's t on arcsin(sqrt(rate)), the scale on which a counted rate has one variance
    whatever it is, so that both sides share it. One seed a side: the two counts as binomial (z); that speaks for
    these two nets over images, not for other seeds.
    """
    n = min(len(a), len(b))
    if n < 2:
        shares = [values[0] / 100 for values in (a, b)]
        pooled = statistics.fmean(shares)
        error = math.sqrt(max(pooled * (1 - pooled), 1e-12) * 2 / images)
        z = (shares[0] - shares[1]) / error
        p = float(2 * norm.sf(abs(z)))
        words = f"z = {z:.1f} over {images:,} images, p {shown(p)}; n = 1, so nothing is known over seeds"
        return {"name": "z over images", "value": z, "p": p, "n": n, "words": words}
    scaled_a, scaled_b = ([math.asin(math.sqrt(error / 100)) for error in values] for values in (a, b))
    if statistics.stdev(scaled_a) + statistics.stdev(scaled_b) < 1e-12:
        p, value, what = 1.0, None, "all seeds alike: no spread to test against"
    else:
        value, p = (float(v) for v in ttest_ind(scaled_a, scaled_b))
        what = f"t = {value:.2f} on arcsine roots, p {shown(p)}"
    return {
        "name": "Student t on arcsine roots",
        "value": value,
        "p": p,
        "n": n,
        "words": f"{what}, n = {n} seeds each",
    }


def shown(p: float) -> str:
    return f"= {p:.2g}" if p >= 1e-4 else "< 0.0001"


def name(run: dict[str, Any]) -> str:
    return f"{'ResNet' if run['kind'] == 'residual' else 'plain'}-{run['depth']}"


def spread(values: Sequence[float]) -> str:
    """12.30 ± 0.40 %, or 12.30 % for one value."""
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f} %" if len(values) > 1 else f"{mean} %"
