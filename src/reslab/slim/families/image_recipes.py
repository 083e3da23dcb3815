"""The recipes of healing and of the nets that a healed one is compared with, for images."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from reslab.images.data import ImageData
from reslab.images.defaults import CHOOSING, LENGTHS, choose
from reslab.images.task import train_size
from reslab.run import Run
from reslab.slim.earlier import Before
from reslab.slim.families.image_subject import ImageSubject
from reslab.stored.files import named
from reslab.train.folder import DONE, read_recipe
from reslab.train.recipe import Recipe, change
from reslab.train.tune import native_bf16

SHARE = 0.1  # of the epochs of the first training, for healing
SLOWER = 5  # times slower than in the run, for adamw, which has no rule with the batch
BATCH, RATE = 32, 0.01  # of the recipe `finetune`: the rate follows the batch
HEALING: dict[str, Any] = {  # what healing changes in the recipe of the run
    "iterations": 0, "schedule": "cosine", "warmup": 0.1, "drops": (), "warmup_lr": 0.0, "early_stop": 0,
    "stochastic_depth": 0.0, "active_blocks": 0, "freeze": "none", "layer_decay": 1.0, "head_rate": 1.0,
    "mean": "weights",
}  # fmt: skip

SAME = ("validation", "keep", "early_stop", "select", "seed", "precision", "memory_format", "threads",
        "checkpoint_seconds")  # of all trainings of a job  # fmt: skip


def heal_recipe(subject: ImageSubject, changes: Mapping[str, Any]) -> tuple[Recipe, str]:
    """The recipe of healing, which the intact model is trained longer by, too, and where it comes from, in words.

    That of the run, with its batch, augmentation, loss, regularization and validation part; the schedule is a cosine
    with a warm-up. The learning rate is that of `finetune`, which follows the batch, and no higher than the run's; for
    adamw a fifth of the run's. Of a model that is no run: the recipe `finetune`, fitted to the data.
    """
    run, given = subject.run, dict(changes)
    if run is None or not run.has("recipe.toml"):
        made = choose(subject.data, word=subject.word, changes={"mean": "weights", **given}, pretrained=True)
        return made.recipe, "recipe finetune, fitted to the data"
    own = read_recipe(run)
    found = {**HEALING, **held(subject, own), **precision_of(run)}
    recipe = change(own, **{**found, "epochs": 1.0, "iterations": 0})
    batch = int(given.get("batch", recipe.batch))
    rate = min(own.lr * batch / own.batch, RATE * batch / BATCH) if own.optimizer == "sgd" else own.lr / SLOWER
    n = train_size(subject.data, change(recipe, **{k: v for k, v in given.items() if k == "validation"}))
    length = {} if given.keys() & {"epochs", "iterations"} else {"epochs": length_of(run, n)}
    chosen = change(recipe, **{"lr": rate, **length, **given})
    return with_choice(
        chosen, subject.data, given
    ), f"the recipe of {named(run.folder)}, with a cosine from {chosen.lr:g}"


def precision_of(run: Run) -> dict[str, str]:
    """Precision and memory format that the run trained in: every training of the comparison has the same."""
    choice = (run.read_json(DONE).get("choice") or {}) if run.has(DONE) else {}
    known = {"precision": ("fp32", "bf16"), "memory_format": ("NCHW", "NHWC")}
    return {key: choice[key] for key, values in known.items() if choice.get(key) in values}


def settled(recipe: Recipe, device: torch.device) -> Recipe:
    """The recipe with a precision and a memory format, so that no training of a job chooses others by its own times."""
    fast = native_bf16(device)
    first = {"precision": "bf16" if fast else "fp32", "memory_format": "NHWC" if fast else "NCHW"}
    return change(recipe, **{key: value for key, value in first.items() if getattr(recipe, key) == "auto"})


def held(subject: ImageSubject, own: Recipe) -> dict[str, Any]:
    """The validation part on data that are not the run's own: a tenth, unless the data have one."""
    if subject.own or subject.data.validation is not None or not own.validation:
        return {}
    return {"validation": SHARE}


def with_choice(recipe: Recipe, data: ImageData, given: Mapping[str, Any]) -> Recipe:
    """The recipe, which keeps the net that is best on the validation part if this has images enough to choose."""
    if "keep" in given:
        return recipe
    n = len(data.validation) if data.validation is not None else len(data.train) - train_size(data, recipe)
    return change(recipe, keep="best" if n >= CHOOSING else "last")


def length_of(run: Run, n: int) -> float:
    """Epochs of healing: a tenth of the run's, at least as many as `finetune` takes, at most half of the run's."""
    whole = float(run.read_json(DONE, "epochs")["epochs"]) if run.has(DONE) else 0.0
    least = math.ceil(LENGTHS["finetune"].images / n)
    if not whole:
        return float(LENGTHS["finetune"].epochs(n))
    return max(1.0, min(max(math.ceil(SHARE * whole), least), whole // 2))


def scratch_recipe(subject: ImageSubject, known: Before, *, epochs: float, heal: Recipe) -> Recipe:
    """The recipe of a net from random weights, `epochs` long: that of the first training, or the one for the data.

    Iterations at which its learning rate drops move with the length. It sets aside the validation part of healing, and
    its net is chosen as the healed one is: by `keep`, without stopping early.
    """
    same = {key: getattr(heal, key) for key in SAME}
    if known.recipe is None:
        made = choose(subject.data, word=subject.word, changes={"epochs": epochs}, pretrained=False).recipe
        return change(made, **same)
    own, n = known.recipe, train_size(subject.data, heal)
    times = epochs * n / (own.length(n) * own.batch)
    drops = tuple(drop if drop < 1 else round(drop * times) for drop in own.drops)
    return change(own, **{**same, "iterations": 0, "epochs": epochs, "drops": drops})
