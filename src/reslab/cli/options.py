"""Flags that several verbs share. None: not given, so the recipe, net or data decide."""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from reslab.train.recipe import IMAGES, IMAGES_ONLY, Recipe

RECIPE_HELP = {
    "batch": "Examples per batch (images, windows of text or table rows); in `reslab train` the learning rate follows "
    "it unless --lr is given. Several processes share each batch, so neither changes with their number.",
    "epochs": "Passes over the training part; replaces --iterations.",
    "iterations": "Number of weight updates; replaces --epochs.",
    "optimizer": "SGD with momentum, or AdamW.",
    "lr": "Learning rate (the highest of the schedule).",
    "layer_decay": "Multiply the learning rate by this for each layer further from the head; "
    "1: the same rate everywhere.",
    "freeze": "Keep layers as they are: `backbone` (all but the head) or the number of the first layers; their "
    "BatchNorm statistics do not change either.",
    "head_rate": "Multiply the head's learning rate by this.",
    "accumulate": "Cut each batch into this many parts and add their gradients: less memory, the same update.",
    "momentum": "Momentum of SGD.",
    "nesterov": "Use Nesterov momentum.",
    "weight_decay": "Weight decay (L2 penalty).",
    "decay_all": "Apply weight decay to norms and biases too, as the paper does.",
    "clip": "Clip the gradient to this norm; 0: no clipping.",
    "label_smoothing": "Label smoothing: share of the target spread evenly over all classes.",
    "ema": "Decay of the exponential moving average of the weights; 0: no averaging.",
    "stochastic_depth": "Probability of dropping the last residual block (stochastic depth); earlier "
    "blocks are dropped less often.",
    "active_blocks": "Train exactly this many residual blocks per mini-batch, sampled at random each time; 0: all.",
    "schedule": "Learning rate schedule.",
    "drops": "Where the `steps` schedule divides the rate: iterations, or shares of the run.",
    "drop_factor": "Factor by which the learning rate is divided at each drop.",
    "patience": "Epochs without improvement before the `plateau` schedule divides the rate.",
    "warmup": "Iterations (or share of the run) over which the rate rises.",
    "warmup_lr": "Learning rate used until the training error falls below --warmup-error.",
    "warmup_error": "Training error in percent that ends --warmup-lr.",
    "warmup_depth": "Use --warmup-lr only for nets at least this deep.",
    "validation": "Number (or share) of training examples set aside for validation.",
    "augment": "Augmentation: `crop` (padded crop), `scale` (random scale and crop), `resized-crop` (random area and "
    "aspect ratio) or `none`.",
    "pad": "Pixels of padding for `crop`.",
    "flip": "Mirror half of the training images at random.",
    "color": "AlexNet's color augmentation (with `scale`).",
    "shortest": "Smallest length of the shorter side, in pixels (`scale` augmentation).",
    "longest": "Largest length of the shorter side, in pixels (`scale` augmentation).",
    "area": "Smallest share of the image's area in a crop (`resized-crop`).",
    "aspect": "Largest aspect ratio of a crop, 4/3 by default (`resized-crop`).",
    "brightness": "Color jitter: change the brightness by a factor of up to this much.",
    "contrast": "Color jitter: change the contrast by a factor of up to this much.",
    "saturation": "Color jitter: change the saturation by a factor of up to this much.",
    "hue": "Color jitter: shift the hue by up to this share of the color circle.",
    "policy": "TrivialAugment (`trivial`) or RandAugment (`rand`).",
    "policy_ops": "Operations per image (RandAugment).",
    "policy_magnitude": "Strength of the operations, 0 to 30 (RandAugment).",
    "erase": "Probability of erasing a random rectangle of an image.",
    "mixup": "Alpha of mixup; 0: none.",
    "cutmix": "Alpha of cutmix; 0: none. With both, each batch gets one of them.",
    "repeats": "Copies of each image in a batch, augmented differently (repeated augmentation).",
    "class_weights": "`balanced`: weight the loss so that all classes count alike, however rare.",
    "sampling": "`balanced`: draw each class equally often, however rare.",
    "loss": "`softmax`: one class per image; `sigmoid`: each class on its own; auto: by the data's labels.",
    "mean": "Which mean to subtract from the images: per pixel, per channel, ImageNet's, that of the "
    "--weights, or none.",
    "std": "Divide the images by each channel's standard deviation.",
    "early_stop": "Stop after this many validation evaluations without improvement and keep the best net; 0: never.",
    "select": "Choose the best net by its validation error or by its validation loss.",
    "keep": "Keep the net of the last evaluation or, with a validation part, the best one.",
    "precision": "Numeric precision; auto measures which is fastest on this machine.",
    "memory_format": "Memory format; auto measures which is fastest on this machine.",
    "compile": "torch.compile; auto tries it when the run is long enough to repay the compilation.",
    "checkpointing": "Recompute the encoder's layers in the backward pass: less memory, more time.",
    "deterministic": "Use only deterministic algorithms.",
    "threads": "Number of CPU threads; 0: PyTorch's default.",
    "workers": "Number of processes that decode images; 0: decode in the main process.",
    "evaluate_every": "Epochs between evaluations.",
    "checkpoint_seconds": "Seconds between checkpoints.",
    "look": "Log the norms of weights and gradients every this many iterations; 0: never.",
    "tensorboard": "Also write TensorBoard events (extra `track`).",
    "precise_bn": "After training, average the BatchNorm statistics over all training images.",
    "sync_bn": "With several processes: BatchNorm over the whole batch, as one process would (default: over each "
    "process's part of it).",
    "seed": "Random seed for initialization, data order and augmentation.",
}


