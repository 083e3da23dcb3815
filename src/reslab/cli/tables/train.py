"""reslab tables train: train a net that predicts a column of a table from the others."""

import json as json_
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json, TableRecipeFlags, given, whole
from reslab.cli.resume import Resume, to_resume
from reslab.errors import UsageError
from reslab.run import MEMBERS, Run, absolute, command_line, slug
from reslab.train.recipe import read

SHOWN = 40  # most columns listed in the terminal
FILE = ".csv, .tsv, .parquet or .jsonl, each also with .gz."


@dataclass(frozen=True, kw_only=True)
class _Table:
    test: Annotated[str | None, Parameter(help="File of test rows; without it, test rows are sampled at random.")] = (
        None
    )
    test_share: Annotated[float | None, Parameter(help="Share of the rows to sample for testing (default: 0.2).")] = (
        None
    )
    kind: Annotated[
        Literal["classes", "labels", "numbers"] | None,
        Parameter(help="Kind of the target: classes, labels (several per row) or numbers (default: from its values)."),
    ] = None
    kinds: Annotated[
        list[str] | None,
        Parameter(
            help="Correct the guessed kind of a column: NAME=number, category, categories, date, text or skip.",
            consume_multiple=True,
            negative=(),
        ),
    ] = None
    missing: Annotated[
        list[str] | None,
        Parameter(
            help="Words for missing values, instead of the usual ones (? NA N/A NaN null None - ...); '' for none.",
            consume_multiple=True,
            negative=(),
        ),
    ] = None
    decimal: Annotated[
        Literal[".", ","] | None,
        Parameter(help="Decimal mark of numbers like 1.001 that may be either (default: that of the other numbers)."),
    ] = None
    text: Annotated[
        str | None,
        Parameter(help="Folder of a transformers encoder; its vectors of the text columns are used too (extra: text)."),
    ] = None
    class_weight: Annotated[
        list[str] | None,
        Parameter(
            help="Class weights: balanced, or CLASS=WEIGHT for single classes.", consume_multiple=True, negative=()
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class _Net:
    net: Annotated[
        str | None, Parameter(help="gated (default), gated-plain, gated-block, published, mlp or resnet.")
    ] = None
    sizes: Annotated[
        list[str] | None,
        Parameter(
            help="Change sizes of the net, such as depth=6 width=128 dropout=0.3.", consume_multiple=True, negative=()
        ),
    ] = None
    members: Annotated[
        int | None,
        Parameter(help="Train this many nets, with --seed and the seeds after it, and average "
            "their predictions (default: 1).",
                  converter=whole),
    ] = None  # fmt: skip


TableFlags = Annotated[_Table, Parameter(name="*", group="Table")]
NetFlags = Annotated[_Net, Parameter(name="*", group="Net")]


def train(
    file: Annotated[str | None, Parameter(help=f"The table: {FILE}")] = None,
    /,
    *,
    target: Annotated[
        list[str] | None, Parameter(help="Column or columns to predict.", consume_multiple=True, negative=())
    ] = None,
    recipe: Annotated[str | None, Parameter(help="Name of a recipe or a TOML file (default: tables).")] = None,
    out: Annotated[Path | None, Parameter(help="Run folder (default: runs/tables-FILE-NET-sSEED).")] = None,
    resume: Resume = False,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    net: NetFlags | None = None,
    table: TableFlags | None = None,
    recipe_flags: TableRecipeFlags | None = None,
    json: Json = False,
) -> None:
    """Train a net on a table. Run the same command again to resume; if the run is finished, nothing happens."""
    from reslab.progress import board, shown
    from reslab.report import write as write_report
    from reslab.report.figures.scores import columns
    from reslab.tables.account import announce
    from reslab.tables.members import done, train_members
    from reslab.tables.model import members_of
    from reslab.tables.train import stored_data
    from reslab.tables.train import train as train_folder
    from reslab.train.folder import pick_device

    pick_device(device)  # before a folder is made
    loaded = None
    if resume:
        asked = {"FILE": file, "target": target, "recipe": recipe, **given(net), **given(table), **given(recipe_flags)}
        run = to_resume("tables", out, asked)
        loaded = None if done(run.folder) else stored_data(members_of(run)[0])
    else:
        run, loaded = made(file, target or [], recipe, out, net or _Net(), table or _Table(), recipe_flags)
    before, first = done(run.folder), members_of(run)[0]
    found = columns(first.read_json("encoder.json"), first.read_json("spec.json"))
    if not before and not json:
        tell_columns(found)
    if loaded is not None:
        announce(first.read_json("data.json", "name")["name"], loaded, first.read_json("data.json", "kinds")["kinds"])
    if not before and loaded is not None:
        say.problems(loaded.report)
    if run.has(MEMBERS):
        with board() as row:
            result = train_members(run.folder, data=loaded, device=device, rows=row)
    else:
        with shown(run.folder.name) as progress:
            result = train_folder(run.folder, data=loaded, device=device, progress=progress)
    page = run.path("report.html")
    if not before or not page.exists():
        page = write_report(run.folder)
    if json:
        say.as_json({"folder": str(run.folder), "report": str(page), "columns": found, **result})
        return
    print(
        f"{run.folder} is already finished; nothing to do" if before else f"trained {named(result)} on {result['data']}"
    )
    tell_result(result)
    print(f"report: {page}\nnext:   reslab tables predict {quote(str(run.folder))} FILE")


def made(
    file: str | None, target: list[str], recipe: str | None, out: Path | None, net: _Net, table: _Table, flags: Any
) -> tuple[Run, Any]:
    """The run folder that the flags of `train` describe, and its table."""
    from reslab.tables.members import prepare_members
    from reslab.tables.reading import Reading, like_stored
    from reslab.tables.train import load, prepare
    from reslab.tables.training import batch_for
    from reslab.train.recipe import change

    if file is None:
        raise UsageError("name the table and its target: reslab tables train FILE --target NAME")
    if table.test is not None and table.test_share is not None:
        raise UsageError("--test names a file of test rows and --test-share samples some: give only one of them")
    if twice := [name for name in target if target.count(name) > 1]:
        raise UsageError(f"the target {twice[0]!r} is named twice")
    reading = Reading(
        target=tuple(target), kind=table.kind, kinds=pairs(table.kinds, "kinds", str), sizes=pairs(net.sizes, "sizes"),
        test=0.2 if table.test_share is None else table.test_share, test_word=table.test and absolute(table.test),
        class_weight=weights(table.class_weight), text=table.text and absolute(table.text),
        missing=None if table.missing is None else tuple(table.missing), decimal=table.decimal,
    )  # fmt: skip
    changes = given(flags)
    chosen = read(recipe or "tables", **changes)
    if not chosen.validation and "early_stop" not in changes:
        chosen = change(chosen, early_stop=0)
    preset, many = net.net or "gated", 1 if net.members is None else net.members
    short = f"runs/tables-{slug(Path(file).name.partition('.')[0])}-{slug(preset)}"
    folder = out or Path(f"{short}-s{chosen.seed}{f'-x{many}' if many > 1 else ''}")
    reading = like_stored(folder, reading)
    data = load(file, reading, chosen)
    if recipe is None and "batch" not in changes:
        chosen = change(chosen, batch=batch_for(len(data.frames["train"]), chosen.batch))
    about: dict[str, Any] = {"word": file, "reading": reading, "data": data, "preset": preset, "recipe": chosen,
                             "command": command_line()}  # fmt: skip
    if net.members is None or many == 1:
        return prepare(folder, **about), data
    return prepare_members(folder, members=many, **about), data


def number(text: str) -> Any:
    """6, 0.3 or true converted to its type; any other word unchanged."""
    try:
        return json_.loads(text.lower())
    except ValueError:
        return text


def pairs(words: Sequence[str] | None, flag: str, convert: Callable[[str], Any] = number) -> dict[str, Any]:
    """NAME=VALUE words as a dict; names may contain =."""
    found = {}
    for word in words or []:
        name, mark, value = word.rpartition("=")
        if not mark or not name or not value:
            raise UsageError(f"--{flag} takes NAME=VALUE, got {word!r}")
        found[name] = convert(value)
    return found


def weights(words: Sequence[str] | None) -> Any:
    """None, "balanced", or the weight of each class that is named."""
    if not words:
        return None
    return "balanced" if list(words) == ["balanced"] else pairs(words, "class-weight")


def named(result: dict[str, Any]) -> str:
    many = len(result.get("members") or [])
    return f"{many} nets {result['net']}" if many else str(result["net"])


def tell_columns(found: Sequence[dict[str, Any]]) -> None:
    """Print how each column is read."""
    say.table(
        ["column", "kind", "read as"], [(one["name"], one["kind"], one["became"]) for one in found[:SHOWN]], left=3
    )
    if len(found) > SHOWN:
        print(f"and {len(found) - SHOWN:,} more columns; the page lists them all\n")


def tell_result(result: dict[str, Any]) -> None:
    """Print the main score, the calibration error and the most important columns."""
    from reslab.report.figures.scores import SHARES, loss_text, main_line, name_of, ranked

    test, main = result["test"], result["main"]
    print(main_line(test, main))
    if test.get("reliability"):
        print(f"expected calibration error {100 * test['reliability']['ece']:.1f} %")
    top = ranked(result["importance"])[:3]
    changed = "lost" if main in SHARES else "added"
    columns = "; ".join(f"{one['column']} ({loss_text(main, one['permutation'])})" for one in top)
    print(f"most important columns ({name_of(main)} {changed} by shuffling): {columns}")
    print(f"{result['iterations']} iterations, {result['seconds']:.0f} s")
