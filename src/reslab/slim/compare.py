"""The trainings beside each other, with equal budgets: which of healed, intact-longer and scratch wins."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from reslab.slim.record import Arm, What
from reslab.statistics import (
    LEVEL,
    Difference,
    compare_counts,
    compare_known,
    compare_rates,
    counting_variance,
    equivalence,
    holm,
    interval_variance,
    mean,
    p_text,
    plus_minus,
    std,
    welch,
)

TRAINED: tuple[What, ...] = ("healed", "intact-longer", "scratch")
ALPHA = 1 - LEVEL  # a difference counts as shown if p, corrected for all pairs, is below this
UNITS = {"error": " points", "f1": " points", "exact": " points", "loss": " nats"}
SIDES = ("error", "f1", "exact")  # in points
MARGIN = 0.5  # points by which a healed model may be worse and still count as equally good
LEAST = 1e-12  # of a variance: equal scores without noise are no error


def compared(arms: Sequence[Arm], *, measure: str) -> tuple[dict[str, Any], ...]:
    """Every pair of the trainings: a - b, its interval, p, and p after Holm's correction for all pairs."""
    there = [what for what in TRAINED if values(arms, what)]
    found = [(a, b, difference(of(arms, a), of(arms, b), measure=measure)) for a, b in combinations(there, 2)]
    corrected = holm([one.p for _, _, one in found])
    return tuple(
        {"a": a, "b": b, "difference": one.value, "low": one.low, "high": one.high, "p": one.p, "p_holm": p,
         "seeds": one.n, "n": of(arms, a)[0].score.n, "words": pair_in_words(a, b, one, measure)}
        for (a, b, one), p in zip(found, corrected, strict=True)
    )  # fmt: skip


def of(arms: Sequence[Arm], what: What) -> list[Arm]:
    return [arm for arm in arms if arm.what == what]


def values(arms: Sequence[Arm], what: What) -> list[float]:
    return [arm.score.value for arm in of(arms, what)]


def difference(a: Sequence[Arm], b: Sequence[Arm], *, measure: str) -> Difference:
    """The means over seeds compared: Welch's test, with the noise of the test items as the least variance of a value.

    Error rates of one class an image are compared on arcsine roots. With one seed on a side, a z test of the means over
    the items, which says nothing about other seeds.
    """
    ours, theirs = ([arm.score.value for arm in side] for side in (a, b))
    one, n = min(len(ours), len(theirs)) < 2, a[0].score.n
    if measure == "error" and not a[0].score.more.get("several"):
        return compare_counts(mean(ours), mean(theirs), images=n) if one else compare_rates(ours, theirs, images=n)
    noise_a, noise_b = (mean([interval_variance(arm.score.low, arm.score.high) for arm in side]) for side in (a, b))
    if one:
        return compare_known(mean(ours), mean(theirs), variance=max(noise_a + noise_b, LEAST))
    return welch(ours, theirs, floor=(max(noise_a, LEAST), max(noise_b, LEAST)))


def number(value: float, measure: str) -> str:
    return f"{value:.{3 if measure == 'loss' else 2}f}".replace("-", "−")


def pair_in_words(a: What, b: What, found: Difference, measure: str) -> str:
    """`healed − scratch: −1.10 points (95 % interval −1.49 to −0.71, p = 0.001)`."""
    shown = [number(value, measure) for value in (found.value, found.low, found.high)]
    return (f"{a} − {b}: {shown[0]}{UNITS.get(measure, '')} (95 % interval {shown[1]} to {shown[2]}, "
            f"p {p_text(found.p)})")  # fmt: skip


def within(arms: Sequence[Arm], *, measure: str, lower_is_better: bool) -> str:
    """Whether the healed model is at most MARGIN points worse than the intact one that was trained as long; "" if the
    measure is none in percent or one of them is missing. One-sided: the upper 95 % limit of the difference.
    """
    ours, theirs = of(arms, "healed"), of(arms, "intact-longer")
    if not (ours and theirs) or measure not in SIDES:
        return ""
    worse, better = (ours, theirs) if lower_is_better else (theirs, ours)  # worse - better: how much is lost
    if min(len(ours), len(theirs)) > 1:
        a, b = ([arm.score.value for arm in side] for side in (worse, better))
        floor = (noise(worse, measure), noise(better, measure))
        limit, over = equivalence(a, b, margin=MARGIN, floor=floor).high, "over seeds"
    else:
        limit, over = difference(worse, better, measure=measure).high, "over test items, from a two-sided interval"
    shown = "shown" if limit < MARGIN else "not shown"
    side = "above" if lower_is_better else "below"
    return (f"that healed's {measure} is at most {MARGIN:g} points {side} that of intact-longer is {shown} (limit "
            f"{number(limit, measure)} points, one-sided 95 % {over})")  # fmt: skip


