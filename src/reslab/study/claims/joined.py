"""The verdicts that a folder already holds: a run of other claims into it keeps them, and judges all together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from reslab.errors import UsageError, arg
from reslab.run import Run
from reslab.stored.files import named
from reslab.study.claims.agree import RESULT, read
from reslab.study.claims.fixed import PREDICTED
from reslab.study.claims.plan import Asked, Planned, seeds_from, tried, with_seeds
from reslab.study.claims.record import Claim


def joined(folder: Path, table: Mapping[str, Claim], asked: Asked, runs: Sequence[Planned]) -> list[Planned]:
    """The claims of a finished run in the folder that are not among `runs`, each as it was run.

    Raises UsageError if one of them was run with other data, settings or seeds, or is another claim now.
    """
    if not Run(folder).has(RESULT):
        return []
    stored, now = read(folder), {one.claim.name for one in runs}
    kept = [one for one in stored["claims"] if one["name"] not in now]
    there: Any = stored.get("data", {}).get("fingerprint")
    if kept and there != asked.data.fingerprint:
        raise lost(folder, [one["name"] for one in kept], "they are on other data")
    return [as_it_was(one, folder, table, asked) for one in kept]


def as_it_was(old: Any, folder: Path, table: Mapping[str, Claim], asked: Asked) -> Planned:
    name, judged = old["name"], old.get("judged") or {}
    if name not in table:
        raise lost(folder, [name], "it is no claim of reslab, nor one of yours that was given")
    one = tried(table[name], asked)
    if old["verdict"] == "not run":
        return replace(one, cells={}, why_not=old.get("why_not") or one.why_not)
    if one.cells and table[name].prediction.direction != "exact":
        one = with_seeds(one, seeds_from(asked.seed, judged.get("n", 0)))
        if judged.get("cases") != [f"seed {seed}" for seed in one.seeds]:
            raise lost(folder, [name], "it was run with other seeds")
    if (
        not one.cells
        or differ(one.settings, old.get("settings"))
        or differ(decides(asdict(one.claim.prediction)), decides(old["prediction"]))
    ):
        raise lost(folder, [name], "it is another claim now")
    return one


def decides(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a verdict; why it is so, and the spread of the power, are texts that can be mended."""
    return {key: prediction.get(key) for key in PREDICTED}


def differ(a: Any, b: Any) -> bool:
    """Whether they differ as JSON."""
    return json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True)


def lost(folder: Path, names: Sequence[str], why: str) -> UsageError:
    """The error that tells which verdicts would be lost."""
    which = f"the verdict{'s' * (len(names) > 1)} on {', '.join(names)}"
    return UsageError(f"{named(folder)} holds {which}, which would be lost: {why}; choose another ", arg("folder"))
