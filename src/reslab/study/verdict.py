"""From numbers to words: what a comparison of runs shows, with the statistic that says so."""

import math
import statistics
from typing import Any

from scipy.stats import ttest_ind

LEVEL = 0.05  # below this probability a difference is called shown


def verdicts(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The three questions of the degradation study, answered from its runs (errors in percent)."""
    low, high = (pick(run["depth"] for run in runs) for pick in (min, max))

    def errors(kind: str, depth: int, key: str) -> list[float]:
        return [run[key] for run in runs if run["kind"] == kind and run["depth"] == depth]

    plain = [errors("plain", depth, "train_error") for depth in (low, high)]
    residual = [errors("residual", depth, "train_error") for depth in (low, high)]
    tests = [errors("residual", depth, "test_error") for depth in (low, high)]
    return [
        answer("Does depth hurt the plain net's training error?", plain[1], plain[0],
               f"plain-{high}", f"plain-{low}", "training error", worse=True),
        answer(f"Do shortcuts cure it at depth {high}?", residual[1], plain[1],
               f"ResNet-{high}", f"plain-{high}", "training error", worse=False),
        answer("Does depth help the residual net?", tests[1], tests[0],
               f"ResNet-{high}", f"ResNet-{low}", "test error", worse=False),
    ]  # fmt: skip


def answer(
    question: str, a: list[float], b: list[float], name_a: str, name_b: str, what: str, *, worse: bool
) -> dict[str, Any]:
    """Is a's error above b's (`worse`), or below it? "yes" and "no" need the statistic; else "not shown"."""
    statistic = compare(a, b)
    difference = statistics.fmean(a) - statistics.fmean(b)
    side = "higher" if difference > 0 else "lower"
    sentence = (
        f"The {what} of {name_a} is {spread(a)}, that of {name_b} {spread(b)}: "
        + (f"{abs(difference):.2f} points {side}" if difference else "no difference")
        + f" ({statistic['words']})."
    )
    if statistic["p"] is None:
        word = "one seed: not tested"
        if difference:
            word = f"{'yes' if (difference > 0) == worse else 'no'}, on one seed"
    elif statistic["p"] >= LEVEL:
        word = "not shown"
    else:
        word = "yes" if (difference > 0) == worse else "no"
    return {"question": question, "answer": word, "sentence": sentence, "statistic": statistic}


def compare(a: list[float], b: list[float]) -> dict[str, Any]:
    """Welch's t for two sets of runs (two-sided p); with one run a side no spread over seeds is known."""
    n = min(len(a), len(b))
    if n < 2:
        return {"name": "none", "value": None, "p": None, "n": n, "words": "n = 1, so no test over seeds"}
    if statistics.stdev(a) == statistics.stdev(b) == 0:
        same = a[0] == b[0]
        words = f"n = {n} each, every seed alike"
        return {"name": "exact", "value": 0.0 if same else None, "p": 1.0 if same else 0.0, "n": n, "words": words}
    t, p = (float(v) for v in ttest_ind(a, b, equal_var=False))
    shown = f"{p:.2g}" if p >= 1e-4 else "< 0.0001"
    return {"name": "Welch t", "value": t if math.isfinite(t) else None, "p": p, "n": n,
            "words": f"Welch t = {t:.2f}, p = {shown}, n = {n} seeds each"}  # fmt: skip


def spread(values: list[float]) -> str:
    """12.30 ± 0.40 %, or 12.30 % for one value."""
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f} %" if len(values) > 1 else f"{mean} %"
