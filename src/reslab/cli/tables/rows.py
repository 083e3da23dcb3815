"""reslab tables eval and predict: use a trained model on other rows."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.models import config_of, opened
from reslab.cli.options import Json, given
from reslab.cli.stored import store
from reslab.cli.tables.flags import FILE, FileFlags
from reslab.errors import ReslabError, UsageError, one_line, tell
from reslab.run import Run, command_line, slug

RUN = "Run folder of a finished `reslab tables train`, a saved model, or an exported one."


def evaluate(
    run: Annotated[Path, Parameter(help=RUN)],
    file: Annotated[str, Parameter(help=f"Rows with their target: {FILE}")],
    /,
    *,
    target: Annotated[
        list[str] | None,
        Parameter(help="Column that holds the target (default: the run's own).", consume_multiple=True, negative=()),
    ] = None,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    flags: FileFlags | None = None,
    json: Json = False,
) -> None:
    """Score a trained model on other rows, with 95 % intervals."""
    from reslab.report.figures.scores import main_line
    from reslab.tables.account import line_of
    from reslab.tables.data.frame import Report, read_frame
    from reslab.tables.metrics import MAIN, confusion, judged, true_values
    from reslab.tables.split import split_target

    model, report = opened(run, "tables", device=device), Report()
    names = tuple(target or target_of(run, model))
    if not names:
        raise UsageError(f"{run} does not store which column it predicts: name it with --target")
    how = file_format(model, flags, names)
    frame, known = split_target(read_frame(file, report=report, how=how), names, file, model.target.kind)
    truth = named(file, lambda: true_values(model.target, known, report))
    tell("%s: %s", Path(file).name, line_of(len(frame), len(frame.columns)))
    scores = model.scores(frame, report=report)
    kind = model.target.kind
    result: dict[str, Any] = {
        "data": {"name": Path(file).name}, "file": file, "kind": kind, "main": MAIN[kind],
        "test": judged(kind, truth, scores), "problems": list(dict.fromkeys(report.lines())), "command": command_line(),
    }  # fmt: skip
    if kind == "classes":
        result["confusion"] = confusion(truth, scores)
    try:
        if config_of(model) is None:  # an exported folder stays as it was sealed
            store(Run(run), f"eval-{slug(Path(file).name.partition('.')[0])}", result, of=str(Path(file).resolve()))
    except ReslabError as error:  # e.g. a read-only folder: the scores are printed anyway
        print(f"warning: the result is not stored: {one_line(say.words(error))}", file=sys.stderr)
    say.problems(report)
    if json:
        say.as_json(result)
        return
    print(f"{run} on {Path(file).name}\n{main_line(result['test'], result['main'])}")
    tell_scores(result)
    if config_of(model) is None:
        print(f"next:   reslab report {quote(str(run))}")


def predict(
    run: Annotated[Path, Parameter(help=RUN)],
    file: Annotated[str, Parameter(help=f"Rows to predict: {FILE}")],
    /,
    *,
    out: Annotated[Path, Parameter(help="File to write the predictions to: .csv or .parquet.")] = Path(
        "predictions.csv"
    ),
    keep: Annotated[
        list[str] | None,
        Parameter(
            help="Columns of the input to copy beside the predictions, such as an id.",
            consume_multiple=True,
            negative=(),
        ),
    ] = None,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    flags: FileFlags | None = None,
    json: Json = False,
) -> None:
    """Predict rows: classes, labels or numbers, with the probability of each class or label."""
    from reslab.tables.data.files import read_file
    from reslab.tables.data.frame import Report, read_frame
    from reslab.tables.predictions import replaces, write_predictions

    if out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"predictions are written as .csv or .parquet, got {out.name!r}")
    if out.resolve() == Path(file).resolve():
        raise UsageError(f"--out {out} is the table itself: name another file")
    replaced = replaces(out)
    model, report = opened(run, "tables", device=device), Report()
    table = read_file(Path(file), file_format(model, flags), report=report)
    frame = read_frame(table, report=report, how=file_format(model, flags))
    kept = {name: raw(table.source, frame.name_of(name)) for name in keep or []}
    target = target_of(run, model)
    unread = {*kept, *target}.intersection(frame.names) - set(model.columns)
    scores = named(file, lambda: model.scores(frame.without(*unread), report=report))
    names = () if model.target.kind == "classes" else target
    write_predictions(out, model.target, scores, kept=kept, columns=names)
    say.problems(report)
    found = summary(model, scores)
    if json:
        say.as_json({"run": str(run), "data": file, "n": len(scores), "predictions": str(out), **found,
                     "problems": list(report.lines())})  # fmt: skip
        return
    print(f"predicted {len(scores):,} rows of {file}")
    for key, value in found.items():
        print(f"{key}: {'; '.join(f'{name} {n:,}' for name, n in value.items())}")
    print(f"replaced {out}" if replaced else f"predictions: {out}")


def file_format(model: Any, flags: FileFlags | None, target: Sequence[str] = ()) -> Any:
    """What is known of a file for the model; `target`: columns that are read, too."""
    known = model.format
    return replace(known, only=(*known.only, *target), names=(*known.names, *target), **given(flags))


def named(file: str, work: Callable[[], Any]) -> Any:
    """Do the work; problems of the table are reported with its name."""
    try:
        return work()
    except UsageError as error:
        raise UsageError(f"{file}: ", error) from error


def target_of(run: Path, model: Any) -> tuple[str, ...]:
    """The columns that a model predicts; () for one that was saved without its run."""
    if (config := config_of(model)) is not None:
        return tuple(config.about["target"])
    from reslab.tables.model import members_of
    from reslab.tables.reading import read_reading

    first = members_of(Run(run))[0]
    return read_reading(first)[1].target if first.has("data.json") else ()


def raw(source: Any, name: str) -> list[Any]:
    """A column as it is in the file: ids stay whole numbers."""
    if isinstance(source, list):
        return [record.get(name) for record in source]
    values: list[Any] = source.column(name).to_pylist()
    return values


def summary(model: Any, scores: Any) -> dict[str, dict[str, Any]]:
    """How often each class or label was predicted, the most frequent first; for numbers, their range."""
    from reslab.report.words import number

    target, predicted = model.target, model.target.decode(scores)
    if target.kind == "classes":
        return {"classes": dict(Counter(map(str, predicted.tolist())).most_common(10))}
    if target.kind == "labels":
        sums = zip(map(str, target.classes.tolist()), predicted.sum(axis=0).tolist(), strict=True)
        return {"labels": dict(sorted(sums, key=lambda one: -one[1])[:10])}
    edges = {"least": scores.min(), "mean": scores.mean(), "most": scores.max()}
    return {"numbers": {name: float(number(float(value))) for name, value in edges.items()}}


def tell_scores(result: dict[str, Any]) -> None:
    """All scores with their intervals."""
    from reslab.report.figures.scores import NAMES, interval, name_of, text

    test, kind = result["test"], result["kind"]
    rows = [(name_of(score, kind), text(score, test[score]), interval(score, test["intervals"].get(score)))
            for score in NAMES if score in test]  # fmt: skip
    say.table(["score", "value", "95 % interval"], rows)
    if test.get("reliability"):
        print(f"expected calibration error {100 * test['reliability']['ece']:.1f} %")
