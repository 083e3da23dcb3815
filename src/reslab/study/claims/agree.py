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

    note: which seeds they share, if any: runs with the same seeds agree by themselves. Raises UsageError if no claim
    was run in both, if they are on different data, or if a claim of one name is not the same claim in both.
    """
    first, second = read(a), read(b)
    one, other = ({claim["name"]: claim for claim in found["claims"]} for found in (first, second))
    both = [name for name in one if name in other and "not run" not in (one[name]["verdict"], other[name]["verdict"])]
    if not both:
        raise UsageError(f"no claim was run in both {named(a)} and {named(b)}")
    data: list[Any] = [found.get("data") or {} for found in (first, second)]
    if data[0].get("fingerprint") != data[1].get("fingerprint"):
        raise UsageError(f"{named(a)} is on other data than {named(b)}: {data[0].get('name')} and "
                         f"{data[1].get('name')}; compare runs on the same data")  # fmt: skip
    for name in both:
        if one[name].get("hash", "") != other[name].get("hash", ""):
            raise UsageError(f"{name} is another claim in {named(b)} than in {named(a)}: their digests differ")
    differ = [{"name": name, "a": one[name]["verdict"], "b": other[name]["verdict"]}
              for name in both if one[name]["verdict"] != other[name]["verdict"]]  # fmt: skip
    same, n = len(both) - len(differ), len(both)
    around = wilson(same, n)
    sentence = (f"{same} of {n} verdicts agree: {100 * same / n:.1f} % "
                f"(95 % interval {100 * around.low:.1f} to {100 * around.high:.1f})")  # fmt: skip
    shared = sorted(set(first.get("seeds", [])) & set(second.get("seeds", [])))
    return {"share": same / n, "n": n, "differ": differ, "sentence": sentence, "note": note(shared),
            "not_compared": sorted({*one, *other} - set(both))}  # fmt: skip


def note(shared: list[int]) -> str:
    """That runs with the same seeds agree by themselves."""
    which = f"seed{'s' * (len(shared) > 1)} {', '.join(map(str, shared))}"
    return f"both runs have {which}, so they agree more than runs with other seeds would" if shared else ""
