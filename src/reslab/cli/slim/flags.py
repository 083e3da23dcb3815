"""Flags of `reslab slim`: the target, how blocks are chosen, how the rest is healed; model and data as elsewhere."""

from dataclasses import MISSING, Field, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from cyclopts import Parameter

from reslab.cli.look.flags import INPUT_HELP, _ModelFlags
from reslab.cli.options import flags_of, whole
from reslab.cli.recipe_help import RECIPE_HELP
from reslab.subject.inputs import Wanted
from reslab.train.recipe import Recipe

INPUTS = ("data", "samples", "normalize", "mean_std", "column", "length", "seed")
HELP = {
    "data": "Images, as for `reslab train` (default: the run's own). For language models: a .txt, .json (SQuAD "
    "format), .jsonl or .parquet file. A run for questions has its own data.",
    "samples": "Number of validation images (default 1000) or windows that the plan is measured on.",
    "seed": "Random seed for the samples that the plan is measured on.",
}  # where it is not as in `reslab look`
RECIPE = ("lr", "validation", "workers")


@dataclass(frozen=True, kw_only=True)
class _TargetFlags:
    remove: Annotated[int | None, Parameter(help="Remove this many blocks.", converter=whole)] = None
    speedup: Annotated[
        float | None, Parameter(help="Remove blocks until a pass is this many times as fast, measured on this device.")
    ] = None
    max_macs: Annotated[
        float | None, Parameter(help="Remove blocks until this share of the multiply-adds remains, such as 0.5.")
    ] = None
    keep_error: Annotated[
        float | None,
        Parameter(help="Remove blocks while the error, before healing, rises by at most this many percentage points."),
    ] = None


TargetFlags = Annotated[_TargetFlags, Parameter(name="*", group="Target (one of these)")]


@dataclass(frozen=True, kw_only=True)
class _PlanFlags:
    dry_run: Annotated[bool, Parameter(help="Only plan: print and store the plan, remove nothing.", negative=())] = (
        False
    )
    by: Annotated[
        Literal["disabling", "influence", "response", "gradient", "first-order"],
        Parameter(
            help="How blocks are chosen: disabling measures each block that is left after every removal; the others "
            "order all blocks once."
        ),
    ] = "disabling"
    beam: Annotated[
        int, Parameter(help="Sets of blocks kept at every step (with --by disabling).", converter=whole)
    ] = 1
    parts: Annotated[
        bool, Parameter(help="Also remove attention or MLP alone, where a block has both.", negative=())
    ] = False
    keep: Annotated[
        list[str] | None,
        Parameter(help="Blocks that stay, by module or number.", negative=(), consume_multiple=True),
    ] = None


PlanFlags = Annotated[_PlanFlags, Parameter(name="*", group="Plan")]


@dataclass(frozen=True, kw_only=True)
class _HealFlags:
    epochs: Annotated[
        float | None, Parameter(help="Epochs of healing (default: a tenth of the run's). 0: no training.")
    ] = None
    seeds: Annotated[int, Parameter(help="Trainings of each kind, from seeds 0, 1, ...", converter=whole)] = 1
    compare: Annotated[
        Literal["all", "intact", "none"],
        Parameter(
            help="What is trained beside the healed model: the intact model as long (intact), also a net of the same "
            "shape from random weights, as long as both trainings together (all), or nothing (none)."
        ),
    ] = "all"
    method: Annotated[
        Literal["remove", "merge"],
        Parameter(
            help="merge: also fold layers of the final model between which nothing nonlinear is left, where that is "
            "exact, into a copy in merged/."
        ),
    ] = "remove"
    trained_epochs: Annotated[
        float | None,
        Parameter(help="Epochs that the model was trained for, if it is no run: the net from random weights gets them "
                  "and those of healing."),
    ] = None  # fmt: skip
    distill: Annotated[
        float | None,
        Parameter(help="How much of the loss is the intact model's predictions, 0 to 1; the labels are the rest "
                  "(default 0.9)."),
    ] = None  # fmt: skip
    temperature: Annotated[
        float | None, Parameter(help="Softens both models' predictions (default 4; questions 2, texts 1).")
    ] = None
    features: Annotated[
        float | None,
        Parameter(help="Weight of the distance between the outputs of the remaining blocks and the intact model's."),
    ] = None


HealFlags = Annotated[_HealFlags, Parameter(name="*", group="Healing and comparison")]


def some(kind: type, *names: str, made: str) -> type:
    """A dataclass with some of the fields of another, whose flags they then are."""
    hints = get_type_hints(kind, include_extras=True)

    def copied(one: "Field[Any]") -> Any:
        return field() if one.default is MISSING else field(default=one.default)

    chosen = [(one.name, hints[one.name], copied(one)) for one in fields(kind) if one.name in names]
    found = make_dataclass(made, chosen, kw_only=True, frozen=True)
    found.__module__ = __name__
    return found


if TYPE_CHECKING:
    ModelFlags = Any
    InputFlags = Any
    TrainFlags = Any
else:
    ModelFlags = Annotated[
        some(_ModelFlags, "net", "key", "weights", "device", "threads", made="SlimModelFlags"),
        Parameter(name="*", group="Model"),
    ]
    InputFlags = Annotated[
        flags_of(Wanted, {key: HELP.get(key, INPUT_HELP[key]) for key in INPUTS}),
        Parameter(name="*", group="Inputs"),
    ]
    TrainFlags = Annotated[
        flags_of(Recipe, {key: RECIPE_HELP[key] for key in RECIPE}, optional=True),
        Parameter(name="*", group="Recipe of healing (default: the run's, with a cosine)"),
    ]

Out = Annotated[
    Path | None, Parameter(help="Folder of the plan, the model and its trainings (default: runs/slim-NAME).")
]
