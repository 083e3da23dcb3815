"""reslab tables train: train a net that predicts a column of a table from the others."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import ranks, say
from reslab.cli.launch import ProcessFlags, launched
from reslab.cli.options import Json, TableRecipeFlags, given
from reslab.cli.resume import Resume, to_resume
from reslab.cli.tables.flags import FILE, FileFlags, NetFlags, TableFlags, _File, _Net, _Table, pairs, weights
from reslab.errors import UsageError, one_line
from reslab.run import MEMBERS, Run, absolute, command_line, slug
from reslab.train.made_once import for_all
from reslab.train.naming import changed, prepared, source, words
from reslab.train.recipe import read

SHOWN = 40  # most columns listed in the terminal


def train(
    file: Annotated[str | None, Parameter(help=f"The table: {FILE}")] = None,
    /,
    *,
    target: Annotated[
        list[str] | None, Parameter(help="Column or columns to predict.", consume_multiple=True, negative=())
    ] = None,
    recipe: Annotated[str | None, Parameter(help="Name of a recipe or a TOML file (default: tables).")] = None,
    out: Annotated[Path | None, Parameter(help="Run folder (default: runs/tables-FILE-NET-OPTIONS-sSEED).")] = None,
    start: Annotated[
        str | None, Parameter(name=("--weights", "--start"), help="Start from the weights of this run.")
    ] = None,
    resume: Resume = False,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    net: NetFlags | None = None,
    table: TableFlags | None = None,
    file_flags: FileFlags | None = None,
    recipe_flags: TableRecipeFlags | None = None,
    processes: ProcessFlags | None = None,
    json: Json = False,
) -> None:
    """Train a net on a table. Run the same command again to resume; if the run is finished, nothing happens."""
    launched(processes)
    with ranks.together() as world:
        world.agreed(lambda: world.device(device))  # before a folder is made

        def make() -> tuple[Run, Any]:
            if resume:
                asked = {"FILE": file, "target": target, "recipe": recipe, "start": start, **given(net), **given(table)}
                run = to_resume("tables", out, {**asked, **given(file_flags), **given(recipe_flags)})
                return run, stored(run)
            flags = net or _Net(), table or _Table(), file_flags, recipe_flags
            return made(file, target or [], recipe, out, *flags, start)

        run, loaded = for_all(world, make)
        train_in(run, loaded if world.leads else stored(run), device=device, world=world, json=json)


def stored(run: Run) -> Any:
    """The table of a run folder that is not finished."""
    from reslab.tables.members import done
    from reslab.tables.model import members_of
    from reslab.tables.train import stored_data

    return None if done(run.folder) else stored_data(members_of(run)[0])


def train_in(run: Run, loaded: Any, *, device: str, world: Any, json: bool) -> None:
    """Train in a prepared folder on its table, and print what was read and the result."""
    from reslab.report import write as write_report
    from reslab.report.figures.scores import columns
    from reslab.tables.account import announce
    from reslab.tables.members import done, train_members
    from reslab.tables.model import members_of
    from reslab.tables.train import train as train_folder

    before, first = done(run.folder), members_of(run)[0]
    found = columns(first.read_json("encoder.json"), first.read_json("spec.json"))
    if not before and not json:
        tell_account(loaded, found)
        tell_columns(found)
    if loaded is not None:
        announce(first.read_json("data.json", "name")["name"], loaded, first.read_json("data.json", "kinds")["kinds"])
    if not before and loaded is not None:
        say.problems(loaded.report)
    if run.has(MEMBERS):
        with ranks.board(world) as row:
            result = train_members(run.folder, data=loaded, device=device, rows=row, world=world)
    else:
        with ranks.shown(world, run.folder.name) as progress:
            result = train_folder(run.folder, data=loaded, device=device, progress=progress, world=world)
    if not world.leads:
        return
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
    file: str | None,
    target: list[str],
    recipe: str | None,
    out: Path | None,
    net: _Net,
    table: _Table,
    file_flags: _File | None,
    flags: Any,
    start: str | None = None,
) -> tuple[Run, Any]:
    """The run folder that the flags of `train` describe, and its table."""
    from reslab.tables.defaults import members_for
    from reslab.tables.members import prepare_members
    from reslab.tables.reading import Reading, like_stored
    from reslab.tables.train import load, prepare
    from reslab.tables.training import fit_recipe
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
        missing=None if table.missing is None else tuple(table.missing), decimal=table.decimal, **given(file_flags),
    )  # fmt: skip
    changes = given(flags)
    if start is not None and (net.members or 1) > 1:
        raise UsageError("--weights is for one net: members that start from the same weights differ too little")
    chosen = read(recipe or "tables", **changes)
    if not chosen.validation and "early_stop" not in changes:
        chosen = change(chosen, early_stop=0)
    preset, many = net.net or "gated", 1 if net.members is None else net.members
    suffix = f"-s{chosen.seed}{f'-x{many}' if many > 1 else ''}"
    loaded: list[Any] = []

    def prepare_in(folder: Path) -> Run:
        how = like_stored(folder, reading)
        data, used = load(file, how, chosen), chosen
        train = len(data.frames["train"])
        rows = train + (len(data.frames["validation"]) if "validation" in data.frames else 0)
        if recipe is None:
            used = fit_recipe(chosen, changes, train=train, rows=rows, rule=how.defaults)
        members = members_for(rows) if net.members is None and how.defaults != 1 and start is None else many
        loaded[:] = [data]
        about: dict[str, Any] = {"word": file, "reading": how, "data": data, "preset": preset, "recipe": used,
                                 "command": command_line()}  # fmt: skip
        if members == 1:
            return prepare(folder, **about, start=start)
        return prepare_members(folder, members=members, folds="validation" not in changes, **about)

    if out:
        return prepare_in(out), loaded[0]
    begins = f"tables-{slug(Path(file).name.partition('.')[0])}-{slug(preset)}"
    named = f"{begins}{words({**reading.sizes, **changed(changes, recipe or 'tables'), **source(start)})}{suffix}"
    return prepared((named, begins + suffix), prepare_in), loaded[0]


def named(result: dict[str, Any]) -> str:
    many = len(result.get("members") or [])
    return f"{many} nets {result['net']}" if many else str(result["net"])


def tell_account(data: Any, found: Sequence[dict[str, Any]]) -> None:
    """Print what was understood of the table: its file, and its columns by kind."""
    for line in data.report.account if data is not None else []:
        print(one_line(line))
    counts = Counter(one["kind"] for one in found)
    named = {"skip": "left out"}
    print("columns by kind: " + ", ".join(f"{named.get(kind, kind)} {n:,}" for kind, n in counts.most_common()))
    missing: Counter[str] = Counter()
    for one in data.report.words if data is not None else []:
        missing.update(one)
    if missing:
        print("missing values: " + ", ".join(f"{word!r} in {n:,} cells" for word, n in missing.most_common(5)))


def tell_columns(found: Sequence[dict[str, Any]]) -> None:
    """Print how each column is read."""
    say.table(
        ["column", "kind", "read as"], [(one["name"], one["kind"], one["became"]) for one in found[:SHOWN]], left=3
    )
    if len(found) > SHOWN:
        print(f"and {len(found) - SHOWN:,} more columns; the page lists them all\n")


def calibration_line(found: dict[str, Any], kind: str) -> str:
    """How far predictions go from the class shares, and what that gains on held-out rows."""
    center = "the mean" if kind == "numbers" else "the class shares"
    meaning = f"0 predicts {center}, 1 changes nothing"
    losses = f"loss {found['after']:.3f}, uncalibrated {found['before']:.3f}, {center} {found['baseline']:.3f}"
    return f"calibrated on {found['n']:,} held-out rows: strength {found['strength']:.2f} ({meaning}); {losses}"


def tell_result(result: dict[str, Any]) -> None:
    """Print the main score, the calibration error and the most important columns."""
    from reslab.report.figures.scores import SHARES, loss_text, main_line, name_of, ranked

    test, main = result["test"], result["main"]
    print(main_line(test, main))
    if test.get("reliability"):
        print(f"expected calibration error {100 * test['reliability']['ece']:.1f} %")
    if calibrated := result.get("calibration"):
        print(calibration_line(calibrated, result["kind"]))
    top = ranked(result["importance"])[:3]
    changed = "lost" if main in SHARES else "added"
    columns = "; ".join(f"{one['column']} ({loss_text(main, one['permutation'])})" for one in top)
    print(f"most important columns ({name_of(main)} {changed} by shuffling): {columns}")
    print(f"{result['iterations']} iterations, {result['seconds']:.0f} s")
