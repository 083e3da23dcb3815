"""What is looked at: a model, its merges, and the inputs that fit it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from reslab.errors import ReslabError, Sentence, UsageError, arg
from reslab.nets.words import Loaded
from reslab.run import environment
from reslab.subject import inputs, models, pictures
from reslab.subject.inputs import Inputs, Wanted

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model with what it is looked at with."""

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
        """Whether there is nothing to look at it with but what --data names."""
        return self.loaded.run is None and self.loaded.example is None

    def first(self, n: int) -> "Subject":
        """The same with the first n samples only."""
        return replace(self, inputs=self.inputs.first(n))


def load(
    word: str, wanted: Wanted, options: dict[str, Any], *, net: str | None = None,
    net_options: dict[str, Any] | None = None, weights: bool | None = None, data: bool = True,
) -> tuple[Loaded, Any]:  # fmt: skip
    """(the model that `word` names, the images that `wanted` names where the model is made for them; else None).

    Without `data` the shapes of a Hugging Face model are enough. Raises UsageError or ReslabError in one sentence.
    """
    inputs.check(wanted)
    images, sizes = None, {}
    if word.startswith("net:") and data and wanted.data is not None:  # made for its data
        images = pictures.chosen(word, None, wanted.data, options)
        sizes = pictures.sizes(images, wanted.data, options)
    loaded = models.load(word, net=net, options={**sizes, **(net_options or {})}, weights=weights, seed=wanted.seed,
                         shape_only=not data)  # fmt: skip
    return loaded, images


def meet(
    loaded: Loaded, wanted: Wanted, options: dict[str, Any], *, images: Any = None, modules: Sequence[str] = (),
    device: Any, precision: Precision = "fp32", data: bool = True,
) -> Subject:  # fmt: skip
    """Put the model on the device, gather its inputs and find its merges; without `data` by an example of any numbers.

    `options` are the data's (root, size, download), `images` the data set where it is loaded already, `modules` those
    whose addition is hidden in a kernel. Raises UsageError or ReslabError before anything is measured.
    """
    import torch

    from reslab.look import find
    from reslab.look.graph.example import rows

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if not loaded.fake:
        loaded.model.to(device, dtype)
        check_weights(loaded)
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


def check_weights(loaded: Loaded) -> None:
    """Raise ReslabError for a weight that is no number."""
    for name, tensor in [*loaded.model.named_parameters(), *loaded.model.named_buffers()]:
        if tensor.is_floating_point() and tensor.isnan().any():
            raise ReslabError(f"{loaded.word}: its weights hold NaN ({name}): nothing can be measured in it")


def check_answers(loaded: Loaded, found: Inputs, precision: str) -> Inputs:
    """Raise where the model's answers are no numbers or not of the data's classes; without classes, without labels."""
    import torch

    from reslab.look.graph.example import as_it_was, call, rows, scores

    example, labels = found.batches[0]
    with torch.no_grad(), as_it_was(loaded.model):
        answer = scores(call(loaded.model, rows(example, 0, 2)))
    if not answer.isfinite().all():
        less = () if precision == "fp32" else (f"; {precision} may be too narrow for it: ", arg("precision", "fp32"))
        raise ReslabError(f"{loaded.word} answers with NaN or infinite numbers: nothing can be measured", *less)
    classes = len(found.data["classes"]) if labels is not None and "classes" in found.data else None
    if classes is None:
        return found
    if answer.dim() != 2:
        warnings.warn(
            f"{loaded.word} gives no scores of classes, but {list(answer.shape[1:])} a sample: measured without labels",
            stacklevel=2,
        )
        return found.unlabelled()
    if answer.shape[1] != classes:
        raise UsageError(f"{loaded.word} scores {answer.shape[1]} classes, {found.data['name']} has {classes}: the "
                         "labels mean nothing to it; ", arg("labels", False), " measures without them")  # fmt: skip
    return found


def hint(loaded: Loaded, example: Any, data: bool) -> str | Sentence:
    """What may help where a model does not take an example."""
    if loaded.fake:
        return Sentence("; its shapes alone do not do: leave out ", arg("weights", False))
    shape = tuple(getattr(example, "shape", ()))[1:]
    if loaded.shape is None or len(shape) != 3 or shape[1:] == loaded.shape[1:]:
        return ""
    how = arg("size", loaded.shape[1]) if data else arg("input", "x".join(map(str, loaded.shape)))
    return Sentence(f"; it is meant for images of {loaded.shape[1]} pixels: ", how)
