"""reslab tables compare: compare nets, and scikit-learn's boosted trees, on one table."""

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json, TableRecipeFlags, given, whole
from reslab.cli.tables.flags import FILE, FileFlags, TableFlags, _Table, pairs, weights
from reslab.run import absolute, command_line, slug
from reslab.statistics import plus_minus
from reslab.train.naming import changed, of_several
from reslab.train.recipe import read


def compare(
    file: Annotated[str, Parameter(help=f"The table: {FILE}")],
    /,
    *,
    target: Annotated[
        list[str], Parameter(help="Column or columns to predict.", consume_multiple=True, negative=())
    ],
    nets: Annotated[
        list[str] | None,
        Parameter(help="gated, gated-plain, gated-block, mlp, resnet, trees, published (default: all but the last).",
                  consume_multiple=True, negative=()),
    ] = None,
    seeds: Annotated[int, Parameter(help="Trainings per net; each seed also splits the table "
        "differently.", converter=whole)] = 3,
    recipe: Annotated[str | None, Parameter(help="Name of a recipe or a TOML file (default: tables).")] = None,
    out: Annotated[Path | None, Parameter(help="Folder (default: runs/compare-FILE-OPTIONS).")] = None,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    table: TableFlags | None = None,
    file_flags: FileFlags | None = None,
    recipe_flags: TableRecipeFlags | None = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Train several nets with several seeds on the same rows and compare their scores on the test rows."""
    from reslab.progress import board
    from reslab.report import write
    from reslab.tables.compare import TREES
    from reslab.tables.compare import compare as compare_nets
    from reslab.tables.reading import Reading

    flags = table or _Table()
    reading = Reading(
        target=tuple(target), kind=flags.kind, kinds=pairs(flags.kinds, "kinds", str),
        test_word=flags.test and absolute(flags.test),
        test=0.2 if flags.test_share is None else flags.test_share, text=flags.text and absolute(flags.text),
        class_weight=weights(flags.class_weight),
        missing=None if flags.missing is None else tuple(flags.missing), decimal=flags.decimal,
        **given(file_flags),
    )  # fmt: skip
    changes = given(recipe_flags)
    folder = out or of_several(
        f"compare-{slug(Path(file).name.partition('.')[0])}", changed(changes, recipe or "tables")
    )
    with board() as row:
        result = compare_nets(
            folder, file, reading, read(recipe or "tables", **changes), nets=nets, seeds=seeds,
            fitting=changes if recipe is None else None,
            device=device, command=command_line(), rows=row,
        )  # fmt: skip
    page = write(folder)
    if json:
        say.as_json({"folder": str(folder), "report": str(page), **result})
        return
    first = result["nets"][0]
    scores = [key for key in first if f"{key}_std" in first and key not in ("epochs", "seconds")]
    rows = [
        [one["net"], *(score(one, key) for key in scores), counted(one["parameters"]), f"{one['seconds']:,.1f}"]
        for one in result["nets"]
    ]
    say.table(["net", *scores, "parameters", "seconds"], rows)
    several = f"{seeds} seed{'s' * (seeds > 1)}"
    print(f"mean ± standard deviation over {several}; each seed splits the table differently, the same for all nets")
    trained = [one["net"] for one in result["nets"] if one["net"] != TREES]
    print(f"report: {page}" + (f"\nnext:   reslab report {quote(str(folder / trained[0]))}-s0" if trained else ""))


def score(row: dict[str, Any], key: str) -> str:
    return "" if row.get(key) is None else plus_minus(row[key], row[f"{key}_std"], digits=4)


def counted(parameters: int | None) -> str:
    return "" if parameters is None else f"{parameters:,}"
