"""Train a model for a table in a run folder, through the one training loop."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reslab.errors import Sentence, UsageError, arg
from reslab.progress import Progress, in_phase, silent
from reslab.run import Run, absolute
from reslab.tables.calibrate import write_calibration
from reslab.tables.coded import ARRAYS, ENCODER, TARGET, write_encoder
from reslab.tables.data.frame import Frame, Report, read_frame
from reslab.tables.data.gaps import without_words, words_of
from reslab.tables.data.target import Target
from reslab.tables.defaults import folds
from reslab.tables.held_out import calibrated
from reslab.tables.importance import importance
from reslab.tables.metrics import MAIN, confusion, judged, residuals, true_values
from reslab.tables.model import TableModel, read_encoder, read_table_spec, same_encoders
from reslab.tables.net.net import TableNet
from reslab.tables.net.spec import to_dict
from reslab.tables.parts import Parts, fingerprint, make_parts
from reslab.tables.predictions import write_predictions
from reslab.tables.reading import Reading, asked, how_read, read_reading
from reslab.tables.split import groups_of, split_target, tell_copies, tell_joined, tell_missing_class
from reslab.tables.task import TableTask
from reslab.tables.training import build_net, make_task, model_of, set_aside, spec_of
from reslab.train.checkpoint import write_weights
from reslab.train.folder import read_recipe
from reslab.train.life import Account, Work, prepare_run, refuse_changed, train_run
from reslab.train.recipe import IMAGES_ONLY, Recipe, refuse_images
from reslab.train.start import refuse_other_reading, start_net
from reslab.train.training import Training
from reslab.train.world import ALONE, World

CURE = Sentence("name a file of test rows with ", arg("test_word"), ", give more rows, or say ", arg("kind", "numbers"),
                " where the target is a number")  # fmt: skip
LEAVE = Sentence("give more rows, or set no validation part aside with ", arg("validation", 0))
FILES = (ENCODER, ARRAYS, TARGET)  # files that `prepare` makes besides those of every run


@dataclass(frozen=True, kw_only=True)
class TableData:
    """A table, read and split for training."""

    frames: dict[str, Frame]  # without the target
    values: dict[str, Any]  # the target's values of each part
    rows: dict[str, np.ndarray]  # of each part, counted in its file
    target: Target
    names: tuple[str, ...]  # of the target's columns
    report: Report
    encoded: dict[str, Parts] = field(default_factory=dict)  # cache of `parts_of`, by its arguments


def load(word: str, reading: Reading, recipe: Recipe) -> TableData:
    """Read a table and split it into training, validation and test rows, stratified by class.

    Raises UsageError if a target column is missing or a row has no target value.
    """
    reading.check()
    report = Report()
    whole = read_frame(word, report=report, how=reading.format)
    frame, values = split_target(whole, reading.target, word, reading.kind)
    without_words(frame.columns, words_of(reading.missing), report)
    groups, rule = groups_of(values, reading.kind), reading.split_rule
    if reading.kind is None and len(reading.target) == 1:
        tell_joined(values, reading.target[0], report)
        tell_missing_class(values, reading.target[0], report)
    tell_copies(
        frame.without(*(name for name, kind in reading.kinds.items() if kind == "skip")), values, groups, report
    )
    if reading.test_word is None:
        kept, held = set_aside(len(frame), reading.test, seed=reading.split, groups=groups, cure=CURE, rule=rule)
        frames, parts, rows = {"test": frame.take(held)}, {"test": values[held]}, {"test": held}
    else:
        how = replace(reading.format, names=whole.names, decimal=whole.decimal)
        other = read_frame(reading.test_word, report=report, how=how)
        test, known = split_target(other, reading.target, reading.test_word, reading.kind)
        kept, rows = np.arange(len(frame)), {"test": np.arange(len(test))}
        frames, parts = {"test": test}, {"test": known}
    train = kept
    inside = None if groups is None else groups[kept]
    if recipe.validation and reading.fold is not None:
        fold = folds(len(kept), reading.folds, seed=reading.split + 1, groups=inside)
        train, rows["validation"] = kept[fold != reading.fold], kept[fold == reading.fold]
    elif recipe.validation:
        inner, aside = set_aside(
            len(kept), recipe.validation, seed=reading.split + 1, groups=inside, cure=LEAVE, rule=rule
        )
        train, rows["validation"] = kept[inner], kept[aside]
    rows["train"] = train
    for part in ("train", "validation"):
        if part in rows:
            frames[part], parts[part] = frame.take(rows[part]), values[rows[part]]
    try:
        # Members that set aside different folds must agree about the target.
        target = Target.fit(parts["train"] if reading.fold is None else values[kept], reading.kind)
    except UsageError as error:
        raise UsageError(f"{word}, {' and '.join(map(repr, reading.target))}: {error}") from error
    if target.kind == "labels" and len(reading.target) == target.outputs > 1:
        target = replace(target, classes=np.array(reading.target, dtype=object))  # a label is named after its column
    frames["test"] = frames.pop("test")  # the last, so that its problems are reported
    return TableData(frames=frames, values=parts, rows=rows, target=target, names=reading.target, report=report)


def prepare(
    folder: Path | str, *, word: str, reading: Reading, data: TableData, preset: str, recipe: Recipe, command: str = "",
    start: Path | str | None = None,
) -> Run:  # fmt: skip
    """Make a run folder with the net's spec, the recipe and the table's description, or find the same run in it.

    `start`: a run folder whose weights the training starts from; it must read its columns in the same way. Raises
    UsageError if the folder holds another run, naming what differs.
    """
    run = Run(folder)
    recipe.check()
    refuse_images(recipe, IMAGES_ONLY)
    places = [path and absolute(path) for path in (reading.text, reading.test_word)]
    reading = replace(reading, text=places[0], test_word=places[1])
    parts = parts_of(data, reading, reads=False)
    spec = spec_of(parts, preset, reading.sizes, rule=reading.defaults)
    counts = {part: len(frame) for part, frame in data.frames.items()}
    about = {
        "word": absolute(word), "reading": asdict(reading), "name": Path(word).name, "fingerprint": fingerprint(parts),
        **counts, "target": data.target.to_dict(), "kinds": dict(parts.encoder.kinds),
    }  # fmt: skip
    about = json.loads(json.dumps(about))
    if start is not None:
        there = read_encoder(Run(start), torch.device("cpu"))[0]
        refuse_other_reading(start, same=same_encoders(there, parts.encoder), what="reading of the columns")
    return prepare_run(
        run, spec=to_dict(spec), recipe=recipe, about=about, made=FILES, without=IMAGES_ONLY, command=command,
        stored=lambda: {"reading": (asked(read_reading(run)[1]), asked(reading)),
                        "net": (to_dict(read_table_spec(run)), to_dict(spec))},
        fill=lambda: write_encoder(run, parts.encoder, data.target), start=start,
        loaded=lambda: (how_read(read_reading(run)[1]), how_read(reading)),
    )  # fmt: skip


def parts_of(
    data: TableData, reading: Reading, *, device: torch.device | None = None, progress: Progress = silent,
    reads: bool = True,
) -> Parts:  # fmt: skip
    """The table encoded for a net; without `reads`, texts have no vectors yet."""
    kinds = {**reading.shared_kinds, **reading.kinds}
    vectors = (reading.text, reads, str(device)) if reading.text else ()
    key = repr((kinds, reading.class_weight, vectors, reading.missing, reading.decimal))
    if key not in data.encoded:
        targets = {part: data.target.encode(y, report=data.report) for part, y in data.values.items()}
        data.encoded[key] = make_parts(
            data.frames, targets, target=data.target, kinds=kinds, class_weight=reading.class_weight,
            report=data.report, text=reading.text, device=device, progress=progress, reading=reads,
            missing=reading.missing, decimal=reading.decimal,
        )  # fmt: skip
    return data.encoded[key]


def stored_data(run: Run) -> TableData:
    """The table of a run folder, split as it was then. Raises ReslabError if its rows have changed."""
    word, reading = read_reading(run)
    data = load(word, reading, read_recipe(run))
    refuse_changed(run, word, fingerprint(parts_of(data, reading, reads=False)), OnTable.what)
    return data


def train(
    folder: Path | str, *, data: TableData | None = None, device: str = "auto", progress: Progress = silent,
    command: str = "", world: World = ALONE,
) -> dict[str, Any]:  # fmt: skip
    """Train the net of a prepared run folder, resuming from its last checkpoint; its result, also in results/.

    A finished run is not changed; its stored result is returned. Raises as `train_run` does.
    """
    return train_run(folder, OnTable(data), device=device, progress=progress, command=command, world=world)


class OnTable:
    """The part of training that is specific to tables."""

    what, depth = "rows of the table", 0
    made: tuple[str, ...] = FILES
    needs: tuple[str, ...] = ("net", "data", "test")

    def __init__(self, data: TableData | None) -> None:
        self.given = data

    def read(self, run: Run) -> None:
        self.spec = read_table_spec(run)
        self.word, self.reading = read_reading(run)

    def load(self, work: Work) -> tuple[str, str]:
        self.data = load(self.word, self.reading, work.recipe) if self.given is None else self.given
        self.parts = parts_of(self.data, self.reading, device=work.device, progress=work.progress)
        return self.word, fingerprint(self.parts)

    def changes(self, run: Run) -> str:
        return ""

    def build(self, work: Work) -> tuple[TableTask, TableNet]:
        net = build_net(self.parts, self.spec)
        start_net(work.run, net)
        return make_task(self.parts, work.recipe, work.device, work.world), net

    def finish(self, work: Work, training: Training, account: Account) -> dict[str, Any]:
        """Score the test rows, once; write weights and predictions."""
        if work.world.leads:
            write_weights(work.run, training.kept, to_dict(self.spec))
        model, kind = model_of(self.parts, self.spec, training, work.world), self.parts.target.kind
        shared = account()
        if self.reading.defaults != 1 and self.reading.fold is None:  # members are calibrated together
            model.calibration = calibrated([model], [self.parts])
            write_calibration(work.run, model.calibration)
        found = weigh(model, self.data, work.run, progress=work.progress)
        return {
            "net": self.spec.name, "kind": kind, "main": MAIN[kind], **found,
            "parameters": sum(p.numel() for p in training.kept.parameters()), "best": training.best.get("iteration"),
            "validation_error": training.best.get("error"), "problems": list(dict.fromkeys(self.data.report.lines())),
            **shared,
        }  # fmt: skip


def weigh(model: TableModel, data: TableData, run: Run, *, progress: Progress = silent) -> dict[str, Any]:
    """The model's scores on the test rows and the importance of columns there; writes the predictions."""
    frame, known = data.frames["test"], data.values["test"]
    scores = model.scores(frame)
    truth = true_values(model.target, known, data.report)
    found: dict[str, Any] = {"test": judged(model.target.kind, truth, scores)}
    if model.calibration is not None:
        found["calibration"] = asdict(model.calibration)
    if run.writes:
        write_predictions(
            run.path("predictions.csv"), model.target, scores, known=known, rows=data.rows["test"], columns=data.names
        )
    shuffling = in_phase(progress, "measuring which columns matter")
    found["importance"] = importance(model, frame, truth, progress=shuffling)
    if model.target.kind == "classes":
        found["confusion"] = confusion(truth, scores)
    elif model.target.kind == "numbers":
        found["residuals"] = residuals(truth, scores)
    return found
