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
STEP = 0.01  # seconds of a step on windows of 24 tokens, on one core of the machine of docs/claims.md
BEFORE = 6.0  # seconds: the vocabulary, the features, the evaluation


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """Train the `head` (with `shortcut` "identity" or "none") on `encoder`, of which the `train_last` layers learn.

    The encoder is reslab's small one, with random weights that are the same for both shortcuts, as only `seed` decides
    them. exact: the share of test questions answered exactly, in percent; f1, over tokens.
    """
    data, rule = loaded(settings["data"])
    torch.random.default_generator.manual_seed(settings["seed"])
    encoder, tokenizer = small(data, vocabulary=settings["vocabulary"], length=settings["length"],
                               **settings["encoder"])  # fmt: skip
    spec = QASpec(name=f"sds-{settings['shortcut']}", encoder=encoder, head="sds", length=settings["length"],
                  train_last=settings.get("train_last"), shortcut=settings["shortcut"])  # fmt: skip
    reading = Reading(rule=rule, stride=settings.get("stride", 8))
    run = prepare(folder / RUN, spec=spec, tokenizer=tokenizer, data=data, word=settings["data"]["word"],
                  reading=reading, recipe=recipe_of(settings))  # fmt: skip
    found = train(run.folder, data=data, device=device, progress=progress)
    return {key: found[key] for key in ("exact", "f1", "test_n", "parameters", "head_parameters", "train_error")}


def cost(settings: dict[str, Any]) -> float:
    """CPU seconds of the training, on the machine of docs/claims.md; a step of long windows costs their square."""
    many = own.load(settings["data"]["word"]).train if settings["data"]["word"] in own.OWN else range(9000)
    longer = max(1.0, (settings["length"] / 24) ** 2 / 8)
    return BEFORE + STEP * longer * recipe_of(settings).length(len(many))


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
