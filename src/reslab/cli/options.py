"""Flags that several verbs share. None: not given, so the recipe, net or data decide."""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from reslab.cli.recipe_help import RECIPE_HELP
from reslab.train.recipe import IMAGES, IMAGES_ONLY, Recipe


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
