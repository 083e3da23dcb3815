"""Distillation as a task around a family's own task, so that the one training loop heals too."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.slim.healing.beside import Answers
from reslab.slim.healing.divergence import Divergence, of_classes
from reslab.train.batch import Batch
from reslab.train.task import Task
from reslab.train.tune import Choice


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """How much a student learns from its teacher, and how much from the labels."""

    weight: float = 0.9  # of the teacher, 1 - weight of the labels; as Tian et al. 2020 (1910.10699) use it
    temperature: float = 4.0  # softens both predictions; theirs, too
    features: float = 0.0  # weight of the distance between the outputs of the remaining blocks and the teacher's

    def check(self) -> None:
        """Raise UsageError for invalid values."""
        if not 0 <= self.weight <= 1:
            raise UsageError(f"distill must be from 0 to 1, got {self.weight:g}")
        if not 0 < self.temperature < float("inf"):
            raise UsageError(f"temperature must be positive, got {self.temperature:g}")
        if not 0 <= self.features < float("inf"):
            raise UsageError(f"features must be zero or more, got {self.features:g}")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Distilled:
    """A task whose loss is (1 - a) task loss + a T^2 KL(teacher || student) + f distance of the blocks' outputs.

    Hinton et al. 2015 (1503.02531), section 2: T^2 keeps the gradient of the KL, which shrinks as 1 / T^2, of the size
    of the labels'. KL and distance are means over the batch, in which each example has the weight that it has in the
    task's own loss (class weights), so a batch cut into parts has the gradient of the whole. A net without a teacher
    (timed alone, evaluated) has the task's own loss.
    """

    def __init__(self, task: Task, how: Distillation, *, divergence: Divergence = of_classes) -> None:
        self.task, self.how, self.divergence = task, how, divergence
        self.examples, self.unit, self.device = task.examples, task.unit, task.device
        self.shorter, self.validates = task.shorter, task.validates

    def __getattr__(self, name: str) -> Any:  # what only some tasks have: `weight`, `parts`, `rows_to_cache`
        if name == "task":  # not set yet, as in a copy
            raise AttributeError(name)
        return getattr(self.task, name)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        return self.task.batches(start, stop)

    def rows(self, iteration: int) -> list[int]:
        return self.task.rows(iteration)

    def varies(self) -> str:
        """Why a frozen backbone's features are not computed once: the teacher needs the examples themselves."""
        return "the teacher sees each example, too"

    def loss(self, out: Any, y: Tensor) -> Tensor:
        if not isinstance(out, Answers):
            return self.task.loss(out, y)
        student, a, T = full(out.student), self.how.weight, self.how.temperature
        loss = (1 - a) * self.task.loss(student, y)
        if a:
            loss = loss + a * T**2 * self.mean(self.divergence(student, full(out.teacher), T), y)
        if self.how.features and out.features is not None:
            loss = loss + self.how.features * self.mean(out.features, y)
        return loss

    def mean(self, each: Tensor, y: Tensor) -> Tensor:
        """The mean over examples, weighted as in the task's own loss."""
        shares = getattr(self.task, "shares", None)
        if shares is None:
            return each.mean()
        weights = shares(y).to(each)
        return (weights * each).sum() / weights.sum()

    def wrong(self, out: Any, y: Tensor) -> Tensor:
        return self.task.wrong(full(out.student) if isinstance(out, Answers) else out, y)

    def evaluate(self, net: nn.Module, part: str, choice: Choice) -> dict[str, Any] | None:
        return self.task.evaluate(net, part, choice)

    def average_norms(self, net: nn.Module) -> None:
        self.task.average_norms(net)


def full(out: Any) -> Any:
    """Scores as float32, as the loop passes them on; those of a tuple as they are."""
    return out.float() if isinstance(out, Tensor) and out.dtype != torch.float32 else out
