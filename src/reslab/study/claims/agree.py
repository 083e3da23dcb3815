"""Compare the verdicts of two finished runs."""

from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError
from reslab.run import Run
from reslab.statistics import wilson
from reslab.stored.claims import Claims
from reslab.stored.files import named

RESULT = "results/claims.json"


def read(folder: Path) -> Claims:
    """The content of a run's results/claims.json. Raises UsageError for a folder without one."""
    run = Run(folder)
    if not run.has(RESULT):
        raise UsageError(f"{named(folder)} has no {RESULT}: it is no folder of `reslab claims`")
    found: Any = run.read_json(RESULT, "claims")
    for one in found["claims"]:
        if "name" not in one or "verdict" not in one:
            raise ReslabError(f"{run.path(RESULT)} is damaged: a claim has no name or no verdict; run it again")
    return found


def agreement(a: Path, b: Path) -> dict[str, Any]:
    """The share of equal verdicts among the claims that were run in both, and those that differ.

    Raises UsageError if no claim was run in both, or if a claim of one name is not the same claim in both.
    """
    one, other = ({claim["name"]: claim for claim in read(folder)["claims"]} for folder in (a, b))
    both = [name for name in one if name in other and "not run" not in (one[name]["verdict"], other[name]["verdict"])]
    if not both:
        raise UsageError(f"no claim was run in both {named(a)} and {named(b)}")
    for name in both:
        if one[name].get("hash", "") != other[name].get("hash", ""):
            raise UsageError(f"{name} is another claim in {named(b)} than in {named(a)}: their digests differ")
    differ = [{"name": name, "a": one[name]["verdict"], "b": other[name]["verdict"]}
              for name in both if one[name]["verdict"] != other[name]["verdict"]]  # fmt: skip
    same, n = len(both) - len(differ), len(both)
    around = wilson(same, n)
    sentence = (f"{same} of {n} verdicts agree: {100 * same / n:.1f} % "
                f"(95 % interval {100 * around.low:.1f} to {100 * around.high:.1f})")  # fmt: skip
    return {"share": same / n, "n": n, "differ": differ, "sentence": sentence,
            "not_compared": sorted({*one, *other} - set(both))}  # fmt: skip
