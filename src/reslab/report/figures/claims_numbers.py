"""A claim's numbers in words: the effect, its tests, and the prediction as it was fixed."""

from typing import Any

from reslab.errors import one_line
from reslab.report import words
from reslab.report.folder import Facts, facts, items
from reslab.statistics import p_text
from reslab.stored.claims import decisive

MOST = 12  # single effects that are listed
SIGNED = ("points", "decades")  # units of differences


def amount(value: Any, unit: object = "", *, plus: bool = False) -> str:
    """`+12.3 points`; three significant digits and a true minus."""
    if not words.is_number(value):
        return words.NONE
    text = words.number(float(value)).replace("-", "−")
    sign = "+" if plus and value > 0 else ""
    name = one_line(unit or "")
    if name in SIGNED and text in ("1", "−1"):
        name = name.removesuffix("s")
    return f"{sign}{text}{words.GAP}{name}" if name else f"{sign}{text}"


def effect(prediction: Facts, judged: Facts) -> str:
    """`+12.3 points (95 % interval +9.1 to +15.5)`; "" without a mean."""
    unit, plus = prediction.get("unit") or "", is_signed(prediction)
    mean, low, high = (judged.get(key) for key in ("mean", "low", "high"))
    if not words.is_number(mean):
        return ""
    text = amount(mean, unit, plus=plus)
    if words.is_number(low) and words.is_number(high):
        text += f" (95{words.GAP}% interval {amount(low, plus=plus)} to {amount(high, plus=plus)})"
    return text


def is_signed(prediction: Facts) -> bool:
    """Whether the effect is a difference, whose plus sign says something."""
    return prediction.get("unit") in SIGNED or prediction.get("threshold") == 0


def prediction(stored: Facts) -> str:
    """What was predicted, as a sentence; "" where no direction is stored."""
    unit, threshold = stored.get("unit") or "", amount(stored.get("threshold"), stored.get("unit"))
    margin = amount(stored.get("margin"), unit)
    return {
        "above": f"The mean effect is above {threshold}.",
        "below": f"The mean effect is below {threshold}.",
        "same": f"The mean effect is {threshold}, give or take the margin of {margin}.",
        "exact": f"Every single effect is {threshold}, give or take {margin}.",
    }.get(str(stored.get("direction")), "")


def table(claim: Facts) -> list[tuple[str, str]]:
    """The rows of a claim's numbers: those that are stored."""
    stored, judged = facts(claim.get("prediction")), facts(claim.get("judged"))
    unit, plus = stored.get("unit") or "", is_signed(stored)
    rows: list[tuple[str, str]] = []
    if stored.get("quantity"):
        rows.append(("what the effect is", one_line(stored["quantity"])))
    if words.is_number(judged.get("mean")):
        rows.append(("mean effect", effect(stored, judged)))
    if each := single(judged, plus=plus):
        rows.append(("single effects", f"{each} (in {one_line(unit)})" if unit else each))
    if words.is_number(judged.get("n")):
        rows.append(("n", words.count(judged["n"])))
    if judged.get("test"):
        rows.append(("test", one_line(judged["test"])))
    rows += p_values(judged, same=stored.get("direction") == "same")
    if words.is_number(judged.get(key := decisive(claim.get("verdict"), stored.get("direction")))):
        rows.append(("p of the verdict", p_text(judged[key]).removeprefix("= ")))
    if words.is_number(stored.get("margin")):
        rows.append(("margin", amount(stored["margin"], unit)))
    if told := power(stored, judged):
        rows.append(("power, for the observed spread", told))
    rows += [(one_line(key), one_line(value)) for key, value in facts(claim.get("numbers")).items()]
    if words.is_number(claim.get("seconds")):
        rows.append(("CPU time", words.duration(claim["seconds"])))
    return rows


def p_values(judged: Facts, *, same: bool) -> list[tuple[str, str]]:
    """Those of the prediction's question and of the opposite one, as they are and corrected."""
    opposite = "p of lying outside the margin" if same else "p of equivalence"
    names = {"p": "p of lying within the margin" if same else "p",
             "p_holm": "the same, after Holm’s correction" if same else "p after Holm’s correction",
             "p_opposite" if "p_opposite" in judged else "p_equivalent": opposite,
             "p_opposite_holm": f"{opposite}, after Holm’s correction"}  # fmt: skip
    return [(name, p_text(judged[key]).removeprefix("= ")) for key, name in names.items()
            if words.is_number(judged.get(key))]  # fmt: skip


def settings(claim: Facts) -> list[tuple[str, str]]:
    """The experiment and its settings, one a row: `train.changes.epochs` and `20`."""

    def flat(value: Any, path: str) -> list[tuple[str, str]]:
        if isinstance(value, dict) and value:
            return [row for key, one in value.items() for row in flat(one, f"{path}.{key}" if path else str(key))]
        return [] if value in ({}, [], "", None) else [(one_line(path), one_line(words.plain(value)))]

    named = [("experiment", one_line(claim["experiment"]))] if claim.get("experiment") else []
    return [*named, *(flat(claim["settings"], "") if facts(claim.get("settings")) else [])]


def power(stored: Facts, judged: Facts) -> str:
    """What n could have shown: the stored sentence, else one from the smallest effect; and what the plan assumed."""
    assumed = stored.get("spread")
    plan = f" The plan assumed a standard deviation of {amount(assumed, stored.get('unit'))}." if (
        words.is_number(assumed)) else ""  # fmt: skip
    if judged.get("power"):
        return one_line(judged["power"]) + plan
    n, sees = judged.get("n"), judged.get("sees")
    if not (words.is_number(n) and words.is_number(sees)):
        return ""
    return (f"n = {words.count(n)} would show an effect of {amount(sees, stored.get('unit'))} with power "
            f"80{words.GAP}%.{plan}")  # fmt: skip


def single(judged: Facts, *, plus: bool) -> str:
    """`seed 0: +12.1, seed 1: +13.0`; at most MOST of them, and those that are all the same once."""
    effects, cases = items(judged.get("effects")), items(judged.get("cases"))
    if len(effects) > 2 and len(set(effects)) == 1:
        return f"{amount(effects[0], plus=plus)} in each of {len(effects)} cases"
    shown = [f"{one_line(cases[k])}: {amount(value, plus=plus)}" if k < len(cases) else amount(value, plus=plus)
             for k, value in enumerate(effects[:MOST])]  # fmt: skip
    more = f", and {len(effects) - MOST} more" if len(effects) > MOST else ""
    return ", ".join(shown) + more
