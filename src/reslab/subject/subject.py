"""The subject of a measurement: a model, its merges, and the inputs that fit it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from reslab.errors import ReslabError, Sentence, UsageError, arg
from reslab.nets.words import Loaded
from reslab.run import environment
from reslab.subject import inputs, models, pictures
from reslab.subject.inputs import Inputs, Wanted

VERBS = ("responses", "gradients", "lesions", "influence", "readout", "paths")  # all analyses, in the order of a page

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model with its merges, inputs and settings."""

    loaded: Loaded
    merges: Any
    inputs: Inputs
    settings: dict[str, Any]  # for look.json

    @property
    def model(self) -> Any:
        return self.loaded.model

    @property
    def batches(self) -> list[Any]:
        return self.inputs.batches

    @property
    def needs_data(self) -> bool:
        """Whether the model can only be measured with --data."""
        return self.loaded.run is None and self.loaded.example is None

    def first(self, n: int) -> "Subject":
        """The same subject with the first n samples only."""
        return replace(self, inputs=self.inputs.first(n))


def load(
    word: str, wanted: Wanted, options: dict[str, Any], *, net: str | None = None, key: str | None = None,
    net_options: dict[str, Any] | None = None, weights: bool | None = None, data: bool = True,
) -> tuple[Loaded, Any]:  # fmt: skip
    """(the model that `word` names; the images that `wanted` names if the model is built for them, else None).

    Without `data`, a Hugging Face model is loaded as shapes only. Raises UsageError or ReslabError in one sentence.
    """
    inputs.check(wanted)
    images, sizes = None, {}
    if word.startswith("net:") and data and wanted.data is not None:  # built for its data
        images = pictures.load_images(word, None, wanted.data, options)
        sizes = pictures.sizes(images, wanted.data, options)
    loaded = models.load(word, net=net, key=key, options={**sizes, **(net_options or {})}, weights=weights,
                         seed=wanted.seed, shape_only=not data)  # fmt: skip
    return loaded, images


def prepare(
    loaded: Loaded, wanted: Wanted, options: dict[str, Any], *, images: Any = None, modules: Sequence[str] = (),
    device: Any, precision: Precision = "fp32", data: bool = True,
) -> Subject:  # fmt: skip
    """Put the model on the device, gather its inputs and find its merges; without `data`, with a random example.

    `options` belong to the data (root, size, download), `images` is the data set if already loaded, and `modules` are
    those whose addition is hidden in a kernel. Raises UsageError or ReslabError before anything is measured.
    """
    import torch

    from reslab.look import find
    from reslab.look.graph.example import rows
    from reslab.nets.weights import refuse_nan

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if not loaded.fake:
        loaded.model.to(device, dtype)
        refuse_nan(loaded.model, loaded.word, infinite=False)  # fp16 makes some infinite: see `check_answers`
    found = (inputs.gather(loaded, wanted, options, device, dtype, images) if data
             else inputs.example(loaded, wanted, device, dtype))  # fmt: skip
    first = rows(found.batches[0][0], 0, 2)
    try:
        merges = find(loaded.model, first, modules=modules)
    except UsageError as error:
        raise UsageError(error, hint(loaded, first, data)) from error
    if data:
        found = check_answers(loaded, found, precision)
    settings = {"precision": precision, "merge": list(modules), "batch": wanted.batch, "seed": wanted.seed,
                "samples": wanted.samples, "labels": found.batches[0][1] is not None}  # fmt: skip
    return Subject(loaded=loaded, merges=merges, inputs=found,
                   settings={**settings, "environment": environment(str(device), torch.get_num_threads())})  # fmt: skip


def check_answers(loaded: Loaded, found: Inputs, precision: str) -> Inputs:
    """Raise if the outputs are not finite or do not match the data's classes; drop labels if there are no classes."""
    import torch

    from reslab.look.graph.example import rows, scores
    from reslab.look.graph.passes import as_it_was, call

    example, labels = found.batches[0]
    with torch.no_grad(), as_it_was(loaded.model):
        answer = scores(call(loaded.model, rows(example, 0, 2)))
    if not answer.isfinite().all():
        less = (
            ()
            if precision == "fp32"
            else (f"; the range of {precision} may be too small for it: use ", arg("precision", "fp32"))
        )
        raise ReslabError(f"{loaded.word} returns NaN or infinite values, so nothing can be measured", *less)
    if labels is not None and loaded.labels is not None:
        check_own_labels(loaded.word, answer, found)
    classes = len(found.data["classes"]) if labels is not None and "classes" in found.data else None
    if classes is None:
        return found
    if answer.dim() != 2:
        warnings.warn(
            f"{loaded.word} returns {list(answer.shape[1:])} per sample, not class scores: measured without labels",
            stacklevel=2,
        )
        return found.unlabelled()
    if answer.shape[1] != classes:
        raise UsageError(f"{loaded.word} has {answer.shape[1]} classes, but {found.data['name']} has {classes}, so the "
                         "labels cannot be used; ", arg("labels", False), " measures without them")  # fmt: skip
    return found


def check_own_labels(word: str, answer: Any, found: Inputs) -> None:
    """Raise UsageError if the labels of a user's function do not fit its model's outputs (2, ..., classes)."""
    import torch

    from reslab.look.measure import IGNORED

    labels = torch.cat([given for _, given in found.batches])
    if answer.shape[1:-1] != labels.shape[1:]:
        raise UsageError(f"{word}: its model returns {list(answer.shape[1:])} per sample, so its labels must have "
                         f"shape {[len(labels), *answer.shape[1:-1]]}, got {list(labels.shape)}")  # fmt: skip
    asked, classes = labels[labels != IGNORED], answer.shape[-1]
    if asked.numel() and not 0 <= int(asked.min()) <= int(asked.max()) < classes:
        raise UsageError(f"{word}: its labels range from {int(asked.min())} to {int(asked.max())}, but the model has "
                         f"{classes} classes, 0 to {classes - 1}")  # fmt: skip


def hint(loaded: Loaded, example: Any, data: bool) -> str | Sentence:
    """What may help if a model does not accept an example."""
    if loaded.fake:
        return Sentence("; it cannot run with shapes alone: remove ", arg("weights", False))
    shape = tuple(getattr(example, "shape", ()))[1:]
    if loaded.shape is None or len(shape) != 3 or shape[1:] == loaded.shape[1:]:
        return ""
    how = arg("size", loaded.shape[1]) if data else arg("input", "x".join(map(str, loaded.shape)))
    return Sentence(f"; it is made for images of {loaded.shape[1]} pixels: use ", how)
