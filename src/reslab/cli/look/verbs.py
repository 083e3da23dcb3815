"""reslab look: what does each block of a residual network do? For any model."""

import time
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from reslab.cli import say
from reslab.cli.look import text
from reslab.cli.look.flags import LookFlags
from reslab.cli.look.kept import draw, keep
from reslab.cli.look.measure import DRAWN, VERBS, certified, following, headline, look, meet, plain, show, side_by_side
from reslab.cli.options import Json, whole
from reslab.errors import ReslabError
from reslab.nets.words import WORDS

app = App(name="look", help_format="plaintext", help=(
    f"Look inside any residual network.\n\nMODEL is {say.words(WORDS)}.\n\nModels not trained with reslab need "
    "--data (or --random), except for `merges`. Results are stored in the folder of an image run, otherwise in "
    "runs/look-NAME; without --out, the page that compares several models is ./look.html."
))  # fmt: skip

Word = Annotated[str, Parameter(help="See `reslab look --help`.")]
Metrics = Annotated[
    list[Literal["error", "loss", "kl", "drift"]] | None,
    Parameter(help="Default: error, loss and KL; without labels: drift.", negative=(), consume_multiple=True),
]


@app.command
def merges(model: Word, /, *, flags: LookFlags | None = None, json: Json = False) -> None:
    """List every residual connection and whether its block can be removed; needs no data.

    With --no-weights, only the config.json of a Hugging Face model is downloaded.
    """
    began = time.perf_counter()
    subject = meet(model, flags, data=False)
    line = keep(subject, "merges", subject.merges, seconds=time.perf_counter() - began)
    if not json:
        text.merges(subject.merges)
        for note in subject.loaded.notes:
            print(f"{model}: {say.words(note)}")
        print(line)
    page = draw([subject.run])
    if json:
        say.as_json({"model": subject.loaded.describe(), "report": page, "merges": subject.merges.as_dict()})
    else:
        following(subject, "merges", page)


@app.command
def certify(model: Word, /, *, flags: LookFlags | None = None, json: Json = False) -> None:
    """Check that every residual connection adds up and that a disabled block passes on what entered it.

    The model runs twice: skip + branches must equal the output of every addition, and with every
    branch disabled, what leaves a block must equal what entered it. If not, the exit code is 1.
    Without --data, the input is random.
    """
    began = time.perf_counter()
    inputs = flags.given if flags else None
    subject = meet(model, flags, data=bool(inputs and (inputs.data is not None or inputs.random)), shapes=False)
    found = certified(subject)
    line = keep(subject, "certify", found, seconds=time.perf_counter() - began)
    page = draw([subject.run])
    if json:
        say.as_json(
            {"model": subject.loaded.describe(), "report": page, "certify": {**plain(found), "holds": found.holds}}
        )
    else:
        print(found)
        print(line)
        following(subject, "certify", page)
    if found.failed:
        raise ReslabError(f"{model}: {found.verdict}; do not rely on measurements of these blocks")


@app.command
def responses(
    *models: Annotated[str, Parameter(help="One or more models; see `reslab look --help`.", required=True)],
    flags: LookFlags | None = None,
    json: Json = False,
) -> None:
    """Measure how strongly each layer responds (He et al. 2015, Figure 7); several models side by side."""
    side_by_side(models, flags, "responses", json)


@app.command
def gradients(
    *models: Annotated[str, Parameter(help="One or more models; see `reslab look --help`.", required=True)],
    training: Annotated[
        bool | None,
        Parameter(help="Let BatchNorm use each batch's own statistics (default: only for untrained models)."),
    ] = None,
    flags: LookFlags | None = None,
    json: Json = False,
) -> None:
    """Measure gradient norms and the forward signal by layer, and whether they vanish; several models side by side."""
    side_by_side(models, flags, "gradients", json, training=training)


