"""The images of each class: labels are classes (N,), or for several labels an image (N, K) of 0 and 1."""

import torch
from torch import Tensor


def of_class(labels: Tensor, k: int) -> Tensor:
    """Which images are of class k or have label k: bool (N,)."""
    return labels[:, k] > 0 if labels.dim() == 2 else labels == k


def majority_error(counts: list[int], n: int, *, several: bool = False) -> float | None:
    """Error in percent of always predicting the most frequent class of n images; None without images.

    For several labels: of always predicting each label's more frequent value.
    """
    if not n or not counts:
        return None
    if several:
        return 100 * sum(min(count, n - count) for count in counts) / (n * len(counts))
    return 100 * (1 - max(counts) / n)


def class_counts(labels: Tensor, *, classes: int) -> list[int]:
    """Number of images of each class or with each label."""
    counts: list[int] = (labels.sum(dim=0) if labels.dim() == 2 else torch.bincount(labels, minlength=classes)).tolist()
    return counts
