"""From a run folder to a trained net: the folder says everything, so any process can take the training up."""

import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, ReslabWarning, UsageError, arg
from reslab.images.card import write_card
from reslab.images.data import ImageData
from reslab.images.data import load as load_data
from reslab.images.data.load import MEMORY, WORDS
from reslab.images.task import ImageTask, set_aside
from reslab.nets import Spec, build, count, read_spec, to_dict
from reslab.progress import Progress, silent
from reslab.run import Run
from reslab.train.begin import alone, beginning
from reslab.train.checkpoint import write_weights
from reslab.train.folder import (
    DONE,
    absolute,
    configure,
    finished,
    first_comment,
    make_folder,
    pick_device,
    read_recipe,
    same,
    storable,
)
from reslab.train.loop import fit
from reslab.train.recipe import Recipe
from reslab.train.schedule import Schedule
from reslab.train.training import Training
from reslab.train.workers import usable_cores


def prepare(
    folder: Path | str, *, net: Spec, data: ImageData, word: str, recipe: Recipe,
    options: dict[str, Any] | None = None, command: str = "",
) -> Run:  # fmt: skip
    """Make a run folder that says what to train on what and how, or take up the one that says the same.

    The net's classes, channels and image size are set from the data. `options` are those the data were loaded
    with (root, size). Raises UsageError where the folder holds another run, naming what differs.
    """
    run = Run(folder)
    channels, height, width = data.shape
    if len(data.classes) < 2:
        raise UsageError(
            f"{data.name} has one class only, {data.classes[0]!r}: there is nothing to tell apart; "
            "a folder of images needs a folder for each class, such as FOLDER/cat/1.jpg FOLDER/dog/2.jpg"
        )
    net = replace(net, classes=len(data.classes), channels=channels, size=min(height, width))
    net.check()
    recipe.check()
    if recipe.early_stop and not recipe.validation:
        raise UsageError(
            "early_stop needs a validation part, and the test part steers nothing: set ", arg("validation", 0.1)
        )
    if recipe.checkpointing:
        raise UsageError("checkpointing is for encoders of texts: leave it out")
    mind(recipe, data)
    about = {"word": absolute(word, WORDS), "options": storable(options or {}), **data.describe()}
    if run.has("spec.json"):
        same(run, recipe, about, net=(to_dict(read_spec(run)), to_dict(net)))
        return run
    make_folder(run, recipe, about, command=command)
    run.write_json("spec.json", to_dict(net))  # last: with it the folder is a run
    return run


def mind(recipe: Recipe, data: ImageData) -> None:
    """Warn of what can be run but is hardly meant."""
    images = len(data.train)
    if data.digits and recipe.flip and recipe.augment != "none":
        mirrored = "the recipe mirrors half of the images, and the mirror of a digit is none: take "
        warnings.warn(ReslabWarning(mirrored, arg("flip", False)), stacklevel=3)
    cores = usable_cores()
    if recipe.batch > images:
        warnings.warn(f"a batch of {recipe.batch} holds each of the {images} training images more than once",
                      stacklevel=3)  # fmt: skip
    if recipe.threads > cores:
        warnings.warn(f"{recipe.threads} threads on {cores} processors are slower than {cores}", stacklevel=3)
    schedule = Schedule(recipe, examples=images - set_aside(images, recipe))
    if schedule.missed and max(recipe.drops) >= 1:  # shares of a run of a few steps may fall on its end: as asked
        late = ReslabWarning(
            f"the run ends at iteration {schedule.total:,}, before its learning rate drops at "
            f"{', '.join(f'{drop:,}' for drop in schedule.missed)}; ",
            arg("drops", (0.5, 0.75)),
            " sets drops as shares of the run",
        )
        warnings.warn(late, stacklevel=3)


def train(
    folder: Path | str, *, data: ImageData | None = None, device: str = "auto", progress: Progress = silent,
    command: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Train the net of a prepared run folder, going on from its last checkpoint; its result, also in results/.

    A finished run is not touched: its stored result comes back.
    """
    run = Run(folder)
    if finished(folder):
        return run.read_json(DONE, "net", "data", "test_error", "train_error", "test_n", "skipped")
    spec, recipe, about = (
        read_spec(run),
        read_recipe(run),
        run.read_json("data.json", "word", "options", "fingerprint", "name"),
    )
    with alone(run):
        place = pick_device(device)
        configure(recipe)
        if data is None:
            data = stored_data(run)
        elif data.fingerprint != about["fingerprint"]:
            raise ReslabError(f"these data are not those that {run.folder} was begun with")
        with beginning(run, recipe, place):
            net, task = build(spec), ImageTask(data, recipe, place)
            run.write_json("normalize.json", task.normalize.as_dict())
            if not run.has("last.pt"):
                for name in data.skipped:
                    run.log(event="skipped", iteration=0, name=name)
                task.verify()
            training = fit(task, net, recipe=recipe, run=run, progress=progress, depth=spec.depth)
        return finish(training, spec, run, command=command or first_comment(run), skipped=data.skipped)


def stored_data(run: Run) -> ImageData:
    """The data of a run folder, loaded as they were. Raises ReslabError where they have changed since."""
    about = run.read_json("data.json", "word", "options", "fingerprint")
    options: dict[str, Any] = about["options"]
    root = Path(options["root"]) if "root" in options else None
    data = load_data(about["word"], root=root, size=options.get("size"), memory=options.get("memory", MEMORY))
    if data.fingerprint != about["fingerprint"]:
        raise ReslabError(
            f"the data {about['word']!r} have changed since {run.folder} was begun; restore them to go on, "
            "or choose another ",
            arg("folder"),
        )
    return data


def finish(training: Training, spec: Spec, run: Run, *, command: str, skipped: tuple[str, ...]) -> dict[str, Any]:
    """Evaluate on the training part too, write weights and result. The result is written last: it means finished."""
    task, counts = training.task, count(spec)
    if training.evaluated is None:  # taken up after its last step, or changed since
        training.evaluated = {p: task.evaluate(training.kept, p, training.choice) for p in ("validation", "test")}
    test, held = training.evaluated["test"] or {}, training.evaluated["validation"]
    trained = task.evaluate(training.kept, "train", training.choice) or {}
    write_weights(run, training.kept, to_dict(spec))
    seconds = time.perf_counter() - training.began
    result = {
        "net": spec.name, "depth": spec.depth, "parameters": counts.parameters, "macs": counts.macs,
        "data": run.read_json("data.json")["name"], "iterations": training.iteration,
        "batch": training.recipe.batch, "epochs": round(training.epoch, 3),
        "seed": training.recipe.seed, "train_error": training.epoch_error, "train_error_eval": trained.get("error"),
        "test_error": test.get("error"), "test_top5": test.get("top5"), "test_loss": test.get("loss"),
        "test_n": test.get("n"), "validation_error": held["error"] if held else None, "seconds": round(seconds, 2),
        "examples_per_second": round(training.iteration * training.recipe.batch / max(seconds, 1e-9), 1),
        "choice": training.choice.as_dict(), "drops": training.schedule.drops, "warmup_left": training.schedule.left_at,
        "skipped": [*skipped, *training.skipped], "command": command,
    }  # fmt: skip
    write_card(run, result)
    run.write_json(DONE, result)
    return result