def whole(kind: Any, tokens: Sequence[Token]) -> int:
    """A whole number; cyclopts would round 1.5 to 2."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"must be a whole number, got {tokens[0].value}") from None


def flags_of(
    kind: type, helps: Mapping[str, str], *, without: Sequence[str] = (), only_on: Sequence[str] = (),
    optional: bool = False,
) -> type:  # fmt: skip
    """A dataclass with the fields of `kind` that have a help text as flags.

    `only_on`: switches without a --no-NAME. `optional`: flags that are not given are None.
    """
    hints, defaults = typing.get_type_hints(kind), {f.name: f.default for f in fields(kind)}
    made = []
    for key, text in helps.items():
        if key in without:
            continue
        hint = hints[key] | None if optional else hints[key]
        many = any(typing.get_origin(one) is tuple for one in (hints[key], *typing.get_args(hints[key])))
        converter = whole if hints[key] in (int, int | None) else None
        negative = () if key in only_on else None
        flag = Parameter(help=text, consume_multiple=many, negative_iterable=(), converter=converter, negative=negative)
        made.append((key, Annotated[hint, flag], field(default=None if optional else defaults[key])))
    flags = make_dataclass(f"{kind.__name__}Flags", made, kw_only=True, frozen=True)
    flags.__module__ = __name__  # cyclopts would treat a class of the module "types" as a builtin, without fields
    return flags


GROUP = Parameter(name="*", group="Recipe (an option replaces the recipe's value)")

if typing.TYPE_CHECKING:
    RecipeFlags = Any
    TextRecipeFlags = Any
    TableRecipeFlags = Any
else:
    RecipeFlags = Annotated[flags_of(Recipe, RECIPE_HELP, without=["checkpointing"], optional=True), GROUP]
    TextRecipeFlags = Annotated[flags_of(Recipe, RECIPE_HELP, without=IMAGES, optional=True), GROUP]
    TableRecipeFlags = Annotated[
        flags_of(Recipe, RECIPE_HELP, without=[*IMAGES_ONLY, "layer_decay", "checkpointing"], optional=True), GROUP
    ]


@dataclass(frozen=True, kw_only=True)
class _NetFlags:
    shortcut: Annotated[
        Literal["A", "A-both", "B", "C", "none"] | None,
        Parameter(help="Shortcut option A, B or C; none: the plain net."),
    ] = None
    block: Annotated[
        Literal["basic", "bottleneck"] | None,
        Parameter(help="Two 3x3 convolutions per block (basic), or 1x1, 3x3, 1x1 (bottleneck)."),
    ] = None
    activation: Annotated[
        Literal["post", "pre"] | None,
        Parameter(help="Post-activation (conv, BN, ReLU) or pre-activation (BN, ReLU, conv; v2)."),
    ] = None
    stride_on: Annotated[
        Literal["1x1", "3x3"] | None,
        Parameter(help="Which convolution of a bottleneck has the stride: 1x1 (the paper) or 3x3 (v1.5)."),
    ] = None
    stem: Annotated[
        Literal["imagenet", "cifar"] | None,
        Parameter(help="Stem: 7x7 convolution and pooling (imagenet), or one 3x3 convolution (cifar)."),
    ] = None
    init: Annotated[
        str | None, Parameter(help="Initialization: he, he-in, xavier, orthogonal, torch or normal:STD.")
    ] = None
    norm: Annotated[bool | None, Parameter(help="Use BatchNorm after each convolution.")] = None
    zero_last_norm: Annotated[bool | None, Parameter(help="Initialize the last BatchNorm of each branch to zero.")] = (
        None
    )
    scale: Annotated[
        str | None,
        Parameter(
            help="Scale each branch: `zero` (one learned factor that starts at 0: ReZero, SkipInit), `layer:1e-4` (one "
            "per channel: LayerScale), `depth` (1/sqrt(number of blocks)), `fixed:0.5`, or `fixup` (with --no-norm)."
        ),
    ] = None
    gate: Annotated[
        str | None,
        Parameter(
            help="Gate the skips: `half`, `exclusive:-6` or `shortcut:-6` (with this initial bias), or `dropout:0.5`."
        ),
    ] = None
    streams: Annotated[
        str | None,
        Parameter(
            help="Streams in the place of one skip: `free:4` (hyper-connections) or `stochastic:4` (doubly stochastic "
            "mixing: mHC); `free-dynamic:4` and `stochastic-dynamic:4` depend on the image."
        ),
    ] = None


NetFlags = Annotated[_NetFlags, Parameter(name="*", group="Net (an option replaces the named net's value)")]


@dataclass(frozen=True, kw_only=True)
class _DataFlags:
    root: Annotated[
        Path | None,
        Parameter(
            help="Folder of the original data files (default: $RESLAB_DATA or the cache), or of the images of a list "
            "(default: the list's own)."
        ),
    ] = None
    size: Annotated[
        int | None, Parameter(help="Resize and center-crop images to this size in pixels.", converter=whole)
    ] = None
    level: Annotated[
        int | None,
        Parameter(help="Depth of the class folders: 1 for FOLDER/cat, 2 for FOLDER/animals/cat.", converter=whole),
    ] = None
    white: Annotated[
        float | None,
        Parameter(help="White of gray images of more than 8 bits, such as 4095 (default: measured over all images)."),
    ] = None
    max_pixels: Annotated[
        int | None,
        Parameter(help="Maximum number of pixels of an image (default: 89 million; limits memory).", converter=whole),
    ] = None
    file_column: Annotated[
        str | None,
        Parameter(help="For a CSV, TSV or parquet list of images: the column with the files (default: by its name)."),
    ] = None
    label_columns: Annotated[
        list[str] | None,
        Parameter(
            help="For a list of images: the column with the classes, or the columns of 0 and 1 for several labels per "
            "image.",
            negative=(), consume_multiple=True,
        ),
    ] = None  # fmt: skip
    part_column: Annotated[
        str | None,
        Parameter(help="For a list of images: the column with the parts (train, val, test; default: by its name)."),
    ] = None
    label_separator: Annotated[
        str | None, Parameter(help="For a list of images: what separates several labels in one cell, such as ;")
    ] = None
    interpolation: Annotated[
        Literal["bilinear", "bicubic"] | None,
        Parameter(help="How images are resized (default: bilinear, or as the --weights were trained)."),
    ] = None
    rgb: Annotated[bool, Parameter(help="Read gray images as RGB, with three equal channels.", negative=())] = False
    download: Annotated[bool, Parameter(help="Download the original files; checksums are verified.", negative=())] = (
        False
    )


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
