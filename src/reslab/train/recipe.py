"""A recipe: everything that defines a training besides net and data, in one flat TOML file."""

import json
import math
import typing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from reslab.errors import UsageError, nearest
from reslab.stored.files import MissingFile, named, parse_toml
from reslab.stored.read import read_toml
from reslab.stored.typed import brief
from reslab.train.checks import check
from reslab.train.rate import note_rate

IMAGES = (  # keys that do not apply to texts
    "label_smoothing", "stochastic_depth", "active_blocks", "warmup_lr", "warmup_error", "warmup_depth", "validation",
    "augment", "pad", "flip", "color", "shortest", "longest", "mean", "std", "memory_format", "workers", "precise_bn",
    "freeze", "head_rate", "accumulate", "area", "aspect", "brightness", "contrast", "saturation", "hue", "policy",
    "policy_ops", "policy_magnitude", "erase", "mixup", "cutmix", "repeats", "class_weights", "sampling", "loss",
    "keep", "flip_alternate", "cutout", "small", "small_until", "sync_bn", "fuse",
)  # fmt: skip
IMAGES_ONLY = [key for key in IMAGES if key not in ("validation", "label_smoothing", "sync_bn")]  # nor to tables


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings, flat. Iteration counts may be shares of the run: drops = [0.5, 0.75]. 0 switches an option off."""

    # length: epochs or iterations
    batch: int = 128
    epochs: float = 0.0
    iterations: int = 0
    # the optimizer: SGD, as in the paper
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.1
    layer_decay: float = 1.0  # each layer's rate is this factor times the rate of the next layer towards the head
    freeze: str = "none"  # "backbone": train the head alone; N: the first N layers keep their weights and statistics
    head_rate: float = 1.0  # the head's rate is this factor times its layer's
    accumulate: int = 1  # parts into which each batch is cut; their gradients are added, so the update is the batch's
    momentum: float = 0.9  # for "sgd"; "adamw" uses 0.9 and 0.999
    nesterov: bool = False
    weight_decay: float = 1e-4
    decay_all: bool = True  # the paper decays every parameter; false excludes norms and biases
    clip: float = 0.0  # largest norm of the gradient
    label_smoothing: float = 0.0
    ema: float = 0.0  # decay of the averaged weights, which become the result; at most (1 + t) / (10 + t) after t steps
    # random depth: train/depth.py
    stochastic_depth: float = 0.0  # probability of dropping the last residual block; lower for earlier blocks
    active_blocks: int = 0  # number of residual blocks in each mini-batch: only the effective paths
    # the schedule of the learning rate
    schedule: Literal["steps", "plateau", "cosine", "linear", "one-cycle", "constant"] = "steps"
    drops: tuple[float, ...] = ()  # "steps": where the rate is divided
    drop_factor: float = 10.0
    patience: int = 5  # "plateau": evaluations (epochs, without a validation part) without a better error
    warmup: float = 0.0  # iterations in which the rate rises from zero ("one-cycle": to its peak)
    warmup_lr: float = 0.0  # keep this rate until the training error is below warmup_error ...
    warmup_error: float = 80.0  # percent
    warmup_depth: int = 0  # ... in nets at least this deep (section 4.2: 110)
    # the data
    validation: float = 0.0  # examples, or share, of the training part to set aside; the test part selects nothing
    augment: Literal["none", "crop", "scale", "resized-crop"] = "none"
    pad: int = 4
    flip: bool = False
    flip_alternate: bool = False  # with "flip": each image in every other epoch, half of them from the first on
    color: bool = False  # AlexNet's, for "scale"
    shortest: int = 256  # "scale": the shorter side is sampled from [shortest, longest]
    longest: int = 480
    area: float = 0.08  # "resized-crop": the crop is sampled from [area, 1] of the image's area ...
    aspect: float = 4 / 3  # ... with an aspect ratio in [1 / aspect, aspect]
    brightness: float = 0.0  # color jitter: factors sampled from [1 - value, 1 + value]
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0  # shift sampled from [-value, value] of the color circle
    policy: Literal["none", "trivial", "rand"] = "none"  # TrivialAugment, RandAugment
    policy_ops: int = 2  # "rand": operations per image
    policy_magnitude: float = 9.0  # "rand": of 30
    erase: float = 0.0  # probability of erasing a random rectangle
    cutout: int = 0  # side of a square of each image that is set to the mean, in pixels; 0: none
    small: int = 0  # shorter side of the images in the first part of training, in pixels; 0: as they are
    small_until: float = 0.5  # where that part ends
    mixup: float = 0.0  # alpha of mixup; 0: none
    cutmix: float = 0.0  # alpha of cutmix; with mixup, each batch gets one of them
    repeats: int = 1  # copies of each image in a batch, augmented differently (repeated augmentation)
    class_weights: Literal["none", "balanced"] = "none"  # "balanced": each class counts alike in the loss
    sampling: Literal["shuffled", "balanced"] = "shuffled"  # "balanced": each class is drawn equally often
    loss: Literal["auto", "softmax", "sigmoid"] = "auto"  # "sigmoid": each class on its own, as for several labels
    mean: Literal["pixel", "channel", "imagenet", "none", "weights"] = "pixel"
    std: bool = False
    early_stop: int = 0  # stop after this many validation evaluations without improvement; keep the best net
    select: Literal["error", "loss"] = "error"  # by which the best net is chosen
    keep: Literal["last", "best"] = "last"  # "best": the net with the best validation, also without early_stop
    # how it runs
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    memory_format: Literal["auto", "NCHW", "NHWC"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    fuse: Literal["auto", "on", "off"] = "auto"  # BatchNorm with what follows it in one pass, on the CPU
    checkpointing: bool = False  # text encoders: recompute layers in the backward pass to save memory
    deterministic: bool = False
    threads: int = 0  # 0: PyTorch's choice
    workers: int = 2  # processes that decode images, if these do not fit in memory
    evaluate_every: float = 1.0  # epochs
    checkpoint_seconds: float = 60.0
    look: int = 100  # iterations between measurements of the norms of weights and gradients
    tensorboard: bool = False  # needs the extra `track`
    precise_bn: bool = False  # at the end, BN statistics averaged over the training part
    sync_bn: bool = False  # several processes: BN statistics of the whole batch; otherwise of each process's part
    seed: int = 0

    def check(self) -> None:
        """Raise UsageError for invalid values."""
        check(self)

    def length(self, images: int) -> int:
        """Iterations of the whole run on `images` training images."""
        return self.iterations or max(1, -(-round(exact(self.epochs) * images) // self.batch))

    def at(self, point: float, images: int) -> int:
        """The iteration at `point`: an iteration or, below 1, a share of the run, which is at least one iteration."""
        return max(1, round(exact(point) * self.length(images))) if 0 < point < 1 else round(point)

    def evaluates(self, before: int, after: int, images: int) -> bool:
        """Whether an evaluation is due that was not yet due at iteration `before`: one every `evaluate_every` epochs.

        It follows the first iteration that completes these epochs; counted exactly, since 3 * 0.1 is above 0.3.
        """
        between = exact(self.evaluate_every) * images / self.batch  # iterations
        return after // between > before // between

    def evaluations(self, start: int, images: int) -> int:
        """How many evaluations are due from iteration `start` to the end, with the one at the end."""
        last = self.length(images) - 1
        between = exact(self.evaluate_every) * images / self.batch
        return min(max(0, last - start), last // between - start // between) + 1  # at most one an iteration


def change(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with some keys changed, checked. Setting epochs unsets iterations, and vice versa."""
    recipe = merged(recipe, changes)
    recipe.check()
    return recipe


