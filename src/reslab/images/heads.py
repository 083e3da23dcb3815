"""The head of weights that a training starts from: kept, reordered by the names of the classes, or new."""

import torch

from reslab.errors import BrokenImage
from reslab.images.data import ImageData, Normalize, measure
from reslab.images.evaluate import Evaluation, evaluate
from reslab.nets import Spec, build
from reslab.nets.adopting import Adopted

TRIED = 200  # training images on which a head without class names is tried
# Share of the most frequent class's error that it must stay below. Other classes may be alike by accident: of ten
# Tiny-ImageNet classes, CIFAR-10's head gets two in ten images right, as both lists end with large vehicles.
BETTER = 0.75
REPORTED = {
    "kept": "kept, for the same classes",
    "reordered": "kept, with its classes in the order of the data's",
    "new": "new, as the classes are others",
}


def with_head(
    found: Adopted, net: Spec, data: ImageData, *, classes: tuple[str, ...] | None, normalize: Normalize | None
) -> tuple[Adopted, str, str]:
    """(the tensors with the head that suits the data's classes; "kept", "reordered" or "new"; the same in words).

    Classes are matched by name. A head of as many classes without names is tried on training images, normalized as the
    weights expect: it is kept if it errs clearly less than always predicting the most frequent class.
    """
    if found.new or not found.head:
        return found, "new", REPORTED["new"]
    if classes is None:
        return tried(found, net, data, normalize)
    if set(classes) != set(data.classes) or len(classes) != len(data.classes):
        return found.without_head(), "new", REPORTED["new"]
    if classes == tuple(data.classes):
        return found, "kept", REPORTED["kept"]
    order = [classes.index(name) for name in data.classes]
    return found.permuted(order), "reordered", REPORTED["reordered"]


def tried(found: Adopted, net: Spec, data: ImageData, normalize: Normalize | None) -> tuple[Adopted, str, str]:
    """What becomes of a head whose classes have no names."""
    unnamed = "its classes have no names"
    if data.several:
        return found.without_head(), "new", f"new, as {unnamed}, and the data have several labels per image"
    try:
        result = on_training_images(found, net, data, normalize)
    except BrokenImage:  # the training skips them
        return found.without_head(), "new", f"new, as {unnamed}, and not all training images can be read to try it"
    error = f"it errs on {result.error:.1f} % of {result.n} training images"
    if result.error_high < BETTER * result.majority:
        return found, "kept", f"kept: {unnamed}, but {error}"
    chance = f"always predicting the most frequent class on {result.majority:.1f} %"
    return found.without_head(), "new", f"new: {unnamed}, and {error} ({chance})"


def on_training_images(found: Adopted, net: Spec, data: ImageData, normalize: Normalize | None) -> Evaluation:
    """How the weights classify some training images, evenly spaced."""
    n = min(len(data.train), TRIED)
    part = data.train.subset(torch.arange(n) * len(data.train) // n)
    with torch.random.fork_rng(devices=[]):
        model = build(net)
    model.load_state_dict(found.tensors, strict=False)
    how = normalize or measure(part, mean="channel", std=True)
    return evaluate(model, part, normalize=how, device=torch.device("cpu"))
