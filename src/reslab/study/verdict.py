"""Verdicts: what a comparison of runs shows, and the test it is based on."""

from collections.abc import Sequence
from typing import Any

from reslab.statistics import LEVEL, Difference, compare_counts, compare_rates, holm, mean, p_text, plus_minus, std

ALPHA = 1 - LEVEL  # a difference counts as shown if p, corrected for all verdicts of the study, is below this


def verdicts(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The three questions of the degradation study, answered from its runs (errors in percent)."""
    low, high = (pick(run["depth"] for run in runs) for pick in (min, max))
    plain, residual = (
        [[run for run in runs if run["kind"] == kind and run["depth"] == depth] for depth in (low, high)]
        for kind in ("plain", "residual")
    )
    return judged([
        asked("Does depth hurt the plain net's training error?", plain[1], plain[0], "train", worse=True),
        asked(f"Do shortcuts cure it at depth {high}?", residual[1], plain[1], "train", worse=False),
        asked("Does depth help the residual net?", residual[1], residual[0], "test", worse=False),
    ])  # fmt: skip


def asked(
    question: str, a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]], part: str, *, worse: bool
) -> dict[str, Any]:
    """Is the error of runs `a` above that of `b` (`worse`), or below it? Only what was measured; `judged` concludes."""
    errors_a, errors_b = ([run[f"{part}_error"] for run in runs] for runs in (a, b))
    found = compare(errors_a, errors_b, images=a[0][f"{part}_n"])
    sentence = (
        f"The {'training' if part == 'train' else 'test'} error of {name(a[0])} is {spread(errors_a)}, that of "
        f"{name(b[0])} {spread(errors_b)}: {described(found)}."
    )
    return {"question": question, "sentence": sentence, "effect": effect(found), "found": found, "worse": worse,
            "images": a[0][f"{part}_n"]}  # fmt: skip


def compare(a: Sequence[float], b: Sequence[float], *, images: int) -> Difference:
    """Tests whether two sets of error rates (%), each counted over `images` images, differ.

    Two or more seeds per side: Welch's t test on arcsine roots. One seed on a side: a z test of the means over images.
    """
    if min(len(a), len(b)) < 2:
        return compare_counts(mean(a), mean(b), images=images)
    return compare_rates(a, b, images=images)


def judged(questions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each question with its answer: "yes" or "no" if p, after Holm's correction over all of them, is below ALPHA."""
    corrected = holm([each["found"].p for each in questions])
    return [answered(each, p, len(questions)) for each, p in zip(questions, corrected, strict=True)]


def answered(asked: dict[str, Any], p: float, questions: int) -> dict[str, Any]:
    found: Difference = asked["found"]
    if not found.value:
        word = "no difference"
    elif p >= ALPHA:
        word = "not shown"
    else:
        word = "yes" if (found.value > 0) == asked["worse"] else "no"
    corrected = f"p {p_text(p)} after Holm's correction for {questions} questions"
    if found.df is None:
        test, word = "z over images", f"{word}, on one seed"
        words = (f"z = {found.statistic:.1f} over {asked['images']:,} images, {corrected}; one seed per net, "
                 "so nothing is known about other seeds")  # fmt: skip
    else:
        test = "Welch's t on arcsine roots"
        words = (f"Welch's t = {signed(found.statistic)} on arcsine roots of the errors, {corrected}, "
                 f"n = {found.n} seeds per net")  # fmt: skip
    statistic = {"name": test, "value": found.statistic, "df": found.df, "p": found.p, "p_holm": p, "n": found.n,
                 "words": words}  # fmt: skip
    return {"question": asked["question"], "answer": word, "sentence": asked["sentence"], "effect": asked["effect"],
            "statistic": statistic}  # fmt: skip


def described(found: Difference) -> str:
    """`30.35 points higher (95 % interval 27.12 to 33.60)`."""
    low, high = sorted([found.low, found.high] if found.value > 0 else [-found.low, -found.high])
    between = f"95 % interval {signed(low)} to {signed(high)}"
    if not found.value:
        return f"no difference ({between} points)"
    return f"{abs(found.value):.2f} points {'higher' if found.value > 0 else 'lower'} ({between})"


def signed(points: float) -> str:
    return f"{points:.2f}".replace("-", "−")


def effect(found: Difference) -> dict[str, float]:
    """The difference in points with its 95 % interval."""
    return {"points": found.value, "low": found.low, "high": found.high}


def name(run: dict[str, Any]) -> str:
    return f"{'ResNet' if run['kind'] == 'residual' else 'plain'}-{run['depth']}"


def spread(values: Sequence[float]) -> str:
    """12.30 ± 0.40 %, or 12.30 % for one value."""
    return plus_minus(mean(values), std(values), unit="%")
