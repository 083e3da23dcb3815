"""Nets that do no better than guessing: what a claim asks of their errors says nothing.

Two nets that learned nothing have the same error, and a net that guesses loses nothing with a block. Claims that a
difference is small would then hold, although nothing was measured.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reslab.statistics import counting_variance
from reslab.study.grid import Found

COUNTED = {"train_error": "train_n", "train_error_eval": "train_n", "test_error": "test_n"}  # over how many images
LESIONS = ("harmless", "chance_gap")  # numbers of work "lesions" that a net at chance would have, too
ERRORS = 2  # standard errors of counting, within which an error is that of guessing


def guesses(settings: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether the net whose number is asked for has an error that is that of guessing; `settings` with the arm's own.

    False for every other number, and where the result does not say what guessing would give.
    """
    metric, chance = settings.get("metric", ""), values.get("chance")
    if metric in LESIONS:
        error, n = values.get("intact"), values.get("n")
    elif metric in COUNTED and not settings.get("look"):
        error, n = values.get(metric), values.get(COUNTED[metric])
    else:
        return False
    if chance is None or error is None or not n:
        return False
    return bool(error + ERRORS * math.sqrt(counting_variance(error, n)) >= chance)


def seeds_of_guesses(arms: Sequence[tuple[Mapping[str, Any], Sequence[Found]]]) -> list[bool]:
    """Of each seed, whether the nets of all arms guess; an arm: its settings, and what was found with each seed."""
    each = [[guesses(settings, one.values) for one in found] for settings, found in arms]
    return [all(one) for one in zip(*each, strict=True)]


def told(seeds: Sequence[int], blank: Sequence[bool], diverged: Mapping[str, int]) -> list[str]:
    """What to say of it beside a claim; `diverged`: how many trainings of each arm, by its name."""
    which = [str(seed) for seed, one in zip(seeds, blank, strict=True) if one]
    lines = [f"With seed{'s' * (len(which) > 1)} {', '.join(which)} no net does better than guessing: no verdict "
             "may rest on that effect."] if which else []  # fmt: skip
    return lines + [f"{many} of {len(seeds)} trainings of {name} diverged; each counts as one that guesses."
                    for name, many in diverged.items() if many]  # fmt: skip
