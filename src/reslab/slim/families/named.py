"""A MODEL word and its data -> the family of models that it belongs to: images, questions or texts."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reslab.errors import UsageError, arg
from reslab.nets.hub import hub_name
from reslab.nets.published import published
from reslab.run import Run
from reslab.slim.family import Family
from reslab.slim.healing.distilled import Distillation


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a caller asks for beside the model; None: chosen by the family."""

    data: Any = None  # a word, as for `reslab train`, or images.ImageData; None: the run's own
    options: Mapping[str, Any] = field(default_factory=dict)  # of the data
    net: str | None = None  # of a checkpoint file
    key: str | None = None
    net_options: Mapping[str, Any] = field(default_factory=dict)
    weights: bool | None = None
    normalize: str | None = None  # of a model of images that is no run
    mean_std: tuple[float, ...] | None = None
    column: str | None = None  # of texts
    length: int | None = None
    samples: int | None = None  # that the plan is measured on
    seed: int = 0
    device: str = "auto"
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the recipe of healing
    trained_epochs: float | None = None
    how: Mapping[str, float] = field(default_factory=dict)  # fields of Distillation, for healing


def family(word: str, wanted: Wanted | None = None) -> Family:
    """The model that `word` names, with its data, as a family of slimming.

    Raises UsageError for a model or data that cannot be slimmed together, before anything is measured.
    """
    wanted = wanted or Wanted()
    if wanted.samples is not None and wanted.samples < 1:
        raise UsageError(f"samples must be positive, got {wanted.samples}")
    kind = kind_of(word)
    if kind == "table":
        raise UsageError(f"{word} is a run of a table, and its blocks cannot be removed yet")
    if kind == "questions":
        return questions(word, wanted)
    if kind == "texts":
        return texts(word, wanted)
    from reslab.slim.families.image_subject import subject
    from reslab.slim.families.images import Images

    found = subject(word, data=wanted.data, options=wanted.options, net=wanted.net, key=wanted.key,
                    net_options=wanted.net_options, weights=wanted.weights, normalize=wanted.normalize,
                    mean_std=wanted.mean_std, seed=wanted.seed)  # fmt: skip
    return Images(found, device=wanted.device, seed=wanted.seed, changes=wanted.changes,
                  trained_epochs=wanted.trained_epochs, **chosen(wanted, Distillation()))  # fmt: skip


def chosen(wanted: Wanted, default: Distillation) -> dict[str, Any]:
    """What the caller chooses; `default`: how the family learns otherwise. Raises UsageError for invalid values."""
    how = replace(default, **wanted.how)
    how.check()
    return {"how": how, **({} if wanted.samples is None else {"samples": wanted.samples})}


def kind_of(word: str) -> str:
    """questions, texts, table or images, by the run folder or the model's config, without its weights."""
    path = published(word) or Path(os.path.expanduser(word))
    run = Run(path)
    if run.has("spec.json"):
        known = {"qa": "questions", "language": "texts", "table": "table"}
        return known.get(str(run.read_json("spec.json").get("family")), "images")
    if word.startswith("hf:") or run.has("config.json"):
        from reslab.nets.foreign import kind_of as kind_of_config

        name = hub_name(word.removeprefix("hf:")) if word.startswith("hf:") else str(path)
        return "images" if kind_of_config(name) == "images" else "texts"
    return "images"


def questions(word: str, wanted: Wanted) -> Family:
    from reslab.slim.families.questions import HOW, Questions

    if wanted.data is not None:
        raise UsageError(
            f"{word} is a run for questions and has its own data: leave out ", arg("data", str(wanted.data))
        )
    return Questions(Path(os.path.expanduser(word)), device=wanted.device, seed=wanted.seed, changes=wanted.changes,
                     trained_epochs=wanted.trained_epochs, **chosen(wanted, HOW))  # fmt: skip


def texts(word: str, wanted: Wanted) -> Family:
    from reslab.slim.families.texts import HOW, Texts

    return Texts(word, wanted.data, column=wanted.column, length=wanted.length, device=wanted.device, seed=wanted.seed,
                 changes=wanted.changes, trained_epochs=wanted.trained_epochs, **chosen(wanted, HOW))  # fmt: skip