def merged(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """The recipe with some keys changed and converted to their types; not checked as a whole."""
    hints = typing.get_type_hints(Recipe)
    values: dict[str, Any] = {}
    for key, value in changes.items():
        if key not in hints:
            raise UsageError(f"a recipe has no key {key!r}{nearest(key, hints)}")
        values[key] = converted(key, value, hints[key])
    if "epochs" in values and not values.get("iterations"):
        values["iterations"] = 0
    elif "iterations" in values and not values.get("epochs"):
        values["epochs"] = 0.0
    return replace(recipe, **values)


def converted(key: str, value: Any, hint: Any) -> Any:
    """The value converted to the field's type. Raises UsageError that names the key."""
    if typing.get_origin(hint) is Literal:
        known = typing.get_args(hint)
        if value not in known:
            raise UsageError(f"{key} must be one of {', '.join(known)}, got {brief(value)}")
        return value
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or not all(number(v) for v in value):
            raise UsageError(f"{key} must be a list of numbers, got {brief(value)}")
        return tuple(value)
    if hint is not bool and isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{key} must be finite, got {value}")
    if hint is str:
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise UsageError(f"{key} must be a word or a whole number, got {brief(value)}")
        return str(value)
    good = isinstance(value, bool) if hint is bool else number(value)
    if not good or (hint is int and value != int(value)):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[hint]
        raise UsageError(f"{key} must be {kind}, got {brief(value)}")
    return hint(value)


def exact(value: float) -> Fraction:
    """The decimal number that a person wrote: 0.1 is a tenth, which no float is."""
    return Fraction(str(value))


def number(value: Any) -> bool:
    """Whether it is a number that a recipe can hold: finite, and not of hundreds of digits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e100 < value < 1e100


def names() -> list[str]:
    """The names of the recipes that come with reslab."""
    return sorted(
        file.name.removesuffix(".toml") for file in files("reslab.train.recipes").iterdir() if ".toml" in file.name
    )


def read(name: str | Path, **changes: Any) -> Recipe:
    """A recipe by name or by the path of a TOML file, with some keys changed; a rate that does not fit is logged.

    Raises UsageError for an unknown recipe, key or value, ReslabError for a damaged file.
    """
    made, before = draft(name, changes)
    if "batch" in changes and "lr" not in changes:
        note_rate(str(name), lr=before.lr, optimizer=before.optimizer, batch=before.batch, used=made.batch)
    return made


def draft(name: str | Path, changes: dict[str, Any]) -> tuple[Recipe, Recipe]:
    """(the recipe that `read` gives, as it is without the changes), without a note: it may not be the one trained."""
    recipe = unchecked(name)
    if not changes:
        try:
            recipe.check()
        except UsageError as error:
            raise UsageError(f"recipe {name}: {error}") from error
    return change(recipe, **changes), recipe


def unchecked(name: str | Path) -> Recipe:
    """A recipe by name or path, each value checked alone: it may lack a length. Raises as `read` does."""
    ours = str(name) in names()  # a name alone: no path leads into the package
    source = files("reslab.train.recipes").joinpath(f"{name}.toml") if ours else Path(name)
    if isinstance(source, Path) and source.is_dir():
        raise UsageError(unknown_recipe(name))
    try:
        values = read_toml(source) if isinstance(source, Path) else parse_toml(source.read_bytes(), str(name))
    except MissingFile as error:
        raise UsageError(unknown_recipe(name)) from error
    try:
        return merged(Recipe(), values)
    except UsageError as error:
        raise UsageError(f"recipe {name}: {error}") from error


def unknown_recipe(name: str | Path) -> str:
    """The message for an unknown recipe name."""
    word = named(name)
    return f"no recipe named {word!r}{nearest(word, names())} (available: {', '.join(names())})"


def refuse_images(recipe: Recipe, keys: Sequence[str] = IMAGES) -> None:
    """Raise UsageError if the recipe sets one of these keys, which do not apply to this task."""
    for key in keys:
        if getattr(recipe, key) != getattr(Recipe(), key):
            raise UsageError(f"{key} is for images only, got {getattr(recipe, key)!r}; leave it out")


def write(recipe: Recipe, *, without: Sequence[str] = ()) -> str:
    """The recipe as TOML for `read_recipe`: every key except `without`, whose values must be the defaults."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in asdict(recipe).items() if key not in without]
    return "\n".join(lines) + "\n"