def noise(side: Sequence[Arm], measure: str) -> float:
    """The variance of one value by its test items."""
    if measure == "error" and not side[0].score.more.get("several"):
        return counting_variance(mean([arm.score.value for arm in side]), side[0].score.n)
    return max(mean([interval_variance(arm.score.low, arm.score.high) for arm in side]), LEAST)


def caveats(arms: Sequence[Arm], *, distill: float) -> tuple[str, ...]:
    """What the comparison does not tell apart, in sentences."""
    there = [what for what in TRAINED if values(arms, what)]
    if len(there) < 2:
        return ()
    found = ["each training's budget is equal in epochs, not in multiply-adds",
             "intervals cover trainings or test items, of one intact model and one plan: neither was made anew for a "
             "seed"]  # fmt: skip
    if "healed" in there and distill:
        found.append("healed also learns from the intact model's predictions, the others from the labels alone; "
                     "distill = 0 is the control")  # fmt: skip
    if min(len(values(arms, what)) for what in there) < 2:
        found.append("with one seed, the nets are compared as if on different test items; they share them, so the "
                     "intervals are wider than need be")  # fmt: skip
    return tuple(found)


def verdict(arms: Sequence[Arm], pairs: Sequence[dict[str, Any]], *, measure: str, lower_is_better: bool) -> str:
    """Which training wins, in sentences; "not shown" if the test does not tell the best from the next ones."""
    there = [what for what in TRAINED if values(arms, what)]
    if len(there) < 2:
        return "nothing was trained beside the healed model, so nothing is known about what healing itself brings"
    order = sorted(there, key=lambda what: mean(values(arms, what)) * (1 if lower_is_better else -1))
    lead = "; ".join(f"{what} {spelled(arms, what, measure)}" for what in order)
    best, rest = order[0], [versus(order[0], other, pairs, measure) for other in order[1:]]
    open_ = [other for (shown, _), other in zip(rest, order[1:], strict=True) if not shown]
    words = "; ".join(sentence for _, sentence in rest)
    seeds = min(len(values(arms, what)) for what in there)
    near = within(arms, measure=measure, lower_is_better=lower_is_better)
    known = (f". The claim {near}" if near else "") + ". Measured with one intact model and one plan"
    known += "" if seeds > 1 else "; one seed each, so nothing is known about other seeds"
    if open_:
        return f"no winner is shown: {words} ({lead}){known}"
    return f"{best} wins: {words} ({lead}){known}"


def versus(best: What, other: What, pairs: Sequence[dict[str, Any]], measure: str) -> tuple[bool, str]:
    """(whether the difference is shown, the sentence)."""
    pair = next(one for one in pairs if {one["a"], one["b"]} == {best, other})
    sign = 1 if pair["a"] == best else -1
    low, high = sorted((sign * pair["low"], sign * pair["high"]))
    value, shown = sign * pair["difference"], pair["p_holm"] < ALPHA
    between = f"95 % interval {number(low, measure)} to {number(high, measure)}"
    p = f"p {p_text(pair['p_holm'])} after Holm's correction{'' if shown else ': not shown'}"
    apart = f"{number(abs(value), measure)}{UNITS.get(measure, '')} {'below' if value < 0 else 'above'}"
    return shown, f"{best}'s {measure} is {apart if value else 'equal to'} that of {other} ({between}, {p})"


def spelled(arms: Sequence[Arm], what: What, measure: str) -> str:
    """`9.52 ± 0.11 % (3 seeds)`."""
    found = values(arms, what)
    unit = "%" if measure in ("error", "f1", "exact") else ""
    many = f"{len(found)} seed{'s' * (len(found) > 1)}"
    return f"{plus_minus(mean(found), std(found), digits=3 if measure == 'loss' else 2, unit=unit)} ({many})"
