"""A net that was not trained here as a finished run folder: the intact model, the cut one, the one with new norms."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from reslab.images.data.words import WORDS
from reslab.images.train import storable
from reslab.nets import Spec, count, to_dict
from reslab.run import Run, absolute, environment
from reslab.slim.earlier import KEY, Before
from reslab.slim.families.image_subject import ImageSubject
from reslab.slim.record import Score
from reslab.stored.digest import digest_of
from reslab.stored.files import parse_toml
from reslab.stored.read import COMMENT
from reslab.train.checkpoint import write_weights
from reslab.train.folder import DONE
from reslab.train.recipe import Recipe, write

KEPT = ("iterations", "batch", "epochs", "seed", "seconds", "examples_per_second", "choice")  # of the run's result


def write_folder(
    folder: Path, net: nn.Module, spec: Spec, *, subject: ImageSubject, recipe: Recipe, score: Score, what: str,
    known: Before,
) -> Run:  # fmt: skip
    """Write the run folder of `net`, which `spec` builds; it is a run once its last file, results/train.json, is there.

    `reslab.load`, `predict`, `look`, `eval` and `train --weights` take it as any run. `recipe`: that by which the
    intact model was trained, if it was a run, else that of healing. `what` it is, in words, in place of the command.
    `known`: of the trainings that made the weights.
    """
    run = Run(folder)
    run.make()
    whole = write(recipe)
    mark = COMMENT + digest_of(parse_toml(whole.encode(), "recipe.toml"))
    run.write_text("recipe.toml", f"# {what}\n{whole}{mark}\n")
    about = {"word": absolute(subject.word, WORDS), "options": storable(dict(subject.options)),
             **subject.data.describe()}  # fmt: skip
    run.write_json("data.json", about)
    run.write_json("normalize.json", subject.normalize.to("cpu").as_dict())
    run.write_json("env.json", environment("cpu", torch.get_num_threads()))
    run.write_json("spec.json", to_dict(spec))
    write_weights(run, net, to_dict(spec))
    run.write_json(DONE, {**result(spec, subject, score, what), KEY: known.as_dict()})
    return run


def result(spec: Spec, subject: ImageSubject, score: Score, what: str) -> dict[str, Any]:
    """results/train.json: the length of the first training, if it is known, and the error of this net."""
    counts, run = count(spec), subject.run
    first = run.read_json(DONE) if run is not None and run.has(DONE) else {}
    known = {key: first[key] for key in KEPT if key in first}
    several = {"several": True} if subject.data.several else {}
    return {
        "net": spec.name, "depth": spec.depth, "parameters": counts.parameters, "macs": counts.macs,
        "data": subject.data.name, "train_error": None, "train_error_eval": None, "test_error": score.value,
        "test_top5": score.more.get("top5"), "test_loss": score.more.get("loss"), "test_n": score.n,
        "test_balanced": score.more.get("balanced"), "test_majority": score.more.get("majority"),
        "validation_error": None, "skipped": [], "command": what, **several, **known,
    }  # fmt: skip
