"""reslab predict: classes of images, answers to questions, rows of a table, by the net of a finished run."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import Json, whole
from reslab.cli.resume import use_of
from reslab.errors import ReslabError, UsageError
from reslab.nets.published import local
from reslab.run import MEMBERS, Run

STDIN = "-"


def predict(
    run: Annotated[Path, Parameter(help="Run folder of a finished training, or hf:OWNER/NAME.")],
    /,
    *files: Annotated[
        str,
        Parameter(
            help="Images: files, folders with images at any depth, and - for a list of paths on standard input. "
            "For a run of tables: one file of rows. For a run of questions: a file of questions, or questions in "
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
    batch: Annotated[int | None, Parameter(help="Images per batch (default: 64).", converter=whole)] = None,
    workers: Annotated[
        int | None, Parameter(help="Number of processes that decode images (default: by their size).", converter=whole)
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None,
        Parameter(help="Numeric precision (default: fp32 for images); auto: bf16 where the processor has it."),
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
    use = kind_of(run)
    images = {"--tta": None if tta == "none" else tta, "--batch": batch, "--workers": workers}
    if use == "images":
        refuse(run, "images", {"--context": context})
        words = [*files, *(paths_from_stdin() if stdin else [])]
        if not words:
            raise UsageError(f"name what to predict: reslab predict {run} FILE, a folder, or - for a list of paths")
        asked = Asked(out=out, top=top, tta=tta, batch=64 if batch is None else batch, workers=workers, device=device,
                      precision=precision or "fp32", json=json)  # fmt: skip
        predict_images(run, words, asked)
        return
    refuse(run, use, images)
    if use == "tables":
        refuse(run, use, {"--top": top, "--precision": precision, "--context": context, STDIN: stdin or None})
        from reslab.cli.tables.rows import predict as predict_rows

        predict_rows(run, only(files, run, "rows"), device=device, json=json, out=out or Path("predictions.csv"))
        return
    predict_questions(run, files, context, stdin, out, top, precision, device, json)


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
