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
    "data": "Images as for `reslab train`, by default the run's own. For language models and encoders texts: "
    "a .txt, .json (SQuAD's form), .jsonl or .parquet file.",
    "part": "Which images.",
    "samples": "How many, drawn by --seed (default: 1000 images, 100 windows).",
    "batch": "Samples in a pass (default: 100 images, 10 windows). It bounds the memory: of --samples, only the "
    "inputs themselves are held.",
    "normalize": "What a model that is no run was trained with (default: what it says itself, or imagenet).",
    "labels": "--no-labels where the labels are not those the model learned.",
    "column": "Of a .parquet or .jsonl with texts (default: text).",
    "length": "Tokens in a window of text (default: 128, or what the model takes).",
    "random": "Random inputs in place of data.",
    "input": "Shape of a random input, such as 3x224x224.",
    "seed": "Of samples, masked words, initialization, draws.",
}


@dataclass(frozen=True, kw_only=True)
class _ModelFlags:
    net: Annotated[str | None, Parameter(help="The net that a checkpoint file is of.")] = None
    weights: Annotated[
        bool | None,
        Parameter(help="timm:, torchvision: with trained weights, fetched once; --no-weights: any as initialized."),
    ] = None
    merge: Annotated[
        list[str] | None,
        Parameter(help="A module that is a merge, its addition hidden in a kernel; may be repeated.", negative=()),
    ] = None
    out: Annotated[
        Path | None,
        Parameter(
            help="Folder of the results (default: the run, or runs/look-NAME); of several models one in it for each."
        ),
    ] = None
    device: Annotated[str, Parameter(help="auto, cpu, cuda, cuda:1, mps.")] = "auto"
    precision: Annotated[Literal["fp32", "bf16", "fp16"], Parameter(help="Of weights and images.")] = "fp32"
    threads: Annotated[int, Parameter(help="CPU threads; 0: PyTorch's choice.", converter=whole)] = 0


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
    """The words that name the same model and inputs once more."""
    words = [word]
    for group in (flags.model, flags.net, flags.given, flags.data):
        for field in fields(group) if group else ():
            value = getattr(group, field.name)
            for each in value if isinstance(value, list) else [value]:
                words += say.flags({field.name: each}) if value != field.default else []
    return join(words)
