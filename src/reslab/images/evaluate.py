"""Classification error of a net: single view, 10-crop, or fully convolutional at several scales (section 3.4)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.images.data import Normalize, Part, view_batches
from reslab.images.label_scores import LabelScore, label_intervals, label_scores
from reslab.nets.modes import evaluating
from reslab.statistics import clustered, wilson
from reslab.train.exchange import joined_rows
from reslab.train.memory import free, is_full
from reslab.train.tune import Choice
from reslab.train.workers import decoding_workers
from reslab.train.world import ALONE, World

BATCH = 250
LABELS_ONLY = ("exact_error", "f1_micro", "f1_macro", "mean_ap", "labels", "intervals")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Errors in percent over n images; error_low and error_high are the top-1 error's 95 % interval (Wilson).

    For several labels an image, the error is the share of wrong labels, of all labels of all images, at a probability
    of 0.5, and the fields from `exact_error` on are set, shares in percent; there is no confusion.
    """

    n: int
    error: float
    error_low: float
    error_high: float
    balanced: float | None  # mean of the classes' errors, of those with images; see LabelScores.balanced
    majority: float  # error of always predicting the most frequent class, or for each label what most images have
    top5: float | None  # None for five classes or fewer
    loss: float
    views: str
    precision: str  # fp32 or bf16, of the convolutions
    confusion: tuple[tuple[int, ...], ...]  # rows: true class, columns: predicted
    exact_error: float | None = None  # share of the images with a wrong label
    f1_micro: float | None = None
    f1_macro: float | None = None
    mean_ap: float | None = None  # mean average precision
    labels: tuple[LabelScore, ...] | None = None
    intervals: dict[str, tuple[float, float]] | None = None  # of the four above, in percent; see `detailed`
    truth: Tensor | None = field(default=None, repr=False, compare=False)  # several labels: as counted; not stored
    scores: Tensor | None = field(default=None, repr=False, compare=False)  # (n, classes), as counted; not stored

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; without confusion for several labels, and without their keys for one class an image."""
        several = self.labels is not None
        left = ("scores", "truth", *(("confusion",) if several else LABELS_ONLY))
        found = asdict(replace(self, scores=None, truth=None))
        return {key: value for key, value in found.items() if key not in left} | ({"several": True} if several else {})

    def detailed(self, names: Sequence[str]) -> "Evaluation":
        """The same with the names of several labels and the intervals of their scores, which take seconds."""
        if self.labels is None or self.scores is None or self.truth is None:
            return self
        named = tuple(replace(one, name=name) for one, name in zip(self.labels, names, strict=True))
        found = label_intervals(self.scores, self.truth)
        ends = {name: (100 * one.low, 100 * one.high) for name, one in found.items()}
        low, high = ends.pop("exact")
        return replace(self, labels=named, intervals={"exact_error": (100 - high, 100 - low), **ends})


@torch.no_grad()
def evaluate(
    net: nn.Module,
    part: Part,
    *,
    normalize: Normalize,
    device: torch.device,
    crops: int = 1,
    mirror: bool = False,
    scales: tuple[int, ...] = (),
    pad: int = 4,
    choice: Choice | None = None,
    workers: int | None = None,
    world: World = ALONE,
) -> Evaluation:
    """Errors of `net` on every image of `part`, in eval mode; each module's mode is restored afterwards.

    With `mirror`, each view is also taken mirrored. With several views (crops=10, or one per scale) the class
    probabilities are averaged over the views, and the loss is that of the average. A fully convolutional net pools
    over the whole map, and its last layer is linear, so pooling first gives the same as averaging the scores over the
    map. `workers` processes decode images that are not in memory; None: chosen by the number of images.

    For several labels an image, scores are logits, and views are averaged as probabilities of each label. If the memory
    is too small for a batch, smaller ones are evaluated.

    `world`: processes that all call this; each evaluates some of the batches, and all get the result of the whole part,
    whose scores are to the bit those of one process.

    Raises UsageError for an empty part or for labels that the net has no class for.
    """
    world.agreed(lambda: check(net, part, crops=crops, scales=scales))
    choice = choice or Choice()
    workers = decoding_workers(len(part)) if workers is None else workers
    own = share_of(part, world)
    with evaluating(net):
        scores = world.agreed(lambda: all_scores(
            net, own, normalize=normalize, device=device, crops=crops, scales=scales, pad=pad, choice=choice,
            workers=workers, mirror=mirror))  # fmt: skip
    if not world.alone:
        scores = joined_rows(scores)
    views = f"{crops}-crop" if crops > 1 else f"scales {', '.join(map(str, scales))}" if scales else "single view"
    views += " and its mirror image" if mirror else ""
    labels = part.labels.cpu()
    return (count_labels if labels.dim() == 2 else count_errors)(scores, labels, views, precision=choice.precision)


def check(net: nn.Module, part: Part, *, crops: int, scales: tuple[int, ...]) -> None:
    """Raise UsageError for views that cannot be taken, and for an empty part."""
    if crops not in (1, 10) or (crops > 1 and scales):
        raise UsageError(f"choose 1 or 10 crops, or scales; got crops {crops} and scales {list(scales)}")
    least = getattr(getattr(net, "spec", None), "least", 1)
    if scales and min(scales) < least:
        raise UsageError(f"this net needs images of {least} pixels or more, got scale {min(scales)}")
    if len(part) == 0:
        raise UsageError("there are no images to evaluate on")


def share_of(part: Part, world: World) -> Part:
    """The images of this process: whole batches, so that each image is computed beside the same others as ever."""
    if world.alone:
        return part
    batches = world.part(-(-len(part) // BATCH))
    return part.subset(torch.arange(batches.start * BATCH, min(batches.stop * BATCH, len(part))))


def all_scores(net: nn.Module, part: Part, *, device: torch.device, **how: Any) -> Tensor:
    """`view_scores` of the whole part. Where a batch needs more memory than there is, a smaller one is tried."""
    batch = BATCH
    if not len(part):  # of several processes, others evaluate all of it
        return torch.empty(0)
    while True:
        try:
            return torch.cat(list(view_scores(net, part, device=device, batch=batch, **how)))
        except (RuntimeError, MemoryError) as error:
            if not is_full(error) or batch == 1:
                raise
        batch = max(1, batch // 5)
        free()


def view_scores(
    net: nn.Module, part: Part, *, normalize: Normalize, device: torch.device, crops: int,
    scales: tuple[int, ...], pad: int, choice: Choice, workers: int, batch: int = BATCH, mirror: bool = False,
) -> Iterator[Tensor]:  # fmt: skip
    """Log probabilities (B, classes) of each batch in order, averaged over views as probabilities.

    For several labels an image: logits.
    """
    several = part.labels.dim() == 2
    shared: dict[str, Any] = {
        "batch": max(1, batch // crops),
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
        every = [torch.cat([log_scores(net, views, choice, device, several=several, mirror=mirror)
                            for views, _, _ in stream]) for stream in streams]  # fmt: skip
        yield average_logits(every) if several else average(every)
        return
    for views, _, _ in streams[0]:
        yield log_scores(net, views, choice, device, several=several, mirror=mirror)


def log_scores(
    net: nn.Module, views: list[Tensor], choice: Choice, device: torch.device, *, several: bool = False,
    mirror: bool = False,
) -> Tensor:  # fmt: skip
    """Log probabilities (B, classes) on the CPU, averaged over the views of one batch; of several labels, logits."""
    out = []
    for view in [*views, *(view.flip(3) for view in views if mirror)]:
        with choice.autocast(device):
            logits = net(view.contiguous(memory_format=choice.layout))
        out.append(logits.float() if several else F.log_softmax(logits.float(), dim=1))
    return (average_logits(out) if several else average(out)).cpu()


def average(logs: list[Tensor]) -> Tensor:
    """The log of the mean probability, from log probabilities."""
    return logs[0] if len(logs) == 1 else torch.logsumexp(torch.stack(logs), dim=0) - math.log(len(logs))


def average_logits(logits: list[Tensor]) -> Tensor:
    """The logit of the mean probability of each label, from logits."""
    if len(logits) == 1:
        return logits[0]
    return average([F.logsigmoid(one) for one in logits]) - average([F.logsigmoid(-one) for one in logits])


def count_labels(scores: Tensor, labels: Tensor, views: str, *, precision: str = "fp32") -> Evaluation:
    """The errors of logits (N, K) against labels (N, K) of 0 and 1. Raises UsageError for another number of labels."""
    n, K = labels.shape
    if scores.shape != labels.shape:
        raise UsageError(f"the data have {K} labels, but the net has {scores.shape[1]} classes")
    found = label_scores(scores, labels)
    wrong = ((scores > 0) != (labels > 0)).double().mean(dim=1)
    around = clustered(wrong.tolist())
    return Evaluation(
        n=n, error=100 * wrong.mean().item(), error_low=100 * around.low, error_high=100 * around.high,
        balanced=percent(found.balanced), majority=100 * found.majority, top5=None,
        loss=F.binary_cross_entropy_with_logits(scores, labels.float()).item(), views=views, precision=precision,
        confusion=(), exact_error=100 * (1 - found.exact), f1_micro=percent(found.f1_micro),
        f1_macro=percent(found.f1_macro), mean_ap=percent(found.mean_ap), labels=found.each, scores=scores,
        truth=labels,
    )  # fmt: skip


def percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


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
