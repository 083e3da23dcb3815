"""reslab look: what does each block of a residual network do? Any model's."""

import time
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from importlib import import_module
from shlex import quote
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from reslab.cli import say, seen
from reslab.cli.models import WORDS
from reslab.cli.options import Json, whole
from reslab.cli.subject import LookFlags, Subject, draw, keep, meet
from reslab.errors import ReslabError, UsageError
from reslab.run import finite

app = App(name="look", help_format="plaintext", help=(
    f"Look inside any residual network.\n\nMODEL is {WORDS}.\n\nA model that is no run of ours needs --data (or "
    "--random), but for `merges`. Results go into the run's folder, or into runs/look-NAME."
))  # fmt: skip

VERBS = {  # in the order of `all`: the file of reslab.look that measures it
    "responses": "responses", "gradients": "gradients", "lesions": "lesion", "influence": "influence",
    "readout": "readout", "paths": "paths",
}  # fmt: skip
NEED_MERGES = ("influence", "readout", "paths")
PATH_SAMPLES = 64  # by default: a sample has a gradient for every length

Word = Annotated[str, Parameter(help="See `reslab look --help`.")]
Metrics = Annotated[
    list[Literal["error", "loss", "kl", "drift"]] | None,
    Parameter(help="By default error, loss and KL; without labels drift.", negative=(), consume_multiple=True),
]


@app.command
def merges(model: Word, /, *, flags: LookFlags | None = None, json: Json = False) -> None:
    """List the residual additions: kind, shapes, cost, and whether the branch can be cut for good. Needs no data.

    With --no-weights a Hugging Face model is not even fetched: its config.json is enough.
    """
    began = time.perf_counter()
    subject = meet(model, flags, data=False)
    told = keep(subject, "merges", subject.merges, seconds=time.perf_counter() - began)
    if json:
        say.as_json({"model": subject.loaded.describe(), **subject.merges.as_dict()})
        return
    seen.merges(subject.merges)
    for note in subject.loaded.notes:
        print(f"{model}: {note}")
    print(told)
    following(subject, "merges", draw([subject.run]))


@app.command
def responses(
    *models: Annotated[str, Parameter(help="One model or several; see `reslab look --help`.", required=True)],
    flags: LookFlags | None = None,
    json: Json = False,
) -> None:
    """How strongly each layer responds (He et al. 2015, Figure 7); several models side by side."""
    side_by_side(models, flags, "responses", json)


@app.command
def gradients(
    *models: Annotated[str, Parameter(help="One model or several; see `reslab look --help`.", required=True)],
    training: Annotated[
        bool | None, Parameter(help="BatchNorm takes each batch's own statistics (default: for untrained models).")
    ] = None,
    flags: LookFlags | None = None,
    json: Json = False,
) -> None:
    """Norms of gradients by layer, the signal forward, and whether they are healthy; several models side by side."""
    side_by_side(models, flags, "gradients", json, training=training)


@app.command
def lesions(
    model: Word,
    /,
    *,
    ks: Annotated[
        list[int] | None,
        Parameter(help="How many branches at once (default: some, 1 to all).", consume_multiple=True, negative=()),
    ] = None,
    swaps: Annotated[
        list[int] | None, Parameter(help="How many pairs of blocks swapped.", consume_multiple=True, negative=())
    ] = None,
    repeats: Annotated[int, Parameter(help="Of what is drawn at random.", converter=whole)] = 10,
    metrics: Metrics = None,
    layers: Annotated[bool | None, Parameter(help="Leave out single layers too (default: without merges).")] = None,
    method: Annotated[
        Literal["auto", "growing", "naive"], Parameter(help="All lesions in one growing pass, or one by one.")
    ] = "auto",
    chunk: Annotated[
        int | None, Parameter(help="Most rows of the grown batch: bounds memory (default: --batch).", converter=whole)
    ] = None,
    flags: LookFlags | None = None,
    json: Json = False,
) -> None:
    """Silence each block alone, several at random, and swap blocks: what becomes of the error (Veit et al. 2016)?"""
    show(meet(model, flags), "lesions", json, ks=ks, swaps=swaps, repeats=repeats, metrics=metrics, layers=layers,
         method=method, chunk=chunk)  # fmt: skip


@app.command
def paths(
    model: Word,
    /,
    *,
    sample: Annotated[
        int, Parameter(help="Paths drawn of each length for each sample, as published; 0: none.", converter=whole)
    ] = 2,
    chunk: Annotated[
        int, Parameter(help="Most rows, copies times samples, at once: bounds memory.", converter=whole)
    ] = 256,
    flags: LookFlags | None = None,
    json: Json = False,
) -> None:
    """What paths of each length bring of the gradient: exactly, and by drawing (64 samples unless --samples says)."""
    show(meet(model, flags), "paths", json, sample=sample, chunk=chunk)