@app.command
def lesions(
    model: Word,
    /,
    *,
    ks: Annotated[
        list[int] | None,
        Parameter(
            help="How many blocks to disable at once (default: several numbers from 1 to all).",
            consume_multiple=True,
            negative=(),
        ),
    ] = None,
    swaps: Annotated[
        list[int] | None, Parameter(help="How many pairs of blocks to swap.", consume_multiple=True, negative=())
    ] = None,
    repeats: Annotated[int, Parameter(help="Random draws for each number of blocks or swaps.", converter=whole)] = 10,
    metrics: Metrics = None,
    layers: Annotated[
        bool | None, Parameter(help="Disable single layers too (default: only in models without residual connections).")
    ] = None,
    method: Annotated[
        Literal["auto", "growing", "naive"],
        Parameter(help="All lesions in one pass whose batch grows, or (naive) one pass per lesion."),
    ] = "auto",
    chunk: Annotated[
        int | None,
        Parameter(
            help="Maximum batch size during the growing pass (limits memory; default: --batch).", converter=whole
        ),
    ] = None,
    flags: LookFlags | None = None,
    json: Json = False,
) -> None:
    """Disable each block in turn, several at random, or swap blocks, and measure the error (Veit et al. 2016)."""
    show(meet(model, flags), "lesions", json, ks=ks, swaps=swaps, repeats=repeats, metrics=metrics, layers=layers,
         method=method, chunk=chunk)  # fmt: skip


@app.command
def paths(
    model: Word,
    /,
    *,
    sample: Annotated[
        int,
        Parameter(
            help="Random paths per length and sample, for the published estimate; 0: only the exact method.",
            converter=whole,
        ),
    ] = DRAWN,
    chunk: Annotated[
        int, Parameter(help="Maximum number of rows (copies times samples) per pass (limits memory).", converter=whole)
    ] = 256,
    flags: LookFlags | None = None,
    json: Json = False,
) -> None:
    """Measure how much of the gradient flows through paths of each length: exact, and estimated by sampling paths.

    Each sampled path needs a backward pass, so --samples defaults to 64 images or 16 windows here.
    """
    show(meet(model, flags), "paths", json, sample=sample, chunk=chunk)


@app.command
def influence(model: Word, /, *, flags: LookFlags | None = None, json: Json = False) -> None:
    """Measure how each block rotates and rescales its input, and whether its update follows the negative gradient."""
    show(meet(model, flags), "influence", json)


@app.command
def readout(
    model: Word,
    /,
    *,
    metrics: Metrics = None,
    renorm: Annotated[bool, Parameter(help="Recompute the BatchNorm statistics at each depth.", negative=())] = False,
    flags: LookFlags | None = None,
    json: Json = False,
) -> None:
    """Measure what the model would answer at each depth, if its head read the output of an earlier block."""
    show(meet(model, flags), "readout", json, metrics=metrics, renorm=renorm)


@app.command(name="all")
def everything(model: Word, /, *, flags: LookFlags | None = None, json: Json = False) -> None:
    """Run every analysis and write one page. Analyses that do not apply to the model are skipped, with a note."""
    subject = meet(model, flags)
    results: dict[str, Any] = {"merges": subject.merges.as_dict()}
    failed: list[ReslabError] = []
    if not json:
        print(headline(model, subject))
        text.merges(subject.merges)
    for verb in VERBS:
        try:
            found, line = look(subject, verb)
        except ReslabError as error:
            failed.append(error)
            results[verb] = {"left_out": say.words(error)}
            if not json:
                print(f"\n{verb}: skipped: {say.words(error)}")
            continue
        results[verb] = found
        if not json:
            print(f"\n{verb}:")
            getattr(text, verb)(found)
            print(line)
    if len(failed) == len(VERBS):
        raise failed[0]
    page = draw([subject.run])
    if json:
        say.as_json({"model": subject.loaded.describe(), "data": subject.inputs.data, "report": page,
                     **{verb: plain(found) for verb, found in results.items()}})  # fmt: skip
        return
    following(subject, "all", page)
