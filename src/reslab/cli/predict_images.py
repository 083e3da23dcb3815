"""reslab predict for images: gather the files, predict them in batches, print or write what was found."""

import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reslab.cli import say
from reslab.errors import ReslabError, ReslabWarning, UsageError, one_line, tell
from reslab.progress import Progress, shown, silent
from reslab.run import Run

WIDEST = 60  # characters of a name in its column; longer ones move the rest to the right
FEW = 100  # images up to which no progress is shown


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of `reslab predict` for images."""

    out: Path | None
    top: int | None
    tta: Any
    batch: int | None  # None: the predictor's own
    workers: int | None
    device: str
    precision: Any
    json: bool


@dataclass(kw_only=True)
class Job:
    """One call: what is predicted and how, and what has been found so far."""

    run: Path
    predictor: Any
    files: list[str]
    asked: Asked
    precision: str  # that "auto" chose
    said: list[str] = field(default_factory=list)  # notes before the start
    n: int = 0
    classes: Counter[str] = field(default_factory=Counter)  # how often each was predicted
    broken: list[dict[str, str]] = field(default_factory=list)
    remarks: Counter[str] = field(default_factory=Counter)

    def report(self, name: str, reason: str) -> None:
        """Report a file that cannot be predicted."""
        self.broken.append({"file": name, "reason": reason})
        print(one_line(f"reslab: {name} cannot be predicted: {reason}"), file=sys.stderr)

    def results(self, progress: Progress) -> Iterator[list[Any]]:
        """The predictions, a batch at a time. Raises ReslabError at the end if there is none."""
        from reslab.images.gather import Named

        asked, sources = self.asked, Named(self.files)
        batch = {} if asked.batch is None else {"batch": asked.batch}
        for part in self.predictor.stream(sources, tta=asked.tta, workers=asked.workers, precision=self.precision,
                                          **batch):  # fmt: skip
            for i, reason in part.broken:
                self.report(self.files[i], reason)
            made = self.predictor.predictions(part, self.files)
            self.n += len(made)
            self.classes.update(name for one in made for name in one.labels)
            self.remarks += part.remarks
            yield made
            progress(part.done, len(sources))
        if not self.n:
            many = len(self.broken)
            raise ReslabError("the file cannot be predicted" if many == 1 else
                              f"none of the {many:,} files can be predicted")  # fmt: skip

    def about(self) -> dict[str, Any]:
        """How the predictions were made and what was noted, for JSON."""
        from reslab.images.pixels import remarked

        return {
            "run": str(self.run), "n": self.n, "classes": list(self.predictor.classes),
            "calibration": say.words(self.predictor.calibration), "precision": self.precision, "tta": self.asked.tta,
            "notes": [*self.said, *remarked(self.remarks)], "broken": self.broken,
        }  # fmt: skip


def predict_images(folder: Path, words: Sequence[str], asked: Asked) -> None:
    """Predict the files and the images of the folders that `words` name.

    Raises UsageError for wrong options and if the only word is no file, ReslabError if nothing can be predicted.
    """
    from reslab.images.gather import gather
    from reslab.images.pixels import remarked
    from reslab.images.written import check_target

    if asked.top is not None and asked.top < 1:
        raise UsageError(f"--top must be at least 1, got {asked.top}")
    replaced = asked.out is not None and check_target(asked.out)
    gathered = gather(words)
    if not gathered.files and len(words) == 1:
        name, reason = gathered.missing[0]
        raise UsageError(f"{one_line(name) or repr(name)}: {reason}")
    predictor, precision = loaded(folder, asked)
    job = Job(run=folder, predictor=predictor, files=gathered.files, asked=asked, precision=precision)
    job.said = list(notes(job, gathered.ignored))
    tell("%s", how(job))
    for said in job.said:
        tell("%s", said)
    for name, reason in gathered.missing:
        job.report(name, reason)
    if asked.out:
        write(job, asked.out, replaced)
    elif asked.json:
        print_json(job)
    else:
        print_lines(job)
    for said in remarked(job.remarks):
        tell("%s", said)
    if job.broken:
        tell("%s of %s files could not be predicted", f"{len(job.broken):,}", f"{len(job.broken) + job.n:,}")


def loaded(folder: Path, asked: Asked) -> tuple[Any, str]:
    """The predictor of the run, on the device, or of the exported folder; the precision. Raises what it raises."""
    from reslab.ship.predict import predict

    predictor = predict(folder, device=asked.device)
    return predictor, predictor.chosen(asked.precision)


def run_of(folder: Path) -> Run:
    """The run of a folder, or of the weights in it."""
    return Run(folder.parent if folder.is_file() else folder)


def how(job: Job) -> str:
    """How the probabilities are made."""
    mirror = ", mean of each image and its mirror image" if job.asked.tta == "flip" else ""
    return f"{say.words(job.predictor.calibration)}; {job.precision}{mirror}"


def notes(job: Job, ignored: Counter[str]) -> Iterator[str]:
    """What the user should know before the predictions."""
    if total := ignored.total():
        which = ", ".join(f"{reason} ({n:,})" for reason, n in ignored.most_common(10))
        yield f"{total:,} file{'s' * (total != 1)} ignored: {which}"
    if said := seen(job):
        yield said
    shape, classes = job.predictor.preprocess.shape, job.predictor.classes
    if job.asked.tta == "flip" and shape[0] == 1 and classes == tuple("0123456789"):
        warnings.warn(ReslabWarning("--tta flip mirrors images, and a mirrored digit is not a digit: leave it out"),
                      stacklevel=2)  # fmt: skip


def seen(job: Job) -> str | None:
    """Whether the run was trained on images of this call; an exported folder does not know."""
    from reslab.ship.folder import is_exported

    if is_exported(job.run):
        return None
    from reslab.images.origin import trained_on

    return trained_on(run_of(job.run), job.files)


def display(job: Job, *, lines: bool) -> AbstractContextManager[Progress]:
    """The progress on standard error, unless there is little to do or lines on the same terminal show it."""
    if len(job.files) <= FEW or (lines and sys.stdout is not None and sys.stdout.isatty()):
        return nullcontext(silent)
    return shown(f"predicting with {job.run.name}", unit="images")


def write(job: Job, out: Path, replaced: bool) -> None:
    """Write the predictions to a file, whole or not at all, and print a summary."""
    from reslab.images.written import rows_in
    from reslab.stored.write import write_aside

    def fill(file: Any) -> None:
        several, top = job.predictor.several, job.asked.top
        with (
            rows_in(file, out.suffix.lower(), classes=job.predictor.classes, top=top, several=several) as rows,
            display(job, lines=False) as progress,
        ):
            for made in job.results(progress):
                rows.add(made)
            rows.end(job.about())

    write_aside(out, fill)
    if job.asked.json:
        say.as_json({**job.about(), "predicted": dict(job.classes.most_common()), "predictions": str(out)})
        return
    print(f"predicted {job.n:,} image{'s' * (job.n != 1)}")
    print(one_line("classes: " + "; ".join(f"{name} {n:,}" for name, n in job.classes.most_common(10))))
    print(f"replaced {out}" if replaced else f"predictions: {out}")


def print_json(job: Job) -> None:
    from reslab.images.written import record

    found: list[dict[str, Any]] = []
    with display(job, lines=False) as progress:
        for made in job.results(progress):
            found += [record(one, job.asked.top) for one in made]
    say.as_json({**job.about(), "predictions": found})


def print_lines(job: Job) -> None:
    """A line for each image: file, class, probability; then the next classes."""
    out = sys.stdout  # a bar on standard error would take it along
    files, classes = widest(job.files), widest(job.predictor.classes)
    with display(job, lines=True) as progress:
        for made in job.results(progress):
            for one in made:
                print(f"{one_line(one.file):<{files}}  {line(one, job.asked.top or 1, classes)}".rstrip(), file=out)
            if getattr(out, "error", None):  # the reader of a pipe is gone
                return


def widest(names: Iterable[str]) -> int:
    """The width of a column of names."""
    return min(max((len(one_line(name)) for name in names), default=0), WIDEST)


def line(one: Any, top: int, wide: int) -> str:
    """`cat  98.1 %  dog   1.2 %`; of several labels those that apply, then the most probable ones."""
    pairs: Iterable[tuple[str, float]] = one.top(top)
    shown = "  ".join(f"{one_line(name):<{wide}} {100 * p:5.1f} %" for name, p in pairs)
    return f"[{one_line(', '.join(one.labels))}]  {shown}" if one.several else shown
