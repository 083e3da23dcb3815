"""Metrics of a changed model: one number per labelled item, which is a sample or a token."""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import ReslabError, UsageError, nearest
from reslab.look.graph.example import Example

# The input and its labels: (N,) classes, or (N, L) token ids with IGNORED for tokens without a label; None: no labels.
Batch = tuple[Example, Tensor | None]
# metric(scores, labels, whole): (M,) values of the M labelled items, or one number; `whole`: the intact model's scores.
Metric = Callable[[Tensor, Tensor | None, Tensor], Tensor]
IGNORED = -100


def error(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
    """1 if the label does not have the highest score, else 0."""
    scores, asked = items(scores, labels)
    return (scores.argmax(dim=-1) != asked).float()


def loss(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
    """Cross-entropy in nats."""
    scores, asked = items(scores, labels)
    return F.cross_entropy(scores.float(), asked, reduction="none")


def kl(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
    """KL(intact || changed) in nats: how far the predicted probabilities moved."""
    p, q = (F.log_softmax(score_rows(s, labels).float(), dim=-1) for s in (whole, scores))
    return (p.exp() * (p - q)).where(p != -torch.inf, 0).sum(dim=-1)  # a class that is masked adds nothing


def drift(scores: Tensor, labels: Tensor | None, whole: Tensor) -> Tensor:
    """|changed - intact| / |intact|: how far the output moved; for models without a classifier."""
    p, q = (score_rows(s, labels).float() for s in (whole, scores))
    moved = (q - p).where(p != q, 0)  # a class that is masked, minus infinity, stays so
    length = torch.linalg.vector_norm(p.where(p.isfinite(), 0), dim=-1)
    return torch.linalg.vector_norm(moved, dim=-1) / length.clamp_min(torch.finfo(torch.float32).tiny)


METRICS: dict[str, Metric] = {"error": error, "loss": loss, "kl": kl, "drift": drift}
NEED_LABELS = ("error", "loss")


def chosen(metrics: Sequence[str | Metric] | None, labels: Tensor | None) -> dict[str, Metric]:
    """Metrics by name; by default error, loss and KL if there are labels, else drift.

    Raises UsageError for an unknown name, or for a metric that needs labels if there are none.
    """
    if metrics is None:
        metrics = ("error", "loss", "kl") if labels is not None else ("drift",)
    found: dict[str, Metric] = {}
    for metric in metrics:
        if callable(metric):
            if metric not in found.values():
                found[own_name(metric, [*found, *metrics])] = metric
        elif metric not in METRICS:
            raise UsageError(f"there is no metric {metric!r}{nearest(metric, METRICS)}; a function is also accepted")
        elif metric in NEED_LABELS and labels is None:
            raise UsageError(f"{metric} needs labels, but the data have none; kl and drift need no labels")
        else:
            found[metric] = METRICS[metric]
    return found


def own_name(metric: Metric, taken: Sequence[Any]) -> str:
    """The name of a user's function in the results: no two have the same, not even two lambdas."""
    name = getattr(metric, "__name__", "") or type(metric).__name__
    if isinstance(metric, functools.partial):
        given = [*map(repr, metric.args), *(f"{key}={value!r}" for key, value in metric.keywords.items())]
        name = f"{getattr(metric.func, '__name__', 'metric')}({', '.join(given)})"
    numbered = (f"{name} {i}" for i in itertools.count(2))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def mask_of(example: Example) -> Tensor | None:
    """The mask of real tokens (N, L), if the example has one; None beside a decoder's tokens, where it is ambiguous."""
    if not isinstance(example, Mapping) or any(str(key).startswith("decoder_") for key in example):
        return None
    for name, real in (("attention_mask", True), ("src_key_padding_mask", False), ("key_padding_mask", False)):
        mask = example.get(name)
        if isinstance(mask, Tensor) and mask.dim() == 2 and not mask.is_floating_point():
            return mask.bool() if real else ~mask.bool()
    return None


def unpadded(value: Tensor, mask: Tensor | None) -> Tensor:
    """A value (N, L, ...) without padding, (M, ...); any other value as it is."""
    fits = mask is not None and value.dim() == 3 and value.shape[:2] == mask.shape
    return value[mask.to(value.device)] if fits and mask is not None else value


def measure(
    metrics: dict[str, Metric], scores: Tensor, labels: Tensor | None, whole: Tensor, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Each metric's values, (M,). Without labels, padding by `mask` is left out of our own metrics.

    Raises ReslabError for a value that is not finite.
    """
    values = {}
    for name, metric in metrics.items():
        if metric in METRICS.values():
            real = mask if labels is None else None
            result = metric(unpadded(scores, real), labels, unpadded(whole, real))
        else:  # a user's function may write into what it is given
            result = metric(scores.clone(), labels if labels is None else labels.clone(), whole.clone())
        found = torch.as_tensor(result).detach().float().reshape(-1)
        if not found.isfinite().all():
            raise ReslabError(
                f"metric {name!r} is {found[~found.isfinite()][0].item()} for scores of shape {list(scores.shape)}"
            )
        values[name] = found
    return values


def items(scores: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scores (M, K) and labels (M,) of the labelled items. Raises UsageError if the two do not match."""
    if labels is None:
        raise UsageError("this measurement needs labels, but the data have none")
    if scores.shape[:-1] != labels.shape:
        raise UsageError(
            f"scores {list(scores.shape)} and labels {list(labels.shape)} do not match: one label per row of scores"
        )
    if labels.is_floating_point() or labels.is_complex():
        raise UsageError(f"labels are {str(labels.dtype).removeprefix('torch.')}; classes must be whole numbers")
    asked = labels != IGNORED
    found = labels[asked].long()  # the loss takes no other integers
    if found.numel() and not 0 <= int(found.min()) <= int(found.max()) < scores.shape[-1]:
        raise UsageError(
            f"labels range from {int(found.min())} to {int(found.max())}, but the model has {scores.shape[-1]} classes"
        )
    return scores[asked], found


def score_rows(scores: Tensor, labels: Tensor | None) -> Tensor:
    """Scores as (M, K), only of the labelled items if the labels match the scores."""
    if labels is not None and scores.shape[:-1] == labels.shape:
        return scores[labels != IGNORED]
    return scores.reshape(-1, scores.shape[-1]) if scores.dim() > 1 else scores.reshape(-1, 1)


Loss = Callable[[Tensor, Tensor | None], Tensor]  # loss(scores, labels) -> one number, summed over samples


def objective(scores: Tensor, labels: Tensor | None) -> Tensor:
    """Default objective: cross-entropy, summed over the labelled items.

    Without labels it is the sum of the output's features with fixed random signs, not the output's squared norm, which
    is constant for a LayerNorm's output.
    """
    if labels is None:
        coins = torch.randint(0, 2, scores.shape[-1:], generator=torch.Generator().manual_seed(0))
        return (scores * (2 * coins - 1).to(scores)).sum()
    kept, asked = items(scores, labels)
    return F.cross_entropy(kept, asked, reduction="sum")
