"""reslab export: a folder that predicts without the model's code, compared with the model before it is written."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.look.flags import INPUT_HELP, _ModelFlags
from reslab.cli.options import DataFlags, Json, NetFlags, data_options, flags_of, given, whole
from reslab.cli.slim.flags import some
from reslab.errors import one_line
from reslab.progress import shown
from reslab.run import finite, slug
from reslab.subject.inputs import Wanted

if TYPE_CHECKING:
    from reslab.ship import Exported, NotEqual

    ModelFlags = Any
    InputFlags = Any
else:
    ModelFlags = Annotated[
        some(_ModelFlags, "net", "key", "weights", made="ExportModelFlags"), Parameter(name="*", group="Model")
    ]
    HELP = {"data": "Images to compare on, as for `reslab train` (default: the run's own)."}
    InputFlags = Annotated[
        flags_of(Wanted, {key: HELP.get(key, INPUT_HELP[key]) for key in ("data", "normalize", "mean_std", "seed")}),
        Parameter(name="*", group="Inputs"),
    ]
NEXT = {
    "images": "reslab predict {} photo.jpg",
    "questions": 'reslab predict {} "Who wrote it?" --context text.txt',
    "tables": "reslab predict {} rows.csv",
}


def export(
    model: Annotated[str, Parameter(help="A model of images, as for `reslab look`, or a run for questions or tables.")],
    /,
    *,
    to: Annotated[
        Literal["openvino", "onnx", "torch"], Parameter(help="Engine that runs the exported model.")
    ] = "openvino",
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "int8"],
        Parameter(help="auto: time every precision that the engine has on this machine, and take the fastest within "
                  "--max-drop."),
    ] = "auto",
    out: Annotated[
        Path | None,
        Parameter(help="Folder of the export (default: exported/NAME-ENGINE). An existing export of the same model is "
                  "replaced."),
    ] = None,
    max_drop: Annotated[
        float, Parameter(help="Percentage points of the score that bf16 or int8 may cost, measured on the samples.")
    ] = 0.5,
    samples: Annotated[
        int, Parameter(help="Maximum number of validation examples to compare on.", converter=whole)
    ] = 1000,
    license: Annotated[
        str | None, Parameter(help="License of the weights: an SPDX name, such as MIT, or a sentence.")
    ] = None,
    threads: Annotated[
        int, Parameter(help="Number of CPU threads; 0: as many as each library takes.", converter=whole)
    ] = 0,
    model_flags: ModelFlags | None = None,
    inputs: InputFlags | None = None,
    net_flags: NetFlags | None = None,
    data_flags: DataFlags | None = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Convert a model, compare the result with the original, choose a precision, and write a folder that predicts.

    The exported model is run in batches of 1, 2 and 7. If its decisions are not those of the
    original, nothing is written, and the layers that differ are named.
    """
    import torch

    from reslab import ship

    if threads > 0:
        torch.set_num_threads(threads)
    place = out or Path("exported") / f"{slug(Path(model).resolve().name if Path(model).exists() else model)}-{to}"
    chosen = {**given(model_flags), **given(inputs), "options": data_options(data_flags),
              "net_options": given(net_flags)}  # fmt: skip
    data = chosen.pop("data", None)
    kept = {key: value for key, value in chosen.items() if value not in (None, {}, ())}
    try:
        with shown("export", unit="") as progress:
            made = ship.export(model, out=place, to=to, precision=precision, max_drop=max_drop, samples=samples,
                               threads=threads, license=license, data=data, model=kept, progress=progress)  # fmt: skip
    except ship.NotEqual as error:
        layers(error)
        raise
    if json:
        say.as_json(finite({"folder": str(made.folder), "config": made.config.to_dict(), "proof": made.as_dict()}))
        return
    told(made)


def layers(error: "NotEqual") -> None:
    """The layers that differ, on standard error, in the order of the sentence."""
    if error.layers:
        print(f"{'layer':<40} {'kind':<16} {'difference':>12} {'of values up to':>16}", file=sys.stderr)
    for one in error.layers:
        print(f"{one_line(one.name):<40} {one.kind:<16} {one.difference:>12.3g} {one.size:>16.3g}", file=sys.stderr)


def told(made: "Exported") -> None:
    """The numbers of the proof, what each precision costs and how fast it is, and what to do next."""
    config, proof = made.config, made.proof
    where = "random inputs, as there are no data" if proof.random else proof.where
    print(f"{one_line(config.name)}: {config.engine} {config.precision}")
    print(one_line(f"compared with the model on {where}"))
    shares = ", ".join(f"{100 * one.share:.2f} % of {one.n:,} in batches of {one.batch}" for one in proof.agreements)
    print(f"decisions that agree: {shares}; largest difference: {gaps(made)}")
    if proof.score is None:
        print("its score is not known: there are no labeled data")
    if config.precision == "int8":
        print(f"{proof.int8_layers} layers are in int8, {proof.put_back} that cost too much were put back to fp32")
    say.table(["precision", *(f"batch {batch}, examples/s" for batch in (1, 8)), *scores(made)[0]], rows(made))
    lost = proof.score
    if lost is not None and config.precision != "fp32" and lost.drop_high > made.max_drop:
        print(f"the measured loss is within the {made.max_drop:g} points of --max-drop, but its interval reaches "
              f"{lost.drop_high:.2f}: more validation examples (--samples) would narrow it")  # fmt: skip
    for name, why in made.refused.items():
        print(one_line(f"{name} was not taken: {say.words(why)}"))
    for note in made.notes:
        print(one_line(f"note: {note}"))
    folder = shlex.quote(str(made.folder))
    print(f"folder: {one_line(made.folder)}")
    print(f"next:   {NEXT[config.kind].format(folder)}")
    print(f"next:   reslab serve {folder}")


def gaps(made: "Exported") -> str:
    found: dict[str, float] = {}
    for one in made.proof.agreements:
        for name, gap in one.differences.items():
            found[name] = max(found.get(name, 0.0), gap)
    return ", ".join(f"{name} {gap:.2g}" for name, gap in found.items())


def scores(made: "Exported") -> tuple[list[str], dict[str, list[str]]]:
    """(columns, cells by precision) of the score; nothing where it is not known."""
    if made.proof.score is None:
        return [], {}
    cells: dict[str, list[str]] = {}
    for one in (made.proof, *made.tried):
        if one.score is not None:
            found = one.score
            cells[one.precision] = [f"{found.after:.2f} %", f"{found.drop:.2f}",
                                    f"{found.drop_low:.2f} to {found.drop_high:.2f}"]  # fmt: skip
    return [f"{made.proof.score.unit} (n = {made.proof.score.n:,})", "points lost", "95 % interval"], cells


def rows(made: "Exported") -> list[list[str]]:
    """A row a precision, the one in the folder marked."""
    cells, found = scores(made)[1], []
    for name in dict.fromkeys(one.precision for one in made.speeds):
        mark = " *" if name == made.config.precision else ""
        rates = [f"{one.per_second:,.1f}" for one in made.speeds if one.precision == name]
        found.append([name + mark, *rates, *cells.get(name, [])])
    return found
