"""Flags that several verbs share. None means: not given, so the recipe, net or data decide."""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from reslab.train.recipe import IMAGES, Recipe

RECIPE_HELP = {
    "batch": "Images (windows of a text, rows of a table) a batch.",
    "epochs": "Passes over the training part; replaces iterations.",
    "iterations": "Updates; replaces epochs.",
    "optimizer": "SGD with momentum, or AdamW.",
    "lr": "Learning rate (the highest of the schedule).",
    "layer_decay": "Rate of a layer as a share of the layer's above it; 1: all the same.",
    "momentum": "Of SGD.",
    "nesterov": "Nesterov's momentum.",
    "weight_decay": "L2 penalty.",
    "decay_all": "Decay norms and biases too, as the paper does.",
    "clip": "Largest norm of the gradient; 0: no clipping.",
    "label_smoothing": "Share of the target spread over all classes.",
    "ema": "Decay of an average of the weights; 0: none.",
    "stochastic_depth": "Chance that a mini-batch leaves out the last residual block; earlier blocks less.",
    "active_blocks": "Train exactly so many residual blocks a mini-batch, drawn anew each time.",
    "schedule": "How the learning rate changes.",
    "drops": "Where `steps` divides the rate: iterations, or shares of the run.",
    "drop_factor": "By how much a drop divides the rate.",
    "patience": "Epochs that `plateau` waits for a better error.",
    "warmup": "Iterations (or share) over which the rate rises.",
    "warmup_lr": "Rate held until the training error is below --warmup-error.",
    "warmup_error": "Percent; see --warmup-lr.",
    "warmup_depth": "Least depth of net that --warmup-lr is for.",
    "validation": "Training images or rows (or a share of them) set aside for validation.",
    "augment": "Shift by a padded crop, random scale and crop, or none.",
    "pad": "Pixels that `crop` pads.",
    "flip": "Mirror half of the training images.",
    "color": "AlexNet's color augmentation, for `scale`.",
    "shortest": "Least shorter side of `scale`, in pixels.",
    "longest": "Greatest shorter side of `scale`, in pixels.",
    "mean": "What is subtracted.",
    "std": "Divide by the standard deviation of each channel.",
    "early_stop": "Stop after so many evaluations of the validation part with none better, and keep the best net.",
    "precision": "auto tries what is fastest here.",
    "memory_format": "auto tries what is fastest here.",
    "compile": "auto tries it for runs long enough to repay it.",
    "checkpointing": "Compute an encoder's layers again going back: less memory, more time.",
    "deterministic": "Only deterministic algorithms.",
    "threads": "CPU threads; 0: PyTorch's choice.",
    "workers": "Processes that decode images.",
    "evaluate_every": "Epochs between evaluations.",
    "checkpoint_seconds": "Seconds between checkpoints.",
    "look": "Iterations between looks at the norms of weights and gradients; 0: none.",
    "tensorboard": "Write TensorBoard events too (extra `track`).",
    "precise_bn": "At the end, average BN statistics over the training images.",
    "seed": "Of initialization, order and augmentation.",
}


def whole(kind: Any, tokens: Sequence[Token]) -> int:
    """A whole number; cyclopts by itself rounds 1.5 to 2."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"must be a whole number, got {tokens[0].value}") from None


def flags_of(
    kind: type, helps: Mapping[str, str], *, without: Sequence[str] = (), only_on: Sequence[str] = (),
    optional: bool = False,
) -> type:  # fmt: skip
    """A dataclass with the fields of `kind` that have a help text as flags.

    `only_on`: switches that have no --no-NAME. `optional`: each is None where it is not given.
    """
    hints, defaults = typing.get_type_hints(kind), {f.name: f.default for f in fields(kind)}
    made = []
    for key, text in helps.items():
        if key in without:
            continue
        hint = hints[key] | None if optional else hints[key]
        many = typing.get_origin(hints[key]) is tuple
        converter = whole if hints[key] in (int, int | None) else None
        negative = () if key in only_on else None
        flag = Parameter(help=text, consume_multiple=many, negative_iterable=(), converter=converter, negative=negative)
        made.append((key, Annotated[hint, flag], field(default=None if optional else defaults[key])))
    flags = make_dataclass(f"{kind.__name__}Flags", made, kw_only=True, frozen=True)
    flags.__module__ = __name__  # cyclopts takes a class of "types" for one of Python's own, without fields
    return flags


NOT_OF_TABLES = [key for key in IMAGES if key not in ("validation", "label_smoothing")]
GROUP = Parameter(name="*", group="Recipe (each replaces the recipe's own)")

if typing.TYPE_CHECKING:
    RecipeFlags = Any
    TextRecipeFlags = Any
    TableRecipeFlags = Any
else:
    RecipeFlags = Annotated[flags_of(Recipe, RECIPE_HELP, without=["checkpointing"], optional=True), GROUP]
    TextRecipeFlags = Annotated[flags_of(Recipe, RECIPE_HELP, without=IMAGES, optional=True), GROUP]
    TableRecipeFlags = Annotated[
        flags_of(Recipe, RECIPE_HELP, without=[*NOT_OF_TABLES, "layer_decay", "checkpointing"], optional=True), GROUP
    ]


@dataclass(frozen=True, kw_only=True)
class _NetFlags:
    shortcut: Annotated[
        Literal["A", "A-both", "B", "C", "none"] | None, Parameter(help="Option A, B or C; none: plain.")
    ] = None
    block: Annotated[Literal["basic", "bottleneck"] | None, Parameter(help="Two 3x3, or 1x1-3x3-1x1.")] = None
    activation: Annotated[Literal["post", "pre"] | None, Parameter(help="conv-BN-ReLU, or BN-ReLU-conv (v2).")] = None
    stride_on: Annotated[Literal["1x1", "3x3"] | None, Parameter(help="Of a bottleneck: the paper's, or v1.5.")] = None
    stem: Annotated[Literal["imagenet", "cifar"] | None, Parameter(help="7x7 and pool, or one 3x3.")] = None
    init: Annotated[str | None, Parameter(help="he, he-in, xavier, orthogonal, torch, normal:STD.")] = None
    norm: Annotated[bool | None, Parameter(help="BatchNorm after convolutions.")] = None
    zero_last_norm: Annotated[bool | None, Parameter(help="Start each branch's last BN at zero.")] = None


NetFlags = Annotated[_NetFlags, Parameter(name="*", group="Net (each replaces the named net's own)")]


@dataclass(frozen=True, kw_only=True)
class _DataFlags:
    root: Annotated[
        Path | None, Parameter(help="Folder of the original files (default: $RESLAB_DATA or the cache).")
    ] = None
    size: Annotated[int | None, Parameter(help="Side in pixels that images are brought to.", converter=whole)] = None
    download: Annotated[bool, Parameter(help="Fetch the original files, checksum verified.", negative=())] = False


DataFlags = Annotated[_DataFlags, Parameter(name="*", group="Data")]

Json = Annotated[bool, Parameter(name="--json", help="Print JSON.", negative=())]


def given(flags: Any) -> dict[str, Any]:
    """The flags that were given, by name."""
    return (
        {f.name: getattr(flags, f.name) for f in fields(flags) if getattr(flags, f.name) is not None} if flags else {}
    )


def data_options(flags: _DataFlags | None) -> dict[str, Any]:
    """The flags as arguments of `reslab.images.data.load`."""
    options = asdict(flags or _DataFlags())
    return {key: value for key, value in options.items() if value is not None and value is not False}  # 0 was given
