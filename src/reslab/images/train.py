"""Train on images: turn a prepared run folder into a trained net, a result and a model card."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch import nn

from reslab.errors import ReslabError, UsageError, arg
from reslab.images.calibrate import calibrated
from reslab.images.card import write_card
from reslab.images.changes import changes
from reslab.images.data import ImageData, Part
from reslab.images.data import load as load_data
from reslab.images.data.arrays import WORD
from reslab.images.data.words import WORDS
from reslab.images.doubtful import warn_of_doubtful_settings, warn_of_random_layers
from reslab.images.pictures.keep import keep_of_training
from reslab.images.pictures.samples import keep_samples
from reslab.images.reading import how_read, storable
from reslab.images.sources.assemble import MEMORY
from reslab.images.start import normalization, starting
from reslab.images.task import SEVERAL, ImageTask, training_parts
from reslab.nets import Spec, build, count, read_spec, suited, to_dict
from reslab.nets.model import ModelSpec
from reslab.progress import Progress, silent
from reslab.run import Run, absolute
from reslab.train.checkpoint import write_weights
from reslab.train.folder import read_recipe
from reslab.train.life import Account, Work, in_brackets, prepare_run, train_run
from reslab.train.memory import explained
from reslab.train.order import refuse_several
from reslab.train.recipe import Recipe
from reslab.train.start import START, start_net
from reslab.train.training import Training
from reslab.train.world import ALONE, World

CHOICES = "choices.json"  # in the run folder: the names of net and recipe, and why they were chosen


def prepare(
    folder: Path | str, *, net: Spec, data: ImageData, word: str, recipe: Recipe,
    options: dict[str, Any] | None = None, command: str = "", start: Path | str | None = None,
    choices: dict[str, Any] | None = None, fitted: Collection[str] = (),
) -> Run:  # fmt: skip
    """Make a run folder with the net's spec, the recipe and the data's description, or find the same run in it.

    The net's classes, channels and image size are set from the data. `options` are those the data were loaded
    with (root, size). `start`: a run folder or checkpoint file whose weights the training starts from. `choices`: for
    choices.json, the names of net and recipe and why they were chosen. `fitted`: keys of the recipe that follow from
    the data. Raises UsageError if the folder holds another run, naming what differs.
    """
    run = Run(folder)
    data = as_stored(run, data)
    if len(data.classes) < 2:
        raise UsageError(
            f"{data.name} has one class only, {data.classes[0]!r}: there is nothing to tell apart; "
            "a folder of images needs a folder for each class, such as FOLDER/cat/1.jpg FOLDER/dog/2.jpg"
        )
    net = suited(net, classes=len(data.classes), shape=data.shape)
    recipe.check()
    steered = arg("early_stop") if recipe.early_stop else arg("keep", "best") if recipe.keep == "best" else None
    if steered and not recipe.validation and data.validation is None:
        raise UsageError(steered, " needs a validation part, as the test part must not steer training: set ",
                         arg("validation", 0.1))  # fmt: skip
    if recipe.sampling == "balanced":
        refuse_several(data.train.labels)
    if recipe.checkpointing:
        raise UsageError("the recipe key checkpointing is for text encoders; leave it out")
    begun = None if start is None else starting(start, net, data, recipe)
    if begun is None and recipe.mean == "weights":
        raise UsageError(arg("mean", "weights"), " takes the normalization of the weights that a training starts from: "
                         "name them with ", arg("start"), ", or choose another mean")  # fmt: skip
    about = {"word": absolute(word, WORDS), "options": storable(options or {}), **data.describe()}
    prepare_run(
        run, spec=to_dict(net), recipe=recipe, about=about, command=command, start=begun, fitted=fitted,
        fill=lambda: run.write_json(CHOICES, choices) if choices else None, made=OnImages.made,
        stored=lambda: {"net": (identity(read_spec(run)), identity(net))},
        loaded=lambda: (how_read(run.read_json("data.json", "options")["options"]), how_read(about["options"])),
        changes=lambda: changes(run, data),
    )  # fmt: skip
    warn_of_doubtful_settings(recipe, data)  # of what is not refused
    own = isinstance(net, ModelSpec) and net.origin == "file"  # its function may load weights
    warn_of_random_layers(recipe, started=own or run.has(START))
    return run


def identity(net: Spec) -> dict[str, Any]:
    """A spec as data, without what does not make it another net: the version of its library."""
    return {key: value for key, value in to_dict(net).items() if key != "version"}


def train(
    folder: Path | str, *, data: ImageData | None = None, device: str = "auto", progress: Progress = silent,
    command: str = "", world: World = ALONE,
) -> dict[str, Any]:  # fmt: skip
    """Train the net of a prepared run folder, resuming from its last checkpoint; its result, also in results/.

    A finished run is not changed; its stored result is returned. Raises as `train_run` does.
    """
    run = Run(folder)
    recipe = read_recipe(run) if run.has("recipe.toml") else Recipe()
    with explained(run, recipe):
        return train_run(folder, OnImages(data), device=device, progress=progress, command=command, world=world)


class OnImages:
    """The part of training that is specific to images."""

    what = "data"
    made: tuple[str, ...] = (CHOICES,)
    needs: tuple[str, ...] = ("net", "data", "test_error", "train_error", "test_n", "skipped")

    def __init__(self, data: ImageData | None) -> None:
        self.given = data

    def read(self, run: Run) -> None:
        self.spec = read_spec(run)
        self.depth = self.spec.depth

    def load(self, work: Work) -> tuple[str, str]:
        if self.given is None:
            self.given = load_stored(work.run)
            self.given.announce()  # whoever loads the data reports them
        self.data = as_stored(work.run, self.given)
        return work.run.read_json("data.json", "word")["word"], self.data.fingerprint

    def changes(self, run: Run) -> str:
        return changes(run, self.data)

    def build(self, work: Work) -> tuple[ImageTask, nn.Module]:
        net = build(self.spec)
        normalize = normalization(work.run) if work.recipe.mean == "weights" else None
        task = ImageTask(self.data, work.recipe, work.device, normalize=normalize, world=work.world)
        task.small.check(net, shape=self.data.shape)
        start_net(work.run, net, resumed=bool(work.recipe.stochastic_depth or work.recipe.active_blocks))
        work.run.write_json("normalize.json", task.normalize.as_dict())
        if not work.run.has("last.pt"):
            for name in self.data.skipped:
                work.run.log(event="skipped", iteration=0, name=name)
            work.world.by_first(task.verify)
        return task, net

    def finish(self, work: Work, training: Training, account: Account) -> dict[str, Any]:
        """Evaluate on the training part too; write weights and model card."""
        task, spec, counts = training.task, self.spec, count(self.spec)
        assert isinstance(task, ImageTask)
        parts = training.evaluated  # None: resumed after its last step, or changed since
        parts = parts or {p: task.evaluate(training.kept, p, training.choice) for p in ("validation", "test")}
        test, held = parts["test"] or {}, parts["validation"]
        trained = task.evaluate(training.kept, "train", training.choice) or {}
        if not work.world.leads:
            return {}
        write_weights(work.run, training.kept, to_dict(spec))
        result = {
            "net": spec.name, "depth": spec.depth, "parameters": counts.parameters, "macs": counts.macs,
            "train_error": training.epoch_error, "train_error_eval": trained.get("error"),
            "train_loss_eval": trained.get("loss"),
            "test_error": test.get("error"), "test_top5": test.get("top5"), "test_loss": test.get("loss"),
            "test_n": test.get("n"), "test_balanced": test.get("balanced"), "test_majority": test.get("majority"),
            "validation_error": held["error"] if held else None, "kept_iteration": training.best.get("iteration"),
            **({"several": True, **{f"test_{key}": test.get(key) for key in SEVERAL}} if self.data.several else {}),
            "drops": training.schedule.drops, "warmup_left": training.schedule.left_at,
            "skipped": [*self.data.skipped, *training.skipped],
            **calibrated(task.scored.get("validation"), task.scored.get("test")), **account(),
        }  # fmt: skip
        write_card(work.run, result)
        keep_samples(work.run, task)
        if test:
            keep_of_training(work.run, self.data, task, result, progress=work.progress)
        return result


def stored_data(run: Run) -> ImageData:
    """The data of a run folder, loaded with the stored options. Raises ReslabError if they have changed since."""
    data, about = load_stored(run), run.read_json("data.json", "word", "fingerprint")
    if data.fingerprint != about["fingerprint"]:
        differ = in_brackets(changes(run, data))
        raise ReslabError(f"the data {about['word']!r} differ from those that {run.folder} started with{differ}; "
                          "restore them, or use them as they are now with ", arg("data", about["word"]))  # fmt: skip
    return data


def load_stored(run: Run) -> ImageData:
    """The data that a run folder names, whether or not they have changed."""
    about = run.read_json("data.json", "word", "options", "fingerprint")
    if about["word"] == WORD:
        raise UsageError(
            f"{run.folder} was trained on {WORD}, which no file holds: name data for it, or train from Python"
        )
    options: dict[str, Any] = about["options"]
    root = Path(options["root"]) if "root" in options else None
    white = about.get("gray") or options.get("white")  # as decided when the run was made
    data = load_data(about["word"], root=root, size=options.get("size"), memory=options.get("memory", MEMORY),
                     white=white, max_pixels=options.get("max_pixels"), level=options.get("level"),
                     crops=options.get("crops", False),
                     file_column=options.get("file_column"), label_columns=options.get("label_columns"),
                     part_column=options.get("part_column"),
                     label_separator=options.get("label_separator"), interpolation=options.get("interpolation"),
                     rgb=options.get("rgb", False))  # fmt: skip
    return as_stored(run, data)


def as_stored(run: Run, data: ImageData) -> ImageData:
    """The data with those parts that the run was trained on: older runs did not use the data's own validation part."""
    about = run.read_json("data.json") if run.has("spec.json") and run.has("data.json") else {"validation": 0}
    return data if "validation" in about else data.without_validation()


