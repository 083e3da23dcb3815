"""Side effects of fit and how they are undone: its folder, the signals, torch's random state."""

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reslab.errors import UsageError, arg
from reslab.progress import Progress
from reslab.run import Run
from reslab.tables.defaults import RULE as DEFAULTS
from reslab.tables.net.spec import TableSpec
from reslab.tables.parts import Parts, rows_of
from reslab.tables.training import RULE, fit_recipe, train_net
from reslab.train.folder import set_deterministic
from reslab.train.rate import note_rate
from reslab.train.recipe import IMAGES_ONLY, Recipe, change, read, refuse_images
from reslab.train.signals import Interrupted
from reslab.train.training import Training

ABOUT = "table.json"  # in a folder that can be resumed: the settings of its training


def check_words(estimator: Any) -> None:
    """Raise UsageError for invalid parameters: validated in fit, since scikit-learn's constructors must not."""
    for name in ("sizes", "kinds"):
        value = getattr(estimator, name)
        if value is not None and not isinstance(value, Mapping):
            raise UsageError(f"{name} must be a dict, got {value!r}")
    if estimator.recipe is not None and not isinstance(estimator.recipe, str | Path | Mapping):
        raise UsageError(f"recipe must be a recipe's name or a dict of changes, got {estimator.recipe!r}")
    if not isinstance(estimator.members, Integral | None):
        raise UsageError(f"members must be a whole number, got {estimator.members!r}")
    if estimator.members is not None and estimator.members < 1:
        raise UsageError(f"members must be at least 1, got {estimator.members!r}")
    part = estimator.validation
    if part is None:
        return
    if not isinstance(part, int | float | np.number) or not (0 <= part < 1 or float(part).is_integer()):
        raise UsageError(f"validation must be a share below 1 or a number of rows, got {part!r}")


def recipe_of(estimator: Any, parts: Parts, seed: int) -> Recipe:
    """The recipe of an estimator; unless it is named, what its changes leave open follows the number of rows."""
    changes = dict(estimator.recipe) if isinstance(estimator.recipe, Mapping) else {}
    for key, instead in (("seed", "random_state"), ("validation", "validation")):
        if key in changes:
            raise UsageError(f"{key} cannot be set in the recipe here; use the estimator's {instead}")
    named = isinstance(estimator.recipe, str | Path)
    recipe = read(estimator.recipe if named else "tables")
    lr, batch, own = recipe.lr, recipe.batch, "batch" in changes and "lr" not in changes
    if "validation" not in parts.tables:
        changes["early_stop"] = 0
    changes["seed"] = seed
    if named:
        recipe = change(recipe, **changes)
    else:
        train, rows = len(parts.tables["train"]), rows_of(parts)
        recipe = fit_recipe(recipe, changes, train=train, rows=rows, rule=defaults_of(estimator))
    if own:
        note_rate("tables", lr=lr, optimizer=recipe.optimizer, batch=batch, used=recipe.batch)
    refuse_images(recipe, IMAGES_ONLY)
    return recipe


def start_or_resume(run: Run, about: dict[str, Any], defaults: int = DEFAULTS) -> None:
    """Start or resume in a folder. Raises UsageError if it contains anything but the same training.

    defaults: by which rule sizes and recipe were chosen.
    """
    rules = {"split_rule": rule_of(run), "defaults": defaults}
    about = json.loads(json.dumps(about)) | {name: rule for name, rule in rules.items() if rule != 1}
    about |= {"words": True} if usual_words(run) else {}
    if run.has(ABOUT):
        there = run.read_json(ABOUT)
        for key, known in (("net", TableSpec), ("recipe", Recipe)):  # older ones lack newer keys, which have defaults
            since = {field.name: field.default for field in fields(known) if field.default is not MISSING}
            there[key] = {**json.loads(json.dumps(since)), **there.get(key, {})}
        if differ := ", ".join(key for key in about if there.get(key) != about[key]):
            raise UsageError(f"{run.folder} already contains a training with different settings ({differ}); choose "
                             "another ", arg("folder"))  # fmt: skip
    elif run.folder.is_dir() and not all(path.name == "results" for path in run.folder.iterdir()):
        raise UsageError(f"{run.folder} is not empty and contains no training of this kind; choose another ",
                         arg("folder"))  # fmt: skip
    run.make()
    run.write_json(ABOUT, about)


def rule_of(run: Run | None) -> int:
    """By which rule a fit in this folder sets rows aside: that of the training there; see `set_aside`."""
    return int(run.read_json(ABOUT).get("split_rule", 1)) if run is not None and run.has(ABOUT) else RULE


def usual_words(run: Run | None) -> bool:
    """Whether a fit in this folder takes the usual words for missing values; older versions had none."""
    return run is None or not run.has(ABOUT) or bool(run.read_json(ABOUT).get("words", False))


def defaults_of(estimator: Any) -> int:
    """By which rule of defaults.py an estimator chooses: that of the training in its folder, if there is one."""
    if estimator.folder is None:
        return DEFAULTS
    there = [run for run in (Run(estimator.folder), Run(Path(estimator.folder) / "s0")) if run.has(ABOUT)]
    return int(there[0].read_json(ABOUT).get("defaults", 1)) if there else DEFAULTS


def train_or_leave(
    parts: Parts, spec: TableSpec, *, recipe: Recipe, run: Run, device: torch.device, progress: Progress
) -> Training:
    """Train; if a signal stops it, raise what no hyperparameter search takes for a failed fit."""
    try:
        training = train_net(parts, spec, recipe=recipe, run=run, device=device, progress=progress)
        if not training.asked:
            return training
        number = training.asked
    except Interrupted as error:
        number = error.exit_code - 128
    if number == signal.SIGINT:
        raise KeyboardInterrupt("training stopped; with a folder, the same fit resumes from there")
    raise SystemExit(128 + number)


@contextmanager
def untouched(device: torch.device) -> Iterator[None]:
    """Inside, torch may be seeded and configured by a recipe; its state is restored afterwards."""
    devices = range(torch.cuda.device_count()) if device.type == "cuda" else []
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    strict, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark
        set_deterministic("default" if not strict else "warn" if warned else "error")
