"""Verdicts: the effects of all claims on a page against their predictions.

Every claim that chance bears on asks two questions: that of its prediction (does the mean differ from the threshold; of
"same": is it within the margin) and the opposite one. Each question has a family of its own over the page and Holm's
correction in it. Of the two null hypotheses of one claim at most one can be true: a mean that is the threshold is also
within the margin of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reslab.statistics import (
    LEVEL,
    Sample,
    differs,
    holm,
    outside,
    p_text,
    sample,
    smallest_effect,
    smallest_margin,
    within,
)
from reslab.stored.claims import Judged
from reslab.study.claims.record import Answer, Claim, Measured, Prediction

ALPHA = round(1 - LEVEL, 12)
ROUNDING = 1e-9  # of the margin, and of what was subtracted: a spread below it is rounding
FAMILIES = (
    "The tests of all predictions of this page are one family, those of the opposite findings (equivalent; of a claim "
    "of sameness, contradicted) another. In each, Holm's correction keeps the chance of even one false finding at "
    "5 % or less. A verdict needs a corrected p below 0.05."
)


@dataclass(frozen=True, kw_only=True)
class Judgment:
    verdict: Answer
    answer: str  # a sentence or two: the effect, its interval, what follows
    judged: Judged


def judge(claims: Sequence[Claim], measured: Sequence[Measured]) -> list[Judgment]:
    """The verdict of each claim; Holm's correction over all of them."""
    pairs = list(zip(claims, measured, strict=True))
    tested = [(claim, one) for claim, one in pairs if by_chance(claim, one)]
    samples = [sample(one.effects, noise=one.noise, rounding=ROUNDING * max(one.largest, claim.prediction.margin))
               for claim, one in tested]  # fmt: skip
    asked = [p_values(claim.prediction, one) for (claim, _), one in zip(tested, samples, strict=True)]
    corrected = list(zip(holm([p for p, _ in asked]), holm([p for _, p in asked]), strict=True))
    every = zip(tested, samples, asked, corrected, strict=True)
    found = iter([tried(claim, one, effects=each, raw=raw, corrected=both, family=len(tested))
                  for (claim, one), each, raw, both in every])  # fmt: skip
    return [next(found) if by_chance(claim, one) else counted(claim.prediction, one) for claim, one in pairs]


def by_chance(claim: Claim, one: Measured) -> bool:
    return claim.prediction.direction != "exact" and all(map(math.isfinite, one.effects))


def p_values(prediction: Prediction, one: Sample) -> tuple[float, float]:
    """p of the prediction's question, and of the opposite one."""
    near = within(one, prediction.threshold, prediction.margin)
    if prediction.direction == "same":
        return near, outside(one, prediction.threshold, prediction.margin)
    return differs(one, prediction.threshold), near


def verdict(prediction: Prediction, mean: float, p: float, opposite: float) -> Answer:
    """From the corrected p of the prediction's question and of the opposite one."""
    if prediction.direction == "same":
        return "holds" if p < ALPHA else "contradicted" if opposite < ALPHA else "not shown"
    if opposite < ALPHA:
        return "equivalent"
    if p >= ALPHA:
        return "not shown"
    return "holds" if (mean > prediction.threshold) == (prediction.direction == "above") else "contradicted"


def tried(
    claim: Claim, one: Measured, *, effects: Sample, raw: tuple[float, float], corrected: tuple[float, float],
    family: int,
) -> Judgment:  # fmt: skip
    """A claim that a test decides."""
    asked, found = claim.prediction, verdict(claim.prediction, effects.mean, *corrected)
    said = answer(asked, effects, found, corrected, family)
    if empty := [case for case, value, blank in zip(one.cases, one.effects, one.blank, strict=False)
                 if blank and agrees(asked, value, found)]:  # fmt: skip
        which = f"{', '.join(empty)} show{'s' * (len(empty) == 1)} nothing, because nothing was there to measure"
        found, said = "not shown", f"{said} But the effect{'s' * (len(empty) > 1)} of {which}: it is not shown."
    sees, power = seen(asked, effects, family)
    same = asked.direction == "same"
    judged: Judged = {
        "n": effects.n, "mean": effects.mean, "low": effects.low, "high": effects.high,
        "test": in_words(asked, effects, family), "effects": list(one.effects), "cases": list(one.cases),
        "p": raw[0], "p_holm": corrected[0], "p_equivalent": raw[0] if same else raw[1],
        "p_opposite": raw[1], "p_opposite_holm": corrected[1], "family": family, "sees": sees, "power": power,
    }  # fmt: skip
    return Judgment(verdict=found, answer=said, judged=judged)


def agrees(one: Prediction, effect: float, found: Answer) -> bool:
    """Whether a single effect is as the verdict says of their mean."""
    near = abs(effect - one.threshold) <= one.margin
    if one.direction == "same":
        return near if found == "holds" else found == "contradicted" and not near
    side = effect > one.threshold if one.direction == "above" else effect < one.threshold
    return {"holds": side, "equivalent": near, "contradicted": effect != one.threshold and not side}.get(found, False)


