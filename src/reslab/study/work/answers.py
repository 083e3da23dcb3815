"""Train a net that answers questions, in a run folder of its own: a small encoder and a head."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from reslab.errors import ReslabError
from reslab.progress import Progress
from reslab.qa.data.questions import QuestionData
from reslab.qa.folder import Reading, load, prepare, small
from reslab.qa.net.net import QASpec
from reslab.qa.train import train
from reslab.study import own
from reslab.train.recipe import Recipe, read

RUN = "run"
STEP = 0.003  # seconds of a step beside its multiply-adds, on one core of the machine of docs/claims.md
PER_SECOND = 1.5e10  # multiply-adds there
BEFORE = 6.0  # seconds: the vocabulary, the features, the evaluation


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """Train the SDS head, with `shortcut` "identity" or "none", on `encoder`; its `train_last` layers learn, or "all".

    The encoder is reslab's small one, with random weights that are the same for both shortcuts, as only `seed` decides
    them. exact: the share of test questions answered exactly, in percent; f1, over tokens.
    """
    data, rule = loaded(settings["data"])
    torch.random.default_generator.manual_seed(settings["seed"])
    encoder, tokenizer = small(data, vocabulary=settings["vocabulary"], length=settings["length"],
                               **settings["encoder"])  # fmt: skip
    last = None if settings["train_last"] == "all" else settings["train_last"]
    spec = QASpec(name=f"sds-{settings['shortcut']}", encoder=encoder, head="sds", length=settings["length"],
                  train_last=last, shortcut=settings["shortcut"])  # fmt: skip
    reading = Reading(rule=rule, stride=settings.get("stride", 8))
    run = prepare(folder / RUN, spec=spec, tokenizer=tokenizer, data=data, word=settings["data"]["word"],
                  reading=reading, recipe=recipe_of(settings))  # fmt: skip
    found = train(run.folder, data=data, device=device, progress=progress)
    return {key: found[key] for key in ("exact", "f1", "test_n", "parameters", "head_parameters", "train_error")}


def cost(settings: dict[str, Any]) -> float:
    """CPU seconds of the training, on the machine of docs/claims.md; of a user's questions as of 9,000."""
    many = own.load(settings["data"]["word"]).train if settings["data"]["word"] in own.OWN else range(9000)
    length, hidden, layers = settings["length"], settings["encoder"]["hidden"], settings["encoder"]["layers"]
    macs = 5 * 8 * length**2 * hidden  # of the head's five layers
    if settings["train_last"]:
        macs += layers * length * hidden * (12 * hidden + 2 * length)
    recipe = recipe_of(settings)
    return float(BEFORE + recipe.length(len(many)) * (STEP + 3 * recipe.batch * macs / PER_SECOND))


def recipe_of(settings: dict[str, Any]) -> Recipe:
    same = {"threads": 1, "precision": "fp32", "compile": "off", "evaluate_every": 1e6}
    return read(settings["recipe"], **{**same, **settings.get("changes", {}), "seed": settings["seed"]})


def loaded(data: dict[str, Any]) -> tuple[QuestionData, str]:
    """(the questions of a cell, the rule that scores them), loaded once by each process.

    Raises ReslabError if they changed since the cell was planned.
    """
    found, rule = _loaded(data["word"])
    if data.get("fingerprint", found.fingerprint) != found.fingerprint:
        raise ReslabError(f"the questions of {data['word']} have changed since the grid was planned; plan it again")
    return found, rule


@lru_cache(maxsize=2)
def _loaded(word: str) -> tuple[QuestionData, str]:
    if word in own.OWN:
        return own.load(word), "squad1"
    reading, found = load(word, Reading(rule=""))
    return found, reading.rule
