"""The loss of a batch of images and its wrong predictions: for one class an image, for mixed classes, for labels.

Targets y of a batch: classes int64 (B,); soft classes float (B, K), shares that add up to 1, as mixup and cutmix make
them; or, for data with several labels an image, int64 or float (B, K) with 0 and 1 (mixed ones lie between).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import UsageError
from reslab.train.recipe import Recipe

MOST = 100.0  # a label's positive images weigh at most this much, and at least 1 / MOST: rarer labels are mostly noise


@dataclass(frozen=True, kw_only=True, eq=False)
class Loss:
    """Cross-entropy over the classes ("softmax"), or binary cross-entropy of each class on its own ("sigmoid").

    softmax: sum over images and classes of w_k t_k (-log p_k), divided by the sum of w_k y_k; t = (1 - s) y + s / K is
    the smoothed target, y the target, w the class weights: PyTorch's weighted mean, also for soft classes.
    sigmoid, one class an image: the mean over classes of the binary cross-entropy with the smoothed target, averaged
    over images with the weight of their class. This is timm's BCE, without its threshold on mixed targets.
    sigmoid, `several` labels: the mean over images and labels of w_k t_k (-log p_k) + (1 - t_k) (-log(1 - p_k)) with
    t = (1 - s) y + s / 2; w_k weighs the positive images of label k.
    """

    kind: str = "softmax"  # or "sigmoid"
    several: bool = False
    smoothing: float = 0.0
    weights: Tensor | None = None  # float32 (K,)

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        """The loss of scores (B, K), a scalar. Raises UsageError for scores that are not (B, K)."""
        check(out, y)
        weights = None if self.weights is None else self.weights.to(out.device)
        if self.several:
            t = smoothed(y.to(out.dtype), self.smoothing, 2)
            return F.binary_cross_entropy_with_logits(out, t, pos_weight=weights)
        if self.kind == "softmax" and y.dim() == 1:
            return F.cross_entropy(out, y, weight=weights, label_smoothing=self.smoothing)
        K = out.shape[1]
        soft = F.one_hot(y, K).to(out.dtype) if y.dim() == 1 else y.to(out.dtype)
        t = smoothed(soft, self.smoothing, K)
        if self.kind == "softmax":
            surprise = -F.log_softmax(out, dim=1)
            each = (t * surprise if weights is None else t * surprise * weights).sum(dim=1)
        else:
            each = F.binary_cross_entropy_with_logits(out, t, reduction="none").mean(dim=1)
            if weights is not None:
                each = each * (soft @ weights)
        return each.sum() / self.weight(y).to(each)

    def weight(self, y: Tensor) -> Tensor:
        """What the mean over a batch divides by, a scalar: the sum of the images' weights, or their number.

        The loss of a batch is the mean of its parts' losses, weighted by this.
        """
        if self.weights is None or self.several:
            return torch.tensor(float(len(y)), device=y.device)
        return self.shares(y).sum()

    def shares(self, y: Tensor) -> Tensor:
        """Each example's weight in the mean over a batch, (B,): its class's, that of mixed classes, or 1."""
        if self.weights is None or self.several:
            return torch.ones(len(y), device=y.device)
        weights = self.weights.to(y.device)
        return weights[y] if y.dim() == 1 else y.to(weights.dtype) @ weights

    def wrong(self, out: Tensor, y: Tensor) -> Tensor:
        """Number of wrong predictions of scores (B, K), a scalar on their device.

        A class counts 1 if it has not the highest score; soft classes count 1 minus the target's share of the class
        with the highest score. Of several labels, an image counts the share of its K labels that are wrong at a
        probability of 0.5: score 0.
        """
        if self.several:
            return ((out > 0).to(out.dtype) - y.to(out.dtype)).abs().mean(dim=1).sum()
        predicted = out.argmax(dim=1)
        if y.dim() == 1:
            return (predicted != y).sum()
        return (1 - y.gather(1, predicted[:, None])).sum()


def smoothed(y: Tensor, smoothing: float, outcomes: int) -> Tensor:
    """(1 - smoothing) y + smoothing / outcomes."""
    return (1 - smoothing) * y + smoothing / outcomes if smoothing else y


def check(out: Tensor, y: Tensor) -> None:
    """Raise UsageError unless the scores are (B, K) and the targets fit to them."""
    if not isinstance(out, Tensor) or out.dim() != 2 or len(out) != len(y) or (y.dim() == 2 and y.shape != out.shape):
        found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        wanted = f"({len(y)}, {y.shape[1] if y.dim() == 2 else 'classes'})"
        raise UsageError(f"the net's output must be scores of shape {wanted} for {len(y)} images, got {found}")


def loss_for(recipe: Recipe, labels: Tensor, *, classes: int) -> Loss:
    """The recipe's loss for a training part with these labels: int64 (N,), or (N, K) for several labels an image.

    Raises UsageError for "softmax" on several labels, which do not exclude each other.
    """
    several = labels.dim() == 2
    if several and recipe.loss == "softmax":
        raise UsageError("loss softmax is for one class per image, but these images have several labels; "
                         "set loss to auto or sigmoid")  # fmt: skip
    kind = "sigmoid" if several or recipe.loss == "sigmoid" else "softmax"
    weights = balanced(labels, classes=classes) if recipe.class_weights == "balanced" else None
    return Loss(kind=kind, several=several, smoothing=recipe.label_smoothing, weights=weights)


def balanced(labels: Tensor, *, classes: int) -> Tensor:
    """Weights float32 (K,) with which all classes of a training part count alike.

    Labels (N,): n / (C n_k), where C counts the classes with images, so that the mean weight of an image is 1; 0 for a
    class without images. Labels (N, K): negative / positive images of each label, between 1 / MOST and MOST, the
    weight of its positive images; 1 for a label that no image or every image has.
    """
    if labels.dim() == 2:
        positive = labels.sum(dim=0).double()
        negative = len(labels) - positive
        ratio = (negative / positive.clamp(min=1)).clamp(1 / MOST, MOST)
        return torch.where((positive > 0) & (negative > 0), ratio, torch.ones_like(ratio)).float()
    counts = torch.bincount(labels, minlength=classes).double()
    weights = len(labels) / ((counts > 0).sum() * counts.clamp(min=1))
    return torch.where(counts > 0, weights, torch.zeros_like(weights)).float()