def validation_part(model: Path | str, data: ImageData) -> Part:
    """The validation part of the data or, of a run's own data, the one that its recipe set aside.

    Raises UsageError if there is neither.
    """
    run = Run(model)
    if data.validation is not None:
        return data.validation
    if run.has("recipe.toml") and run.read_json("data.json").get("fingerprint") == data.fingerprint:
        held = training_parts(data, read_recipe(run))[1]
        if held is not None:
            return held
        raise UsageError(f"{data.name} has no validation part, and the recipe of {model} sets none aside; choose ",
                         arg("part", "test"))  # fmt: skip
    raise UsageError(f"{data.name} has no validation part; choose ", arg("part", "test"))


def like_run(run: Run, word: str) -> dict[str, Any]:
    """The options with which other data are read as the run's were: size, deep gray, interpolation, gray as RGB."""
    about = run.read_json("data.json")
    options, (H, W) = about.get("options", {}), (about.get("shape") or (0, 0, 1))[1:]
    found = {"rgb": options.get("rgb")}
    if word not in WORDS:
        found |= {"white": about.get("gray"), "interpolation": options.get("interpolation"),
                  "size": options.get("size") or (H if H == W else None)}  # fmt: skip
    return {key: value for key, value in found.items() if value}


def trained_on(model: Path | str, word: str | None, data: ImageData) -> str | None:
    """The fingerprint of the data that a run folder's net, or its weights.safetensors, was trained on; None if unknown.

    It is that of `data` if `word` names the run's own folder or file: read in another size or way, or with files added
    since, it still holds the images that the net was trained on.
    """
    run = Run(path.parent if (path := Path(model)).name == "weights.safetensors" else path)
    if not (run.has("spec.json") and run.has("data.json")):
        return None
    about = run.read_json("data.json")
    same = word is not None and absolute(word, WORDS) == about.get("word")
    return data.fingerprint if same else about.get("fingerprint")
