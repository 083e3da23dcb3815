"""The arms of an experiment as cells: a model that is trained, and what measures it.

Of an experiment's settings these are read:

    train    the settings of work "train" (nets on images), with `data` and without the seed; or
    model    {"work": NAME, ...}: of another work that trains a model, on data that its settings name. The text "given"
             for its `data` stands for the user's, which the planner puts into settings.data
    look     {"work": NAME, ...}: a work that measures the trained model
"""

from collections.abc import Mapping
from typing import Any

from reslab.study.grid import Cell
from reslab.study.grid.cell import cell

OF_THE_PAGE = ("label", "metric")  # keys of an arm that change nothing of its cells
GIVEN = "given"


def arm_cell(settings: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Cell:
    """The last work of an arm, which is what it changes of the settings' `train` (or `model`), with one seed."""
    first = trained(settings, arm, seed)
    if "look" not in settings:
        return first
    look = dict(settings["look"])
    return cell(look.pop("work"), {**look, "data": data_of(settings), "seed": seed}, first)


def trained(settings: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Cell:
    """The training of an arm. Equal trainings of several claims are one cell, whatever the page calls them."""
    changes = {key: value for key, value in arm.items() if key not in OF_THE_PAGE}
    if "model" not in settings:
        return cell("train", {**merged(settings["train"], changes), "seed": seed})
    model = merged(settings["model"], changes)
    return cell(model.pop("work"), {**model, "data": data_of(settings), "seed": seed})


def data_of(settings: Mapping[str, Any]) -> Any:
    """The data that the model is trained on."""
    if "model" not in settings:
        return settings["train"]["data"]
    data = settings["model"]["data"]
    return settings["data"] if data == GIVEN else data


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with changes; objects in both are merged, key by key."""
    out = dict(base)
    for key, value in changes.items():
        out[key] = (
            merged(out[key], value) if isinstance(value, Mapping) and isinstance(out.get(key), Mapping) else value
        )
    return out
