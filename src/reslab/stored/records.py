"""Which file of a folder holds what: the one list of all stored files that are JSON."""

from fnmatch import fnmatch
from typing import Any

from reslab.stored import folders, looks, results, studies
from reslab.stored.numbers import Number

KINDS: dict[str, Any] = {  # a file of a folder -> what it holds; the first that fits
    "spec.json": folders.Spec,
    "data.json": folders.Data,
    "env.json": folders.Env,
    "normalize.json": folders.Normalize,
    "members.json": folders.Members,
    "encoder.json": folders.Encoder,
    "target.json": folders.Target,
    "table.json": folders.Estimator,
    "study.json": studies.Study,
    "look.json": looks.Looked,
    "results/train.json": results.Result,
    "results/compare.json": studies.Heads,
    "results/compare-tables.json": studies.Nets,
    "results/steps.json": dict[str, Number],
    "results/eval*.json": results.Evaluation,
    "results/qa-eval*.json": results.Evaluation,
    **{f"results/look-{verb}.json": kind for verb, kind in looks.VERBS.items()},
}


def kind_of(name: str) -> Any:
    """What a file of a folder, named from the folder on, holds; any object where it is none of ours."""
    return next((kind for pattern, kind in KINDS.items() if fnmatch(name, pattern)), folders.Object)
