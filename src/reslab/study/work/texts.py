"""Train a small language model on texts, in a run folder of its own."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError
from reslab.progress import Progress
from reslab.qa.data.texts import TextData, load_text_data
from reslab.slim.families.small_language import RECIPE, language_model
from reslab.study import own

RUN = "run"  # the run folder, in the cell's folder
SHAPE = ("layers", "hidden", "heads", "vocabulary", "length")
KEPT = ("test_loss", "validation_loss", "token_error", "iterations", "parameters", "test_n")
PER_SECOND = 1.4e10  # multiply-adds of one core of the machine of docs/claims.md
BEFORE = 8.0  # seconds: the vocabulary, the windows, the evaluation


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """Train a Llama of `layers`, `hidden`, ... from nothing on `data`, with `changes` of the recipe, from `seed`."""
    same = {"threads": 1, "precision": "fp32", "evaluate_every": 1e6}
    found = language_model(
        folder / RUN, loaded(settings["data"]), **{key: settings[key] for key in SHAPE}, device=device,
        progress=progress, **{**same, **settings.get("changes", {}), "seed": settings["seed"]},
    )  # fmt: skip
    return {key: found[key] for key in KEPT}


def cost(settings: dict[str, Any]) -> float:
    """CPU seconds of the training, on the machine of docs/claims.md."""
    changes = settings.get("changes", {})
    hidden, length = settings["hidden"], settings["length"]
    layer = 16 * hidden**2 + 2 * length * hidden  # attention 4, the gated MLP 12 matrices of this width; the scores
    macs = settings["layers"] * layer + settings["vocabulary"] * hidden
    steps = changes.get("iterations") or RECIPE.epochs * 2e6 / length / RECIPE.batch
    return float(BEFORE + 3 * steps * changes.get("batch", RECIPE.batch) * length * macs / PER_SECOND)


def loaded(data: dict[str, Any]) -> TextData:
    """The texts of a cell, loaded once by each process. Raises ReslabError if they changed since it was planned."""
    found: TextData = _loaded(data["word"], tuple(sorted(data.get("options", {}).items())))
    if data.get("fingerprint", found.fingerprint) != found.fingerprint:
        raise ReslabError(f"the texts of {data['word']} have changed since the grid was planned; plan it again")
    return found


@lru_cache(maxsize=2)
def _loaded(word: str, options: tuple[tuple[str, Any], ...]) -> TextData:
    return own.load(word) if word in own.OWN else load_text_data(word, **dict(options))
