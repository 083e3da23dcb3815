"""How far a student's predictions are from its teacher's, for each example."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import UsageError

# divergence(student, teacher, temperature) -> (B,) in nats, from the scores of both
Divergence = Callable[[Any, Any, float], Tensor]


def of_classes(student: Any, teacher: Any, temperature: float) -> Tensor:
    """KL(teacher || student) of softmax probabilities at a temperature, (B,): scores (B, K), or (B, ..., K).

    Mean over the middle dimensions; over the tensors of a tuple. A class that the teacher masks, minus infinity, adds
    nothing.
    """
    if not isinstance(student, Tensor):
        each = [of_classes(a, b, temperature) for a, b in both(student, teacher)]
        return torch.stack(each).mean(dim=0)
    q, p = (F.log_softmax(scores.float() / temperature, dim=-1) for scores in (student, teacher))
    found = (p.exp() * (p - q)).where(p != -torch.inf, 0).sum(dim=-1)
    return found.flatten(1).mean(dim=1) if found.dim() > 1 else found


def of_labels(student: Any, teacher: Any, temperature: float) -> Tensor:
    """The mean over labels of KL(teacher || student) of each label's two outcomes, (B,): logits (B, K)."""
    s, t = student.float() / temperature, teacher.float() / temperature
    p = torch.sigmoid(t)
    there = p * (F.logsigmoid(t) - F.logsigmoid(s))
    return (there + (1 - p) * (F.logsigmoid(-t) - F.logsigmoid(-s))).flatten(1).mean(dim=1)


def both(student: Any, teacher: Any) -> list[tuple[Tensor, Tensor]]:
    """The tensors of two tuples of scores, in pairs. Raises UsageError unless their shapes agree."""
    pairs = [(a, b) for a, b in zip(student, teacher, strict=True) if isinstance(a, Tensor)]
    if not pairs or any(a.shape != b.shape for a, b in pairs):
        raise UsageError("the student's scores have other shapes than the teacher's, so they cannot be compared")
    return pairs


def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """|student - teacher|^2 / |teacher|^2 of each example, (B,): how far its features are from the teacher's."""
    s, t = student.float().flatten(1), teacher.float().flatten(1)
    return (s - t).square().sum(dim=1) / t.square().sum(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
