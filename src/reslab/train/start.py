"""From a run folder to a trained net: the folder says everything, so any process can take the training up."""

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from reslab.data import ImageData
from reslab.data import load as load_data
from reslab.data.load import MEMORY, WORDS
from reslab.errors import ReslabError, UsageError
from reslab.nets import Spec, build, count, read_spec, to_dict
from reslab.run import Run
from reslab.train.begin import alone, beginning
from reslab.train.card import write_card
from reslab.train.checkpoint import write_weights
from reslab.train.loop import fit
from reslab.train.progress import Tell, silent
from reslab.train.recipe import Recipe, read, write
from reslab.train.schedule import Schedule
from reslab.train.task import ImageTask, set_aside
from reslab.train.training import Training

DONE = "results/train.json"


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
        raise UsageError("early_stop needs a validation part, and the test part steers nothing: give --validation 0.1")
    if recipe.checkpointing:
        raise UsageError("checkpointing is for encoders of texts: leave it out")
    mind(recipe, data)
    about = {"word": absolute(word), "options": storable(options or {}), **data.describe()}
    if run.has("spec.json"):
        same(run, recipe, about, net=(to_dict(read_spec(run)), to_dict(net)))
        return run
    make_folder(run, recipe, about, command=command)
    run.write_json("spec.json", to_dict(net))  # last: with it the folder is a run
    return run


def make_folder(
    run: Run, recipe: Recipe, about: dict[str, Any], *, command: str, ours: Sequence[str] = (),
    without: Sequence[str] = (),
) -> None:  # fmt: skip
    """Make a run folder with its recipe and data.json; what else it needs comes next, and spec.json last.

    `ours`: files and folders that such a run may have before its spec.json; `without`: keys its recipe leaves out.
    Raises UsageError where something else lies there.
    """
    if run.folder.is_dir() and not all(begun(path.name) or path.name in ours for path in run.folder.iterdir()):
        raise UsageError(f"{run.folder} is not empty and not a run folder; choose another folder with --out")
    run.make()
    run.write_text("recipe.toml", f"# {command or 'made in Python'}\n{write(recipe, without=without)}")
    run.write_json("data.json", about)


def mind(recipe: Recipe, data: ImageData) -> None:
    """Warn of what can be run but is hardly meant."""
    images = len(data.train)
    if data.digits and recipe.flip and recipe.augment != "none":
        warnings.warn("the recipe mirrors half of the images, and the mirror of a digit is none: take --no-flip",
                      stacklevel=3)  # fmt: skip
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if recipe.batch > images:
        warnings.warn(f"a batch of {recipe.batch} holds each of the {images} training images more than once",
                      stacklevel=3)  # fmt: skip
    if recipe.threads > cores:
        warnings.warn(f"{recipe.threads} threads on {cores} processors are slower than {cores}", stacklevel=3)
    schedule = Schedule(recipe, images=images - set_aside(images, recipe))
    if schedule.missed and max(recipe.drops) >= 1:  # shares of a run of a few steps may fall on its end: as asked
        warnings.warn(
            f"the run ends at iteration {schedule.total:,}, before its learning rate drops at "
            f"{', '.join(f'{drop:,}' for drop in schedule.missed)}; --drops 0.5 0.75 sets drops as shares of the run",
            stacklevel=3,
        )


def finished(folder: Path | str) -> bool:
    """Whether a run folder holds a result and the weights it is of; without them it is trained on from last.pt."""
    return Run(folder).has(DONE) and Run(folder).has("weights.safetensors")


def begun(name: str) -> bool:
    """Whether a folder's entry is of those that `prepare` makes before spec.json: it may have been killed there."""
    asides = (".recipe.toml.", ".data.json.", ".spec.json.")
    return name in ("results", "recipe.toml", "data.json") or name.startswith(asides)


def absolute(word: str) -> str:
    """A data word that is a path, so that the run can go on from any folder."""
    return str(Path(word).resolve()) if word not in WORDS and Path(word).exists() else word


def storable(options: dict[str, Any]) -> dict[str, Any]:
    """The data's options as JSON, without asking for a download again."""
    kept = {key: value for key, value in options.items() if value is not None and key != "download"}
    return {key: str(Path(v).resolve()) if key == "root" else v for key, v in kept.items()}


def same(
    run: Run, recipe: Recipe, about: dict[str, Any], **others: tuple[dict[str, Any], dict[str, Any]]
) -> None:  # fmt: skip
    """Raise UsageError unless the folder's recipe, data and all `others`, (there, asked), are these."""
    stored = {
        **others,
        "recipe": (asdict(read_recipe(run)), asdict(recipe)),
        "data": tuple({"fingerprint": d.get("fingerprint")} for d in (run.read_json("data.json"), about)),
    }
    for what, (old, new) in stored.items():
        if what == "data" and old != new:
            raise UsageError(f"{run.folder} holds another run (the data differ); name a new folder with --out")
        differ = [f"{key} {old.get(key)!r} there, {new[key]!r} asked" for key in new if old.get(key) != new[key]]
        if differ:
            raise UsageError(
                f"{run.folder} holds another run ({what}: {'; '.join(differ[:3])}); name a new folder with --out"
            )


def pick_device(name: str = "auto") -> torch.device:
    """The device to train on: CUDA, MPS or the CPU where "auto". Raises UsageError for one that is not there."""
    if name == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device {name!r} is not to be had here; `reslab doctor` shows what is") from error
    return device


def train(
    folder: Path | str, *, data: ImageData | None = None, device: str = "auto", tell: Tell = silent, command: str = ""
) -> dict[str, Any]:
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
            training = fit(task, net, recipe=recipe, run=run, tell=tell, depth=spec.depth)
        return finish(training, spec, run, command=command or first_comment(run), skipped=data.skipped)


def read_recipe(run: Run) -> Recipe:
    """The recipe of a run folder. Raises UsageError where it has none."""
    if not run.has("recipe.toml"):
        raise UsageError(f"{run.path('recipe.toml')} is missing; restore a copy of it, or train anew with --out")
    return read(run.path("recipe.toml"))


def stored_data(run: Run) -> ImageData:
    """The data of a run folder, loaded as they were. Raises ReslabError where they have changed since."""
    about = run.read_json("data.json", "word", "options", "fingerprint")
    options: dict[str, Any] = about["options"]
    root = Path(options["root"]) if "root" in options else None
    data = load_data(about["word"], root=root, size=options.get("size"), memory=options.get("memory", MEMORY))
    if data.fingerprint != about["fingerprint"]:
        raise ReslabError(
            f"the data {about['word']!r} have changed since {run.folder} was begun; restore them to go on, "
            "or name a new run with --out"
        )
    return data


def configure(recipe: Recipe) -> None:
    """Set the process's threads and determinism as the recipe says."""
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    if recipe.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(recipe.deterministic)  # off again after a run that was
    torch.backends.cudnn.benchmark = not recipe.deterministic


def first_comment(run: Run) -> str:
    """The command that made the folder: it heads the recipe."""
    return run.path("recipe.toml").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


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
        "images_per_second": round(training.iteration * training.recipe.batch / max(seconds, 1e-9), 1),
        "choice": training.choice.as_dict(), "drops": training.schedule.drops, "warmup_left": training.schedule.left_at,
        "skipped": [*skipped, *training.skipped], "command": command,
    }  # fmt: skip
    write_card(run, result)
    run.write_json(DONE, result)
    return result