def answer(one: Prediction, effects: Sample, found: Answer, p: tuple[float, float], family: int) -> str:
    """`Training error of ...: 30.35 points on average (95 % interval 27.12 to 33.6, n = 5). As predicted, ...`."""
    start = f"{one.quantity[:1].upper()}{one.quantity[1:]}: {with_unit(effects.mean, one.unit)} on average"
    if effects.low is not None and effects.high is not None:
        between = f"95 % interval {number(effects.low)} to {number(effects.high)}, "
    else:
        between = "all the same, " if effects.n > 1 else ""
    line, about = with_unit(one.threshold, one.unit), with_unit(one.margin, one.unit)
    near, side = f"within {about} of {line}", f"{one.direction} {line}"
    other = f"{'below' if one.direction == 'above' else 'above'} {line}"
    corrected = f"after Holm's correction for {family} claim{'s' * (family > 1)}"
    first, second = f"p {p_text(p[0])} {corrected}", f"p {p_text(p[1])} {corrected}"
    if one.direction == "same":
        ends = {"holds": f"As predicted, it is {near}: {first}", "not shown": f"It is not shown to be {near}: {first}",
                "contradicted": f"Against the prediction, it is not {near}: {second}"}  # fmt: skip
    else:
        ends = {"holds": f"As predicted, it is {side}: {first}",
                "contradicted": f"Against the prediction, it is {other}: {first}",
                "equivalent": f"It is {near}, a difference too small to matter: {second}",
                "not shown": f"It is not shown to be {side}: {first}"}  # fmt: skip
    return f"{start} ({between}n = {effects.n}). {ends[found]}."


def in_words(one: Prediction, effects: Sample, family: int) -> str:
    """The test of the prediction."""
    line = with_unit(one.threshold, one.unit)
    if effects.error is None:
        why = (
            "a single effect" if effects.n == 1 else "the effects are all the same, so a t test has no spread to go by"
        )
        name = f"sign test of {effects.n} effect{'s' * (effects.n > 1)} against {line} ({why})"
    elif one.direction == "same":
        near = f"within {with_unit(one.margin, one.unit)} of {line}"
        name = f"two one-sided t tests of the mean of {effects.n} effects: {near}"
    else:
        name = f"two-sided t test of the mean of {effects.n} effects against {line}"
    return f"{name}; Holm's correction over the {family} tested claim{'s' * (family > 1)} of this page"


def seen(one: Prediction, effects: Sample, family: int) -> tuple[float | None, str]:
    """What n effects with this spread show with power 80 %, before Holm's correction has let off anything."""
    if effects.error is None:
        return None, "No power is computed: the effects have no spread."
    spread = effects.error * math.sqrt(effects.n)
    return needed(one, n=effects.n, spread=spread, family=family)


def needed(one: Prediction, *, n: int, spread: float | None, family: int) -> tuple[float | None, str]:
    """The smallest effect that n seeds show, and a sentence; `spread`: standard deviation of the effect, if known."""
    if n < 2:
        return None, "One seed shows nothing about others: give at least two."
    alpha, line = ALPHA / family, with_unit(one.threshold, one.unit)
    deviations = (smallest_margin if one.direction == "same" else smallest_effect)(n, alpha=alpha)
    if spread is None:
        size = f"{number(deviations, digits=2)} standard deviations"
    else:
        size = f"{with_unit(deviations * spread, one.unit, digits=2)}"
    shown = (f"show that a mean on {line} is within {size} of it" if one.direction == "same"
             else f"show a mean that differs from {line} by {size}")  # fmt: skip
    step = f" / {family}, Holm's first step" if family > 1 else ""
    given = "" if spread is None else f" if the effect's standard deviation is {with_unit(spread, one.unit, digits=2)}"
    sentence = f"{n} seeds {shown} with probability 80 %{given} (alpha 5 %{step})."
    if one.direction == "same" and spread is not None and deviations * spread > one.margin:
        sentence += f" The margin is {with_unit(one.margin, one.unit)}, so more seeds are needed."
    return None if spread is None else deviations * spread, sentence


def counted(one: Prediction, found: Measured) -> Judgment:
    """A claim in which no chance is involved: every effect must be within the margin. Also what is not finite."""
    numbers = [value if math.isfinite(value) else None for value in found.effects]
    judged: Judged = {"n": len(numbers), "effects": numbers, "cases": list(found.cases),
                      "mean": None, "low": None, "high": None}  # fmt: skip
    line = f"{with_unit(one.threshold, one.unit)}"
    off = {case: abs(value - one.threshold) for case, value in zip(found.cases, found.effects, strict=True)}
    bad = {case: distance for case, distance in off.items() if not distance <= one.margin}
    name = f"{one.quantity[:1].upper()}{one.quantity[1:]}"
    if one.direction != "exact":
        wrong = next(case for case, distance in off.items() if not math.isfinite(distance))
        judged["test"] = "none: an effect is not a finite number"
        return Judgment(verdict="not shown", answer=f"{name}: the effect of {wrong} is not a finite number.",
                        judged=judged)  # fmt: skip
    near = f"exactly {line}" if not one.margin else f"within {with_unit(one.margin, one.unit)} of {line}"
    judged["test"] = f"none: each of {len(off)} cases must be {near}"
    if not bad:
        furthest = f" (the furthest is {with_unit(max(off.values()), one.unit)} away)" if one.margin else ""
        each = f"all of {len(off)} cases are" if len(off) > 1 else "it is"
        return Judgment(verdict="holds", answer=f"{name}: as predicted, {each} {near}{furthest}.", judged=judged)
    worst = max(bad, key=lambda case: bad[case] if math.isfinite(bad[case]) else math.inf)
    value = dict(zip(found.cases, found.effects, strict=True))[worst]
    each = f"{len(bad)} of {len(off)} cases are" if len(off) > 1 else "it is"
    return Judgment(verdict="contradicted", judged=judged,
                    answer=f"{name}: {each} not {near}, such as {worst}: {with_unit(value, one.unit)}.")  # fmt: skip


def with_unit(value: float, unit: str, *, digits: int = 4) -> str:
    return f"{number(value, digits=digits)} {unit}".rstrip()


def number(value: float, *, digits: int = 4) -> str:
    """Four significant digits, with a true minus sign."""
    shown = f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    return shown.replace("-", "−")