@app.command
def influence(model: Word, /, *, flags: LookFlags | None = None, json: Json = False) -> None:
    """How much each block turns and scales what passes it, and whether its step goes downhill."""
    show(meet(model, flags), "influence", json)


@app.command
def readout(
    model: Word,
    /,
    *,
    metrics: Metrics = None,
    renorm: Annotated[bool, Parameter(help="Measure BatchNorm's averages anew at each depth.", negative=())] = False,
    flags: LookFlags | None = None,
    json: Json = False,
) -> None:
    """What the model would answer at each depth, through its own head."""
    show(meet(model, flags), "readout", json, metrics=metrics, renorm=renorm)


@app.command(name="all")
def everything(model: Word, /, *, flags: LookFlags | None = None, json: Json = False) -> None:
    """All of it, on one page. What a model does not allow is left out, and said."""
    subject = meet(model, flags)
    told: dict[str, Any] = {"merges": subject.merges.as_dict()}
    failed: list[ReslabError] = []
    if not json:
        seen.merges(subject.merges)
    for verb in VERBS:
        try:
            found, line = look(subject, verb)
        except ReslabError as error:
            failed.append(error)
            told[verb] = {"left_out": str(error)}
            if not json:
                print(f"\n{verb}: left out: {error}")
            continue
        told[verb] = found
        if not json:
            print()
            getattr(seen, verb)(found)
            print(line)
    if len(failed) == len(VERBS):
        raise failed[0]
    page = draw([subject.run])
    if json:
        say.as_json({"model": subject.loaded.describe(), "data": subject.inputs.data, "report": page,
                     **{verb: plain(found) for verb, found in told.items()}})  # fmt: skip
        return
    following(subject, "all", page)


def look(subject: Subject, verb: str, **options: Any) -> tuple[Any, str]:
    """Measure one thing, store it; the result, and a line that says where it lies."""
    if verb in NEED_MERGES and not any(merge.reachable for merge in subject.merges):
        why = subject.merges.notes[0] if subject.merges.notes else "none of its merges can be acted on"
        raise UsageError(f"{why}; responses, gradients and lesions can be looked at all the same")
    options = {key: value for key, value in options.items() if value is not None}
    if verb == "lesions":
        options["seed"] = subject.settings["seed"]
    if verb == "paths":
        options = {"sample": 2, "seed": subject.settings["seed"], **options}
        subject = subject if subject.settings["samples"] else subject.first(PATH_SAMPLES)
    if verb == "gradients":
        options.setdefault("training", subject.loaded.initial)
    began = time.perf_counter()
    with say.progress(verb) as tell:
        measure = getattr(import_module(f"reslab.look.{VERBS[verb]}"), verb)
        found = measure(subject.model, subject.batches, merges=subject.merges, progress=tell, **options)
    return found, keep(subject, verb, found, seconds=time.perf_counter() - began, **options)


def show(subject: Subject, verb: str, json: bool, **options: Any) -> None:
    """Measure one thing, print its main numbers, draw the page."""
    found, line = look(subject, verb, **options)
    page = draw([subject.run])
    if json:
        say.as_json(
            {"model": subject.loaded.describe(), "data": subject.inputs.data, "report": page, verb: plain(found)}
        )
        return
    getattr(seen, verb)(found)
    print(line)
    following(subject, verb, page)


def side_by_side(words: Sequence[str], flags: Any, verb: str, json: bool, **options: Any) -> None:
    """Measure one thing in each model, every result in its model's own folder, and draw them on one page."""
    several, out = len(words) > 1, flags.model.out if flags and flags.model else None
    subjects, results = [], []
    for word in words:
        subject = meet(word, flags, several=several)
        found, line = look(subject, verb, **options)
        subjects.append(subject)
        results.append(found)
        if not json:
            print(f"{word} ({subject.inputs.n} samples of {subject.inputs.data['name']})")
            getattr(seen, verb)(found)
            print(line)
    page = draw([subject.run for subject in subjects], out / "look.html" if several and out else None)
    if json:
        say.as_json({"report": page, verb: [
            {"model": s.loaded.describe(), "data": s.inputs.data, **plain(found)}
            for s, found in zip(subjects, results, strict=True)
        ]})  # fmt: skip
        return
    following(subjects[0], verb, page)


def following(subject: Subject, verb: str, page: str | None) -> None:
    """Where the page is, and what to do next."""
    order = ["merges", *VERBS]
    after = order[order.index(verb) + 1] if verb in order and verb != order[-1] else "all"
    if page:
        print(f"report: {page}")
    if verb != "all":
        print(f"next:   reslab look {after} {subject.again}")
    elif subject.loaded.run:
        print(f"next:   reslab report {quote(str(subject.loaded.run.folder))}")
    else:
        print("next:   reslab look --help")


def plain(found: Any) -> Any:
    """A result as JSON takes it."""
    return finite(asdict(found)) if is_dataclass(found) and not isinstance(found, type) else found
