"""Run one measurement on one or more models, print its main numbers, store it and draw the page."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from shlex import quote
from typing import Any

from reslab.cli import say
from reslab.cli.look import text
from reslab.cli.look.flags import _LookFlags, _ModelFlags, again
from reslab.cli.look.kept import draw, folder, keep
from reslab.cli.look.slimming import slimming
from reslab.cli.options import data_options, given
from reslab.errors import UsageError
from reslab.progress import shown
from reslab.run import Run, finite
from reslab.subject import subject as subjects
from reslab.subject.inputs import Wanted, check
from reslab.subject.subject import VERBS, Subject

UNITS = {  # the unit of progress of each
    "responses": "batches", "gradients": "batches", "lesions": "samples", "influence": "batches",
    "readout": "samples", "paths": "passes",
}  # fmt: skip
NEED_MERGES = ("influence", "readout", "paths")
DRAWN, PATH_SAMPLES = 2, {"images": 64, "texts": 16}  # default: each sampled path takes a backward pass


@dataclass(frozen=True, kw_only=True)
class Looked(Subject):
    """The model and inputs to measure, and where the results go."""

    run: Run
    again: str  # command-line words for the model and inputs, for the next command
    slim: str = ""  # the command that removes the blocks which matter least; "" if there are none

    def first(self, n: int) -> "Looked":
        return replace(self, inputs=self.inputs.first(n))


def meet(
    word: str, flags: _LookFlags | None, *, data: bool = True, several: bool = False, shapes: bool = True
) -> Looked:
    """The model and inputs that `word` and the flags name; without `data`, a random example is enough.

    If it is, a Hugging Face model without weights is loaded as shapes only, unless `shapes` is False.
    Raises UsageError or ReslabError before anything is measured.
    """
    import torch

    from reslab.train.folder import pick_device

    flags = flags or _LookFlags()
    asked, wanted = flags.model or _ModelFlags(), Wanted(**asdict(flags.given) if flags.given else {})
    check(wanted)
    place = pick_device(asked.device)
    if asked.threads < 0:
        raise UsageError(f"threads must be zero or more, got {asked.threads}")
    if asked.threads:
        torch.set_num_threads(asked.threads)
    options = data_options(flags.data)
    loaded, images = subjects.load(word, wanted, options, net=asked.net, key=asked.key, net_options=given(flags.net),
                                  weights=asked.weights, data=data or not shapes)  # fmt: skip
    run = folder(loaded, asked.out, several)
    found = subjects.prepare(loaded, wanted, options, images=images, modules=asked.merge or (), device=place,
                         precision=asked.precision, data=data)  # fmt: skip
    return Looked(**vars(found), run=run, again=again(word, flags), slim=slimming(word, flags, found) if data else "")


def look(subject: Looked, verb: str, **options: Any) -> tuple[Any, str]:
    """Run one measurement and store it; returns the result and a line that names its file."""
    from reslab import look as measures

    if verb in NEED_MERGES and not any(merge.reachable for merge in subject.merges):
        raise UsageError(nothing_to_edit(subject))
    options = {key: value for key, value in options.items() if value is not None}
    if verb == "lesions":
        options["seed"] = subject.settings["seed"]
    if verb == "paths":
        options = {"sample": DRAWN, "seed": subject.settings["seed"], **options}
        few = PATH_SAMPLES["texts" if "length" in subject.inputs.data else "images"]
        subject = subject if subject.settings["samples"] else subject.first(few)
    if verb == "gradients":
        options.setdefault("training", subject.loaded.initial)
    began = time.perf_counter()
    with shown(verb, unit=UNITS[verb]) as progress:
        found = getattr(measures, verb)(
            subject.model, subject.batches, merges=subject.merges, progress=progress, **options
        )
    return found, keep(subject, verb, found, seconds=time.perf_counter() - began, **options)


def certified(subject: Looked) -> Any:
    """The certificate of the model's residual connections, on the first batch. Raises UsageError if it has none."""
    from reslab.look import certify

    if not any(merge.reachable for merge in subject.merges):
        raise UsageError(nothing_to_edit(subject))
    return certify(subject.model, subject.batches[0][0], merges=subject.merges)


def nothing_to_edit(subject: Looked) -> str:
    why = subject.merges.notes[0] if subject.merges.notes else "none of its blocks can be disabled"
    return f"{why}; responses, gradients and lesions can still be measured"


def show(subject: Looked, verb: str, json: bool, **options: Any) -> None:
    """Run one measurement, print its main numbers and draw the page."""
    found, line = look(subject, verb, **options)
    if not json:
        print(headline(subject.loaded.word, subject, found))
        getattr(text, verb)(found)
        print(line)
    page = draw([subject.run])
    if json:
        facts = {"model": subject.loaded.describe(), "data": subject.inputs.data, "report": page}
        say.as_json({**facts, verb: plain(found)})
    else:
        following(subject, verb, page)


def side_by_side(words: Sequence[str], flags: Any, verb: str, json: bool, **options: Any) -> None:
    """Run one measurement on each model, store each result in its model's folder, and draw one page."""
    several, out = len(words) > 1, flags.model.out if flags and flags.model else None
    twice = next((word for i, word in enumerate(words) if word in words[:i]), None)
    if twice:
        raise UsageError(f"{twice} is given twice; there is nothing to compare")
    looked, results = [meet(word, flags, several=several) for word in words], []
    for word, subject in zip(words, looked, strict=True):
        found, line = look(subject, verb, **options)
        results.append(found)
        if not json:
            print(headline(word, subject, found))
            getattr(text, verb)(found)
            print(line)
    page = draw([subject.run for subject in looked], out / "look.html" if several and out else None)
    if not json:
        following(looked[0], verb, page)
        return
    models = [
        {"model": subject.loaded.describe(), "data": subject.inputs.data, verb: plain(found)}
        for subject, found in zip(looked, results, strict=True)
    ]
    say.as_json({"report": page, "models": models} if several else {"report": page, **models[0]})


def headline(word: str, subject: Looked, found: Any = None) -> str:
    """The model and its inputs: "runs/r (100 of 360 test images of digits; normalization: the run's)"."""
    n, data = subject.inputs.n, subject.inputs.data
    if "part" not in data:
        return f"{word} ({n:,} sample{'s' * (n != 1)} of {data['name']})"
    from reslab.images.data.parts import described

    n = min(n, getattr(found, "n", n))  # paths measures the first few
    return f"{word} ({described(data['part'], n, data['of'], data['name'])}; normalization: {data['normalize']})"


def following(subject: Looked, verb: str, page: str | None) -> None:
    """Print where the page is, and the next command."""
    order = ["merges", "certify", *VERBS]
    after = order[order.index(verb) + 1] if verb in order and verb != order[-1] else "all"
    if page:
        print(f"report: {page}")
    if verb != "all":
        lacking = " --data DATA" if not subject.inputs.data and subject.needs_data else ""
        print(f"next:   reslab look {after} {subject.again}{lacking}")
    elif subject.loaded.run:
        print(f"next:   reslab report {quote(str(subject.loaded.run.folder))}")
    else:
        print(f"next:   reslab look lesions {subject.again} --repeats 50")
    if verb == "lesions" and subject.slim:
        print(f"slim:   {subject.slim}")


def plain(found: Any) -> Any:
    """A result as JSON values."""
    return finite(asdict(found)) if is_dataclass(found) and not isinstance(found, type) else found
