"""reslab predict: classes of images, answers to questions, rows of a table, by a finished run or an exported model."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json, whole
from reslab.cli.resume import use_of
from reslab.errors import ReslabError, UsageError
from reslab.nets.published import local
from reslab.run import MEMBERS, Run

if TYPE_CHECKING:
    from reslab.ship.record import Config

STDIN = "-"


def predict(
    run: Annotated[
        Path,
        Parameter(help="Run folder of a finished training, the folder of an exported model, or hf:OWNER/NAME."),
    ],
    /,
    *files: Annotated[
        str,
        Parameter(
            help="Images: files, folders with images at any depth, and - for a list of paths on standard input. "
            "For a net for tables: one file of rows. For a net for questions: a file of questions, or questions in "
            "quotes with --context."
        ),
    ],
    # cyclopts treats every word that begins with a hyphen as an option, - included.
    stdin: Annotated[
        bool,
        Parameter(name=STDIN, help="Read paths from standard input, one a line or NUL-separated.", negative=(),
                  show_default=False),
    ] = False,
    out: Annotated[
        Path | None, Parameter(help="Write the predictions to this file: .csv, .parquet, .json or .jsonl.")
    ] = None,
    top: Annotated[
        int | None,
        Parameter(help="Give the N most probable classes, or answers (default: 1; in a file, every class).",
                  converter=whole),
    ] = None,
    tta: Annotated[
        Literal["none", "flip"], Parameter(help="flip: average the probabilities of each image and its mirror image.")
    ] = "none",
    batch: Annotated[
        int | None, Parameter(help="Images per batch (default: 64; exported model: 16).", converter=whole)
    ] = None,
    workers: Annotated[
        int | None,
        Parameter(help="Number of processes (exported model: threads) that decode images (default: by their size).",
                  converter=whole),
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None,
        Parameter(help="Numeric precision (default: fp32 for images); auto: bf16 where the processor has it. An "
                  "exported model has its own."),
    ] = None,
    context: Annotated[
        list[str] | None,
        Parameter(help="For questions: text files, folders of .txt files.", consume_multiple=True, negative=()),
    ] = None,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    json: Json = False,
) -> None:  # fmt: skip
    """Predict new images with their probabilities; also rows of tables and questions, by the kind of the run."""
    from reslab.cli.predict_images import Asked, predict_images

    run = local(run)
    shipped = config_of(run)
    use = shipped.kind if shipped else kind_of(run)
    if shipped:
        refuse_of_shipped(run, shipped, {"--precision": precision, "--device": None if device == "auto" else device})
    images = {"--tta": None if tta == "none" else tta, "--batch": batch, "--workers": workers}
    if use == "images":
        refuse(run, "images", {"--context": context})
        words = [*files, *(paths_from_stdin() if stdin else [])]
        if not words:
            raise UsageError(f"name what to predict: reslab predict {run} FILE, a folder, or - for a list of paths")
        asked = Asked(out=out, top=top, tta=tta, batch=batch, workers=workers, device=device,
                      precision=precision or ("auto" if shipped else "fp32"), json=json)  # fmt: skip
        predict_images(run, words, asked)
        return
    refuse(run, use, images)
    if use == "tables":
        refuse(run, use, {"--top": top, "--precision": precision, "--context": context, STDIN: stdin or None})
        from reslab.cli.tables.rows import predict as predict_rows

        predict_rows(run, only(files, run, "rows"), device=device, json=json, out=out or Path("predictions.csv"))
        return
    predict_questions(run, files, context, stdin, out, top, precision, device, json)


def config_of(folder: Path) -> "Config | None":
    """The config of an exported folder; None for any other. Raises ReslabError for a damaged one."""
    from reslab.ship.folder import is_exported, read_config, verify

    if not is_exported(folder):
        return None
    try:
        return read_config(folder)
    except UsageError:  # config.json is missing, which the checksums know
        verify(folder)
        raise


def refuse_of_shipped(folder: Path, config: "Config", given: dict[str, Any]) -> None:
    """Raise UsageError if an option was given that an exported folder has decided: its precision, its device."""
    if given["--precision"] is not None:
        raise UsageError(f"{folder} was exported in {config.precision}: leave out --precision, or export the model "
                         "again in another")  # fmt: skip
    if given["--device"] is not None and config.engine != "torch":
        raise UsageError(f"{folder} was exported for {config.engine}, which runs on the CPU: leave out --device")


def kind_of(run: Path) -> str:
    """What the net of the run is for: "images", "questions" or "tables". Raises UsageError for no run."""
    folder = run.parent if run.name == "weights.safetensors" else run
    if Run(folder).has(MEMBERS):
        return "tables"
    if not run.exists():
        raise UsageError(f"{run}: no such run folder")
    if folder == run and not run.is_dir():
        raise UsageError(f"{run} is no run folder: `reslab predict` needs one, which knows its classes and how images "
                         "are read")  # fmt: skip
    return use_of(folder)


def refuse(run: Path, use: str, given: dict[str, Any]) -> None:
    """Raise UsageError if an option was given that does not apply to this kind of run."""
    if wrong := [name for name, value in given.items() if value is not None]:
        raise UsageError(f"{run} holds a net for {use}, for which there is no {wrong[0]}: leave it out")


def only(files: Sequence[str], run: Path, what: str) -> str:
    if len(files) != 1:
        raise UsageError(f"{run} predicts one file of {what} at a time, got {len(files)}")
    return files[0]


def paths_from_stdin() -> list[str]:
    from reslab.images.gather import listed_paths

    found = listed_paths(sys.stdin.buffer.read())
    if not found:
        raise UsageError("standard input holds no paths; such as: find photos -name '*.jpg' | reslab predict RUN -")
    return found


def predict_questions(
    run: Path, words: Sequence[str], context: list[str] | None, stdin: bool, out: Path | None, top: int | None,
    precision: Any, device: str, json: bool,
) -> None:  # fmt: skip
    """Answer questions as `reslab qa ask` does, with --context; or all questions of a file, as `reslab qa eval`."""
    from reslab.cli.qa import ask, evaluate

    if context is not None:
        refuse(run, "questions", {"--out": out})
        ask.ask(run, *words, context=context, stdin=stdin, top=top or 3, precision=precision or "auto", device=device,
                json=json)  # fmt: skip
        return
    refuse(run, "questions", {"--top": top, "--precision": precision, STDIN: stdin or None})
    file = only(words, run, "questions (questions of your own need --context)")
    if out is not None and out.suffix != ".json":
        raise UsageError(f"answers are written as .json, got {out.name!r}")
    found = evaluate.of_run(run, file, None, device, None, out=out)
    if out is not None and found["predictions"] != str(out):  # of a run they are stored in its folder
        if not found["predictions"]:
            raise ReslabError(f"{out} is not written, as the answers could not be stored in {run}")
        from reslab.stored.write import write_aside

        with Path(found["predictions"]).open("rb") as source:
            write_aside(out, lambda target: shutil.copyfileobj(source, target))
        found["predictions"] = str(out)
    if json:
        say.as_json(found)
        return
    print(f"{run} on {found['data']['name']}")
    for line in evaluate.lines(found):
        print(line)
