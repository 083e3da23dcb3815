"""A spec made to suit its data: classes, channels and size; a net of another library is built and run once."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError, first_line, tell
from reslab.look.graph.example import scores, tensors
from reslab.nets.catalog import Spec, checked
from reslab.nets.head import answer, fits
from reslab.nets.model import ModelSpec, Origin
from reslab.nets.models import build_model

SIZES: dict[Origin, tuple[str, ...]] = {"timm": ("img_size",), "torchvision": ("image_size", "input_size")}


def suited(spec: Spec, *, classes: int, shape: tuple[int, int, int]) -> Spec:
    """The spec for data of these classes and images of this shape (C, H, W).

    A net that is not reslab's own is built, and run on two random images. Raises UsageError if it does not take them or
    does not give (N, classes) scores, in eval and in training mode, before anything is stored.
    """
    channels, height, width = shape
    spec = replace(spec, classes=classes, channels=channels, size=min(height, width))
    if not isinstance(spec, ModelSpec):
        return checked(spec)
    with torch.random.fork_rng(devices=[]):
        example = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
        made = takes_size(replace(spec, depth=0), example)
        net = build_model(made)
        said = head_of(net, made)
        refuse_unfit(net, made, example)
        refuse_untrainable(net, made, example)
    if said:
        tell("%s", said)
    return checked(replace(made, depth=layers_with_weights(net)))


def takes_size(spec: ModelSpec, example: Tensor) -> ModelSpec:
    """The spec, with the image size among its arguments if the net is made for another size and can be told."""
    if spec.origin not in SIZES or fits(build_model(spec), example, spec.classes):
        return spec
    height, width = example.shape[2:]
    for key in SIZES[spec.origin]:
        for value in (height, [height, width]):
            told = replace(spec, arguments={**spec.arguments, key: value})
            try:
                if fits(build_model(told), example, spec.classes):
                    return told
            except ReslabError:  # it has no such argument
                continue
    return spec


def refuse_unfit(net: nn.Module, spec: ModelSpec, example: Tensor) -> None:
    """Raise UsageError unless the net gives (N, classes) scores for the example in eval and in training mode."""
    C, H, W = example.shape[1:]
    images = f"{'RGB' if C == 3 else 'gray' if C == 1 else f'{C}-channel'} images of {H} x {W}"
    for training in (False, True):
        try:
            with torch.no_grad():
                output = net.train()(example) if training else answer(net, example)
        except Exception as error:  # of any net
            when = " in training" if training else ""
            raise UsageError(f"{spec.word} does not take {images}{when}: {first_line(error)}") from error
        refuse_other_output(output, spec, len(example))


def refuse_other_output(output: Any, spec: ModelSpec, n: int) -> None:
    """Raise UsageError unless an output is (n, classes) scores."""
    found = output if isinstance(output, Tensor) else scores(output)
    if tuple(found.shape) == (n, spec.classes):
        return
    what = type(output).__name__ if not isinstance(output, Tensor) else f"{list(found.shape[1:])} per image"
    raise UsageError(f"{spec.word} gives {what}, not one score for each of {spec.classes} classes: it is no net for "
                     "classifying images, or has no head")  # fmt: skip


def refuse_untrainable(net: nn.Module, spec: ModelSpec, example: Tensor) -> None:
    """Raise UsageError unless the scores depend on weights; report which of several outputs they are."""
    if not any(p.requires_grad for p in net.parameters()):
        raise UsageError(f"{spec.word} has no weights to train")
    with torch.enable_grad():
        output = net.train().forward(example)  # without the hook that takes the scores out of it
    found = scores(output)
    if not found.requires_grad:
        raise UsageError(f"{spec.word}: the scores that it returns do not depend on its weights, so they cannot be "
                         "trained; return the scores first, or name them logits")  # fmt: skip
    if not found.isfinite().all():
        raise UsageError(f"{spec.word} returns NaN or infinite scores for random images")
    alike = [one for one in tensors(output) if one.shape == found.shape]
    if len(alike) > 1 and not isinstance(output, Tensor):
        at = next(i for i, one in enumerate(alike) if one is found)
        tell("%s returns %d outputs of %d scores: number %d of them is trained and predicts", spec.word, len(alike),
             spec.classes, at + 1)  # fmt: skip


def head_of(net: nn.Module, spec: ModelSpec) -> str:
    """What is to be reported of the head of a user's net."""
    new = getattr(net, "new_head", "")
    return f"{spec.word}: its head {new} is replaced by a new one of {spec.classes} classes" if new else ""


def layers_with_weights(net: nn.Module) -> int:
    """The number of modules whose own weight is a matrix or a filter."""
    own = (dict(module.named_parameters(recurse=False)).get("weight") for module in net.modules())
    return sum(1 for weight in own if weight is not None and weight.dim() > 1)
