"""The interface between a task and the training loop."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from reslab.errors import Sentence
from reslab.train.batch import Batch
from reslab.train.tune import Choice


class Task(Protocol):
    """Batches, a loss and an evaluation; the loop does everything else."""

    examples: int  # in the training part
    unit: str  # what they are, for people: "images", "windows", "rows"
    device: torch.device
    shorter: Sentence  # how a training of it takes less time, for people: "fewer --epochs"
    validates: bool  # whether a validation part drives the schedule; otherwise the training error does

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of iterations start..stop-1, independent of what ran before."""

    def rows(self, iteration: int) -> list[int]:
        """The rows of the training part in one iteration's batch, for error messages."""

    def loss(self, out: Any, y: Tensor) -> Tensor:
        """The loss of the net's output, which is a tensor of scores or a tuple."""

    def wrong(self, out: Any, y: Tensor) -> Tensor:
        """Number of wrong predictions in the batch, as a tensor on the device."""

    def evaluate(self, net: nn.Module, part: str, choice: Choice) -> dict[str, Any] | None:
        """Error (%), loss and more on "train", "validation" or "test"; None if there is no such part."""

    def average_norms(self, net: nn.Module) -> None:
        """ "Precise BN": replace moving statistics by averages over the training examples."""
