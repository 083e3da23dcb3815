"""reslab study identity: y = x fitted with plain and with residual stacks."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json, whole
from reslab.errors import UsageError
from reslab.progress import board
from reslab.run import command_line
from reslab.train.naming import words


def identity(
    *,
    depths: Annotated[list[int], Parameter(help="Layers to compare, even numbers.", consume_multiple=True, negative=())] = [2, 4, 8, 16],  # noqa: B006, E501
    layers: Annotated[
        list[str], Parameter(help="Kinds of layers: linear, conv.", consume_multiple=True, negative=())
    ] = ["linear", "conv"],  # noqa: B006
    small: Annotated[float, Parameter(help="Size of small(x) in y = x + small(x); 0: only y = x.")] = 0.1,
    steps: Annotated[int, Parameter(help="Weight updates of each fit.", converter=whole)] = 200,
    norm: Annotated[bool, Parameter(help="A BatchNorm after each layer.")] = True,
    seeds: Annotated[int, Parameter(help="Fits of each stack; seeds count up from --seed.", converter=whole)] = 3,
    seed: Annotated[int, Parameter(help="The first seed.", converter=whole)] = 0,
    out: Annotated[Path | None, Parameter(help="Folder of the study (default: runs/identity-OPTIONS).")] = None,
    cache: Annotated[Path, Parameter(help="Folder of the fits, shared by all studies: none of them is done twice.")] = Path("runs/cells"),  # noqa: E501
    jobs: Annotated[int, Parameter(help="Fits in parallel; 0: one per core, or one on an accelerator.", converter=whole)] = 0,  # noqa: E501
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    json: Json = False,
) -> None:  # fmt: skip
    """Fit y = x and y = x + small(x) with plain and with residual stacks: is the identity hard to learn?

    Every fit tries the same learning rates and keeps the best. Run the same command again to resume.
    """
    from reslab.report import write as write_report
    from reslab.study.identity import Asked
    from reslab.study.identity import identity as study

    if seeds < 1:
        raise UsageError(f"seeds must be positive, got {seeds}")
    asked = Asked(depths=depths, layers=layers, small=small, steps=steps, norm=norm, seeds=range(seed, seed + seeds))
    asked.check()
    plain = Asked()
    changes: dict[str, Any] = {key: getattr(asked, key) for key in ("depths", "layers", "small", "steps", "norm")
                               if as_list(getattr(asked, key)) != as_list(getattr(plain, key))}  # fmt: skip
    folder = out or Path("runs") / f"identity{words(changes)}"
    began = time.perf_counter()
    with board() as row:
        result = study(folder, asked, cache, jobs=jobs, device=device, command=command_line(), rows=row,
                       say=lambda text: print(say.words(text), file=sys.stderr, flush=True))  # fmt: skip
    page = write_report(folder)
    if json:
        say.as_json({"folder": str(folder), "report": str(page),
                     **{key: result[key] for key in ("table", "verdicts", "caveats")}})  # fmt: skip
        return
    show(result)
    print(f"{time.perf_counter() - began:.0f} s. report: {page}")


def show(result: dict[str, Any]) -> None:
    """Print the table and the verdicts."""
    columns = ("target", "layers", "stack", "depth", "n", "loss", "best rate")
    say.table(columns, [(one["target"], one["layers"], one["kind"], one["depth"], one["n"], one["loss"],
                         one["best_rate"]) for one in result["table"]], left=3, whole=True)  # fmt: skip
    for verdict in result["verdicts"]:
        print(f"{verdict['question']} {verdict['answer'].upper()}. {verdict['sentence']}")


def as_list(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
