"""Classification error of a net: single view, 10-crop, or fully convolutional at several scales (section 3.4)."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.images.data import ImageData, Normalize, Part, view_batches
from reslab.statistics import wilson
from reslab.train.tune import Choice
from reslab.train.workers import decoding_workers

BATCH = 250


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Errors in percent over n images; error_low and error_high are the top-1 error's 95 % interval (Wilson)."""

    n: int
    error: float
    error_low: float
    error_high: float
    balanced: float  # mean of the classes' errors, of those with images
    majority: float  # error of always predicting the most frequent class
    top5: float | None  # None for five classes or fewer
    loss: float
    views: str
    precision: str  # fp32 or bf16, of the convolutions
    confusion: tuple[tuple[int, ...], ...]  # rows: true class, columns: predicted
    scores: Tensor | None = field(default=None, repr=False, compare=False)  # (n, classes), as counted; not stored

    def as_dict(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(replace(self, scores=None)).items() if key != "scores"}


@torch.no_grad()
def evaluate(
    net: nn.Module,
    part: Part,
    *,
    normalize: Normalize,
    device: torch.device,
    crops: int = 1,
    scales: tuple[int, ...] = (),
    pad: int = 4,
    choice: Choice | None = None,
    workers: int | None = None,
) -> Evaluation:
    """Errors of `net` on every image of `part`, in eval mode; each module's mode is restored afterwards.

    With several views (crops=10, or one per scale) the class probabilities are averaged over the views, and the
    loss is that of the average. A fully convolutional net pools over the whole map, and its last layer is linear,
    so pooling first gives the same as averaging the scores over the map. `workers` processes decode images that
    are not in memory; None: chosen by the number of images.

    Raises UsageError for an empty part or for labels that the net has no class for.
    """
    if crops not in (1, 10) or (crops > 1 and scales):
        raise UsageError(f"choose 1 or 10 crops, or scales; got crops {crops} and scales {list(scales)}")
    least = getattr(getattr(net, "spec", None), "least", 1)
    if scales and min(scales) < least:
        raise UsageError(f"this net needs images of {least} pixels or more, got scale {min(scales)}")
    if len(part) == 0:
        raise UsageError("there are no images to evaluate on")
    choice = choice or Choice()
    workers = decoding_workers(len(part)) if workers is None else workers
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        scores = torch.cat(list(view_scores(net, part, normalize=normalize, device=device, crops=crops, scales=scales,
                                            pad=pad, choice=choice, workers=workers)))  # fmt: skip
    finally:
        for module, training in modes:
            module.training = training
    views = f"{crops}-crop" if crops > 1 else f"scales {', '.join(map(str, scales))}" if scales else "single view"
    return count_errors(scores, part.labels.cpu(), views, precision=choice.precision)


def view_scores(
    net: nn.Module, part: Part, *, normalize: Normalize, device: torch.device, crops: int,
    scales: tuple[int, ...], pad: int, choice: Choice, workers: int,
) -> Iterator[Tensor]:  # fmt: skip
    """Log probabilities (B, classes) of each batch in order, averaged over views as probabilities."""
    shared: dict[str, Any] = {
        "batch": max(1, BATCH // crops),
        "normalize": normalize,
        "device": device,
        "workers": workers,
        "pad": pad,
    }
    streams = [view_batches(part, scale=scale, **shared) for scale in scales] or [
        view_batches(part, crops=crops, **shared)
    ]
    if len(streams) > 1:
        # Batch shapes differ between scales: gather scale by scale, then average.
        every = [torch.cat([log_scores(net, views, choice, device) for views, _, _ in stream]) for stream in streams]
        yield average(every)
        return
    for views, _, _ in streams[0]:
        yield log_scores(net, views, choice, device)


def log_scores(net: nn.Module, views: list[Tensor], choice: Choice, device: torch.device) -> Tensor:
    """Log probabilities (B, classes) on the CPU, averaged over the views of one batch."""
    out = []
    for view in views:
        with choice.autocast(device):
            logits = net(view.contiguous(memory_format=choice.layout))
        out.append(F.log_softmax(logits.float(), dim=1))
    return average(out).cpu()


def average(logs: list[Tensor]) -> Tensor:
    """The log of the mean probability, from log probabilities."""
    return logs[0] if len(logs) == 1 else torch.logsumexp(torch.stack(logs), dim=0) - math.log(len(logs))


def count_errors(scores: Tensor, labels: Tensor, views: str, *, precision: str = "fp32") -> Evaluation:
    """The errors of log probabilities (N, classes) against labels (N,). Raises UsageError for an unknown class."""
    n, classes = scores.shape
    if int(labels.max()) >= classes:
        raise UsageError(f"the data have a class {int(labels.max())}, but the net has only {classes} classes")
    predicted = scores.argmax(dim=1)
    wrong = int((predicted != labels).sum())
    around = wilson(wrong, n)
    top5 = None
    if classes > 5:
        hit = (scores.topk(5, dim=1).indices == labels[:, None]).any(dim=1)
        top5 = 100 * (1 - hit.sum().item() / n)
    confusion = torch.bincount(labels * classes + predicted, minlength=classes * classes).view(classes, classes)
    of, right = confusion.sum(dim=1), confusion.diagonal()
    balanced = 1 - (right[of > 0] / of[of > 0]).double().mean().item()
    return Evaluation(
        balanced=100 * balanced, majority=100 * (1 - of.max().item() / n),
        n=n, error=100 * wrong / n, error_low=100 * around.low, error_high=100 * around.high, top5=top5,
        loss=F.nll_loss(scores, labels).item(), views=views, precision=precision,
        confusion=tuple(tuple(row) for row in confusion.tolist()), scores=scores,
    )  # fmt: skip


def fitted(spec: Any, images: ImageData, trained: list[str] | None) -> ImageData:
    """The images with the classes that the net learned, matched by name where all names are known.

    `trained`: the names of the net's classes, None if they are unknown. Where no name is known, or each shared name
    has the same number, classes are matched by order, with a warning. Raises UsageError for images that the net cannot
    take, and where a shared name would count as another class.
    """
    channels, classes = images.shape[0], list(images.classes)
    if channels != spec.channels:
        raise UsageError(f"{spec.name} was trained on images with {spec.channels} channels, but {images.name} "
                         f"has {channels}")  # fmt: skip
    if trained and classes != trained and set(classes) <= set(trained) and len(trained) == spec.classes:
        return images.relabeled(tuple(trained))
    if len(classes) != spec.classes:
        raise UsageError(f"{spec.name} has {spec.classes} classes, but {images.name} has {len(classes)}")
    unlike = [(a, b) for a, b in zip(trained or classes, classes, strict=False) if a != b]
    if moved := [b for _, b in unlike if b in (trained or ())]:
        lacking = next(name for name in classes if name not in (trained or ()))
        raise UsageError(f"the classes of {images.name} are not those of {spec.name}: {lacking!r} is none of them, so "
                         f"{moved[0]!r} cannot be matched by order; rename or remove {lacking!r}")  # fmt: skip
    if unlike:
        warnings.warn(f"class names differ, so classes are matched by order: {unlike[0][1]!r} in "
                      f"{images.name} counts as {unlike[0][0]!r}", stacklevel=2)  # fmt: skip
    return images
