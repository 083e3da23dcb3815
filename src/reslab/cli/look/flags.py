"""Flags of `reslab look`: which model, which inputs, where the results go."""

from dataclasses import dataclass, fields
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import DataFlags, NetFlags, flags_of, whole
from reslab.subject.inputs import Wanted

INPUT_HELP = {
    "data": "Images, as for `reslab train` (default: the run's own). For language models and text encoders: "
    "a .txt, .json (SQuAD format), .jsonl or .parquet file.",
    "part": "Which part of the data to use (default: test, or all images of data that have no test part).",
    "samples": "Number of randomly chosen samples (default: 1000 images or 100 windows).",
    "batch": "Samples per pass (default: 100 images or 10 windows). Controls memory use.",
    "normalize": "Normalization of a model not trained with reslab (default: the model's own, or imagenet).",
    "mean_std": "Mean and std of pixels in 0 to 1 that the model was trained with, instead of --normalize: two "
    "numbers, or three and three.",
    "labels": "Use --no-labels if the data's labels differ from the classes the model was trained on.",
    "column": "Column with the texts of a .parquet or .jsonl file (default: text).",
    "length": "Tokens per window of text (default: 128, or the model's maximum).",
    "random": "Use random inputs instead of data.",
    "input": "Shape of a random input, such as 3x224x224.",
    "seed": "Random seed for the samples, masked words, initialization and random draws.",
}


@dataclass(frozen=True, kw_only=True)
class _ModelFlags:
    net: Annotated[str | None, Parameter(help="The net that a checkpoint file belongs to.")] = None
    key: Annotated[
        str | None,
        Parameter(help="Which weights of a checkpoint file to take, if it holds several sets, such as model or ema."),
    ] = None
    weights: Annotated[
        bool | None,
        Parameter(
            help="Load pretrained weights (downloaded once) for timm: and torchvision: models; --no-weights uses "
            "random initialization."
        ),
    ] = None
    merge: Annotated[
        list[str] | None,
        Parameter(
            help="Treat this module as a residual connection (its addition is hidden in a kernel); may be repeated.",
            negative=(),
        ),
    ] = None
    out: Annotated[
        Path | None,
        Parameter(
            help="Folder of the results (default: the folder of an image run, otherwise "
            "runs/look-NAME). Several models get one subfolder each, and look.html compares them."
        ),
    ] = None
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto"
    precision: Annotated[Literal["fp32", "bf16", "fp16"], Parameter(help="Precision of weights and inputs.")] = "fp32"
    threads: Annotated[int, Parameter(help="Number of CPU threads; 0: PyTorch's default.", converter=whole)] = 0


ModelFlags = Annotated[_ModelFlags, Parameter(name="*", group="Model")]

if TYPE_CHECKING:
    InputFlags = Any
else:
    InputFlags = Annotated[flags_of(Wanted, INPUT_HELP, only_on=("random",)), Parameter(name="*", group="Inputs")]


@dataclass(frozen=True, kw_only=True)
class _LookFlags:
    model: ModelFlags | None = None
    net: NetFlags | None = None
    given: InputFlags | None = None
    data: DataFlags | None = None


LookFlags = Annotated[_LookFlags, Parameter(name="*")]


def again(word: str, flags: _LookFlags) -> str:
    """The command-line words for the same model and inputs, for the next command."""
    words = [word]
    for group in (flags.model, flags.net, flags.given, flags.data):
        for field in fields(group) if group else ():
            value = getattr(group, field.name)
            for each in value if isinstance(value, list) else [value]:
                words += say.flags({field.name: each}) if value != field.default else []
    return join(words)
