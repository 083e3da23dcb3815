"""The recipes of healing and of the nets that a healed one is compared with, for images."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reslab.images.data import ImageData
from reslab.images.defaults import CHOOSING, LENGTHS, choose
from reslab.images.task import train_size
from reslab.run import Run
from reslab.slim.families.image_subject import ImageSubject
from reslab.stored.files import named
from reslab.train.folder import DONE, read_recipe
from reslab.train.recipe import Recipe, change
from reslab.train.start import ABOUT, START

SHARE = 0.1  # of the epochs of the first training, for healing
SLOWER = 5  # times slower than in the run, for adamw, which has no rule with the batch
BATCH, RATE = 32, 0.01  # of the recipe `finetune`: the rate follows the batch
HEALING: dict[str, Any] = {  # what healing changes in the recipe of the run
    "iterations": 0, "schedule": "cosine", "warmup": 0.1, "drops": (), "warmup_lr": 0.0, "early_stop": 0,
    "stochastic_depth": 0.0, "active_blocks": 0, "freeze": "none", "layer_decay": 1.0, "head_rate": 1.0,
    "mean": "weights",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Before:
    """The trainings that made the intact model."""

    recipe: Recipe | None  # of the first of them, from random weights; None: unknown
    epochs: float | None  # of all of them together
    unknown: str = ""  # why they are unknown


def before(run: Run | None, what: str) -> Before:
    """What is known of the trainings that made a model: of its run, and of the runs whose weights that started from."""
    if run is None:
        return Before(recipe=None, epochs=None, unknown=f"how {what} was trained is not known")
    epochs = float(run.read_json(DONE, "epochs")["epochs"]) if run.has(DONE) else None
    if epochs is None:
        return Before(recipe=None, epochs=None, unknown=f"the training of {named(run.folder)} is not finished")
    if not run.has(START):
        return Before(recipe=read_recipe(run), epochs=epochs)
    about = run.read_json(ABOUT) if run.has(ABOUT) else {}
    earlier = Run(str(about.get("word") or ""))
    if not earlier.has("spec.json"):
        why = f"{named(run.folder)} started from {about.get('of', 'weights')}, whose training is not known"
        return Before(recipe=None, epochs=None, unknown=why)
    first = before(earlier, "")
    return Before(recipe=first.recipe, epochs=None if first.epochs is None else first.epochs + epochs,
                  unknown=first.unknown)  # fmt: skip


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
    """The precision that the run trained in: every training of the comparison has the same."""
    choice = (run.read_json(DONE).get("choice") or {}) if run.has(DONE) else {}
    return {"precision": choice["precision"]} if choice.get("precision") in ("fp32", "bf16") else {}


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

    Iterations at which its learning rate drops move with the length. It sets aside the validation part of healing.
    """
    if known.recipe is None:
        made = choose(subject.data, word=subject.word, changes={"epochs": epochs}, pretrained=False).recipe
        return change(made, validation=heal.validation, seed=heal.seed, threads=heal.threads, keep=heal.keep,
                      precision=heal.precision, checkpoint_seconds=heal.checkpoint_seconds)  # fmt: skip
    own, n = known.recipe, train_size(subject.data, heal)
    times = epochs * n / (own.length(n) * own.batch)
    drops = tuple(drop if drop < 1 else round(drop * times) for drop in own.drops)
    return change(own, iterations=0, epochs=epochs, drops=drops, seed=heal.seed, validation=heal.validation,
                  precision=heal.precision, threads=heal.threads,
                  checkpoint_seconds=heal.checkpoint_seconds)  # fmt: skip
