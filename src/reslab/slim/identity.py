"""What the numbers of a job depend on beside its target and its length: two jobs that differ in it are not mixed."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from reslab.slim.healing.distilled import Distillation
from reslab.train.recipe import Recipe

APART = ("seed", "epochs", "iterations")  # asked of the job, not of its recipe
ALIKE = ("workers", "checkpoint_seconds", "look", "tensorboard")  # change no number


def identity(
    recipe: Recipe, how: Distillation, *, data: str, trained_epochs: float | None, **more: Any
) -> dict[str, Any]:
    """The recipe and the distillation of healing, the digest of the data, and what the first training is taken for."""
    settings = {key: value for key, value in asdict(recipe).items() if key not in (*APART, *ALIKE)}
    taught = how.as_dict()
    return {"healing": {**settings, "distill": taught.pop("weight"), **taught}, "data": data,
            "trained_epochs": trained_epochs, **more}  # fmt: skip


def flat(asked: Mapping[str, Any]) -> dict[str, Any]:
    """With the settings of healing beside the others, each by its own name; `keep` of both is told apart."""
    found = {key: value for key, value in asked.items() if key != "healing"}
    for key, value in (asked.get("healing") or {}).items():
        found[f"{key} (healing)" if key in found else key] = value
    return found
