"""The type of every stored JSON file: the one list of them."""

from fnmatch import fnmatch
from typing import Any

from reslab.stored import claims, env, folders, grids, healing, looks, pictures, results, shards, ships, slims, studies
from reslab.stored.numbers import Number

KINDS: dict[str, Any] = {  # pattern of a file's name -> its type; the first match counts
    "spec.json": folders.Spec,
    "start.json": folders.Start,
    "data.json": folders.Data,
    "teacher.json": healing.Teacher,
    "choices.json": folders.Choices,
    "env.json": env.Env,
    "normalize.json": folders.Normalize,
    "members.json": folders.Members,
    "encoder.json": folders.Encoder,
    "target.json": folders.Target,
    "calibration.json": folders.Calibration,
    "table.json": folders.Estimator,
    "study.json": studies.Study,
    "look.json": looks.Looked,
    "proof.json": ships.Proof,
    "reslab-shards.json": shards.Shards,
    "results/train.json": results.Result,
    "results/pictures.json": pictures.Pictures,
    "results/duplicates.json": pictures.Duplicates,
    "results/samples.json": pictures.Samples,
    "results/compare.json": studies.Heads,
    "results/compare-tables.json": studies.Nets,
    "results/steps.json": dict[str, Number],
    "results/slim-plan.json": slims.Plan,
    "results/slim.json": slims.Slimmed,
    "results/claims.json": claims.Claims,
    "results/grid.json": grids.Grid,
    "slim-asked.json": slims.Asked,
    "slim-arms.json": slims.Arms,
    "results/eval*.json": results.Evaluation,
    "results/qa-eval*.json": results.Evaluation,
    **{f"results/look-{verb}.json": kind for verb, kind in looks.VERBS.items()},
}


def kind_of(name: str) -> Any:
    """The type of a file, named relative to its folder; any object for a file that reslab does not write."""
    return next((kind for pattern, kind in KINDS.items() if fnmatch(name, pattern)), folders.Object)
