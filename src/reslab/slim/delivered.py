"""The model that the user takes away: the best healed one, in the form in which it loads."""

import copy
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from reslab.nets.checkpoints import read_state
from reslab.qa.settings import seal
from reslab.run import Run
from reslab.slim.cutting.forms import FOLDER
from reslab.slim.cutting.removal import Cut
from reslab.slim.cutting.saving import companions, place_of
from reslab.slim.kept import Kept
from reslab.slim.record import Arm
from reslab.train.checkpoint import LAST, PREVIOUS
from reslab.train.folder import DONE
from reslab.train.life import TEACHER
from reslab.train.start import ABOUT, START

LEFT = (LAST, PREVIOUS, START, ABOUT, TEACHER, ".lock", "report.html", "tensorboard")  # of a training, not of the model


def best_of(folder: Path, arms: Sequence[Arm]) -> tuple[int | None, bool]:
    """(the seed of the healed model that is best on the validation part, whether that part chose it).

    Without a validation part it is the first seed. The test part chooses nothing. None without a healed model.
    """
    found = []
    for arm in arms:
        if arm.what == "healed" and arm.seed is not None:
            run = Run(folder / arm.run)
            found.append((validated(run.read_json(DONE) if run.has(DONE) else {}), arm.seed))
    known = len(found) > 1 and all(loss is not None for loss, _ in found)
    if known:
        return min(found)[1], True
    return min((seed for _, seed in found), default=None), False


def validated(result: Mapping[str, Any]) -> float | None:
    """What a training reached on its validation part, the lower the better; None without one."""
    dev = (result.get("dev") or {}).get("f1")  # of questions
    found = [result.get("validation_loss"), result.get("validation_error"), None if dev is None else -dev]
    return next((float(one) for one in found if one is not None), None)


def deliver(kept: Kept, small: Cut, net: nn.Module, seed: int | None) -> tuple[str, nn.Module]:
    """Write model/, in the place of an earlier one; (the line that loads it, the model).

    A run folder stays one, without what its training needed: it predicts. Any other model is saved as the cut was.
    Without healing, it is the cut one with averaged norms.
    """
    there = kept.folder / "model"
    source = kept.folder / (f"healed-s{seed}" if seed is not None else "norms")
    source = source if source.is_dir() else kept.folder / "cut"
    final = net if seed is None else healed(small.model, source)
    if small.form == "spec" or not (source / "spec.json").is_file():
        kept.replaced("model", lambda folder: copied(source, folder))
        return small.loads.replace(f"{FOLDER}/weights.safetensors", FOLDER).replace(FOLDER, str(there)), final
    if (source / "model" / "config.json").is_file():  # of a language model
        kept.replaced("model", lambda folder: copied_texts(source / "model", small.model, folder))
    else:
        kept.replaced("model", lambda folder: small.save(folder, model=final))
    return small.loads.replace(FOLDER, str(there)), final


def healed(shape: nn.Module, run: Path) -> nn.Module:
    """The model of a finished training, in the modules of the cut one."""
    final = copy.deepcopy(shape)
    final.load_state_dict(read_state(run / "weights.safetensors"))
    return final.eval()


def copied_texts(source: Path, like: nn.Module, folder: Path) -> None:
    """A folder of transformers, in which the model generates as `like` does: the one trained was made of its config."""
    copied(source, folder)
    given: Any = like
    if getattr(given, "generation_config", None) is not None:
        given.generation_config.save_pretrained(folder)
    companions(place_of(given), folder)
    seal(Run(folder.parent), folder.name)


def copied(source: Path, folder: Path) -> None:
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*LEFT), dirs_exist_ok=True)
