"""The arms of an experiment as cells: a model that is trained, and what measures it.

Of an experiment's settings these are read:

    train    the settings of work "train" (nets on images), with `data` and without the seed; or
    model    {"work": NAME, ...}: of another work that trains a model. Its `data` are a word of study/own; the word
             "given": the user's, which the planner puts into settings.data; or a word for samples that it draws
    look     {"work": NAME, ...}: a work that measures the trained model. With "new" = true, for nets on images, it
             measures the net as the training would begin with it, and nothing is trained
"""

from collections.abc import Mapping
from typing import Any

from reslab.study import own
from reslab.study.grid import Cell
from reslab.study.grid.cell import cell

OTHERS = ("label", "metric", "look")  # keys of an arm that change nothing of its training
OF_NET = ("net", "options")
GIVEN = "given"


def arm_cell(settings: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Cell:
    """The last work of an arm with one seed. It is what the arm changes of `train` (or `model`) and of `look`."""
    first = trained(settings, arm, seed)
    look = merged(settings.get("look", {}), arm.get("look", {}))
    if not look:
        return first
    work, new = look.pop("work"), look.pop("new", False)
    net = {key: value for key, value in first.settings.items() if "model" not in settings and key in OF_NET}
    return cell(work, {**net, **look, "data": data_of(settings), "seed": seed}, *([] if new else [first]))


def trained(settings: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Cell:
    """The training of an arm. Equal trainings of several claims are one cell, whatever the page calls them."""
    changes = {key: value for key, value in arm.items() if key not in OTHERS}
    if "model" not in settings:
        return cell("train", {**merged(settings["train"], changes), "seed": seed})
    model = merged(settings["model"], changes)
    return cell(model.pop("work"), {**model, "data": data_of(settings), "seed": seed})


def data_of(settings: Mapping[str, Any]) -> Any:
    """The data that the model is trained on."""
    if "model" not in settings:
        return settings["train"]["data"]
    data = settings["model"]["data"]
    if data == GIVEN:
        return settings["data"]
    known = isinstance(data, str) and data in own.OWN  # other words are of works that draw their samples
    return own.described(data) if known else data


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with changes; objects in both are merged, key by key."""
    out = dict(base)
    for key, value in changes.items():
        out[key] = (
            merged(out[key], value) if isinstance(value, Mapping) and isinstance(out.get(key), Mapping) else value
        )
    return out
