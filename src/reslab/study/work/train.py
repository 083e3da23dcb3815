"""Train one net on images, in a run folder of its own."""

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError
from reslab.images.data import ImageData
from reslab.images.data import load as load_data
from reslab.images.task import train_size
from reslab.images.train import prepare, train
from reslab.nets import count, spec, suited
from reslab.progress import Progress
from reslab.study.ranks import train_by
from reslab.train.recipe import Recipe, change, read

RUN = "run"  # the run folder, in the cell's folder
KEPT = (  # of results/train.json
    "train_error",
    "train_error_eval",
    "train_loss_eval",
    "test_error",
    "test_loss",
    "iterations",
    "parameters",
    "test_n",
)
PER_SECOND = 1.5e10  # multiply-adds, forward and backward, of one core of the machine of docs/claims.md
PER_LAYER = 4e-4  # seconds of a step beside them


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """Train `net` with `options` by `recipe` with `changes` on `data` from `seed`; what it ended with.

    train_error is that of the last epoch, counted while training; train_error_eval that of the final weights. A
    training whose loss is no number any more has `diverged`: it counts as guessing, with the error and loss of that.
    chance: that error. `nproc` processes train it; 1 if it is not given.
    """
    data = loaded(settings["data"])
    if settings["data"].get("fingerprint") not in (None, "", data.fingerprint):  # the cell's key would be wrong
        raise ReslabError(f"the data {settings['data']['word']!r} are not those that this training was planned for; if "
                          "they changed, run the command again")  # fmt: skip
    run = prepare(folder / RUN, net=net_of(settings), data=data, word=settings["data"]["word"],
                  recipe=recipe_of(settings), options=settings["data"]["options"])  # fmt: skip
    counted = {"train_n": train_size(data, recipe_of(settings)), "test_n": len(data.test),
               "chance": guessing(len(data.classes))["test_error"]}  # fmt: skip
    try:
        if (nproc := settings.get("nproc", 1)) > 1:
            found = train_by(run, nproc=nproc, device=device)
        else:
            found = train(run.folder, data=data, device=device, progress=progress)
    except ReslabError:
        if not run.has("nan.json"):
            raise
        return {**guessing(len(data.classes)), **counted}
    return {**counted, **{key: found[key] for key in KEPT if key in found}}


def guessing(classes: int) -> dict[str, Any]:
    """What a training that has diverged ends with."""
    error, loss = 100 - 100 / classes, math.log(classes)
    return {"train_error": error, "train_error_eval": error, "train_loss_eval": loss, "test_error": error,
            "test_loss": loss, "diverged": True}  # fmt: skip


def cost(settings: dict[str, Any]) -> float:
    """CPU seconds of the training, on the machine of docs/claims.md."""
    data, recipe = loaded(settings["data"]), recipe_of(settings)
    net = suited(net_of(settings), classes=len(data.classes), shape=data.shape)
    steps = recipe.length(len(data.train))
    return steps * (3 * recipe.batch * count(net).macs / PER_SECOND + PER_LAYER * net.depth)


def net_of(settings: dict[str, Any]) -> Any:
    return spec(settings["net"], **settings.get("options", {}))


def recipe_of(settings: dict[str, Any]) -> Recipe:
    """One thread and fp32: the cells of a study share the cores, and every net is trained in the same way."""
    same = {"threads": 1, "precision": "fp32", "memory_format": "NHWC", "compile": "off"}
    changes = {**same, **settings.get("changes", {}), "seed": settings["seed"]}
    name = settings["recipe"]  # None: a file's, whose every key is among the changes
    return change(Recipe(), **changes) if name is None else read(name, **changes)


def loaded(data: dict[str, Any]) -> ImageData:
    """The data of a cell, loaded once by each process."""
    options = {key: tuple(one) if isinstance(one, list) else one for key, one in data["options"].items()}
    if "root" in options:
        options["root"] = Path(data["options"]["root"])
    return _loaded(data["word"], tuple(sorted(options.items())))


@lru_cache(maxsize=2)
def _loaded(word: str, options: tuple[tuple[str, Any], ...]) -> ImageData:
    return load_data(word, **dict(options))
