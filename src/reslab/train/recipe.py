"""A recipe: everything that defines a training besides net and data, in one flat TOML file."""

import json
import math
import typing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from reslab.errors import UsageError, nearest
from reslab.stored.files import MissingFile, named, parse_toml
from reslab.stored.read import read_toml
from reslab.stored.typed import brief
from reslab.train.rate import note_rate

IMAGES = (  # keys that do not apply to texts
    "label_smoothing", "stochastic_depth", "active_blocks", "warmup_lr", "warmup_error", "warmup_depth", "validation",
    "augment", "pad", "flip", "color", "shortest", "longest", "mean", "std", "memory_format", "workers", "precise_bn",
)  # fmt: skip
IMAGES_ONLY = [key for key in IMAGES if key not in ("validation", "label_smoothing")]  # nor to tables


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
    augment: Literal["none", "crop", "scale"] = "none"
    pad: int = 4
    flip: bool = False
    color: bool = False  # AlexNet's, for "scale"
    shortest: int = 256  # "scale": the shorter side is sampled from [shortest, longest]
    longest: int = 480
    mean: Literal["pixel", "channel", "imagenet", "none"] = "pixel"
    std: bool = False
    early_stop: int = 0  # stop after this many validation evaluations without improvement; keep the best net
    select: Literal["error", "loss"] = "error"  # by which the best net is chosen
    # how it runs
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    memory_format: Literal["auto", "NCHW", "NHWC"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    checkpointing: bool = False  # text encoders: recompute layers in the backward pass to save memory
    deterministic: bool = False
    threads: int = 0  # 0: PyTorch's choice
    workers: int = 2  # processes that decode images, if these do not fit in memory
    evaluate_every: float = 1.0  # epochs
    checkpoint_seconds: float = 60.0
    look: int = 100  # iterations between measurements of the norms of weights and gradients
    tensorboard: bool = False  # needs the extra `track`
    precise_bn: bool = False  # at the end, BN statistics averaged over the training part
    seed: int = 0

    def check(self) -> None:
        """Raise UsageError for invalid values."""
        for key in ("batch", "lr", "drop_factor", "patience", "evaluate_every"):
            if not getattr(self, key) > 0:
                raise UsageError(f"{key} must be positive, got {getattr(self, key)}")
        for key in ("epochs", "iterations"):  # 0 only if the other is given: see below
            if getattr(self, key) < 0:
                raise UsageError(f"{key} must be positive, got {getattr(self, key):,}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not 0 <= value < float("inf"):
                raise UsageError(f"{field.name} must be zero or more, got {value}")
        if self.epochs and self.iterations:
            raise UsageError(f"give either epochs or iterations, got {self.epochs:g} and {self.iterations}")
        if not self.epochs and not self.iterations:
            raise UsageError("epochs (or iterations) must be positive, got 0")
        if self.stochastic_depth and self.active_blocks:
            raise UsageError("stochastic_depth and active_blocks cannot be combined; give one of them")
        if self.compile == "on" and (self.stochastic_depth or self.active_blocks):
            raise UsageError(
                "compile = on cannot be combined with stochastic_depth or active_blocks: they change the net each step"
            )
        for key in ("momentum", "ema", "label_smoothing", "stochastic_depth"):
            if getattr(self, key) >= 1:
                raise UsageError(f"{key} must be below 1, got {getattr(self, key)}")
        if not 0 < self.layer_decay <= 1:
            raise UsageError(f"layer_decay must be above 0 and at most 1, got {self.layer_decay}")
        if self.nesterov and self.optimizer != "sgd":
            raise UsageError("nesterov needs the optimizer sgd, got adamw")
        if self.nesterov and not self.momentum:
            raise UsageError("nesterov needs momentum, got momentum 0")
        if self.schedule == "steps" and self.drops:
            if min(self.drops) < 1 <= max(self.drops):
                raise UsageError(
                    f"drops must be all iterations or all shares of the run (below 1), got {list(self.drops)}"
                )
            if list(self.drops) != sorted(self.drops) or self.drops[0] <= 0:
                raise UsageError(f"drops must be positive and increasing, got {list(self.drops)}")
        for key, most in (("batch", 2**31), ("iterations", 2**53), ("epochs", 2**53)):
            if getattr(self, key) > most:
                raise UsageError(f"{key} must be at most {most:,}, got {brief(getattr(self, key))}")
        if self.seed >= 2**63:
            raise UsageError(f"seed must be below 2**63, got {self.seed}")
        if self.shortest > self.longest:
            raise UsageError(f"shortest must be at most longest, got {self.shortest} and {self.longest}")

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
    ours = str(name) in names()  # a name alone: no path leads into the package
    source = files("reslab.train.recipes").joinpath(f"{name}.toml") if ours else Path(name)
    if isinstance(source, Path) and source.is_dir():
        raise UsageError(unknown_recipe(name))
    try:
        values = read_toml(source) if isinstance(source, Path) else parse_toml(source.read_bytes(), str(name))
    except MissingFile as error:
        raise UsageError(unknown_recipe(name)) from error
    try:
        recipe = merged(Recipe(), values)
        if not changes:
            recipe.check()
    except UsageError as error:
        raise UsageError(f"recipe {name}: {error}") from error
    return change(recipe, **changes), recipe


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
