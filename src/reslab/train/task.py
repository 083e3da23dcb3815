"""What the loop needs of a task, and the task of naming images."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from reslab.train.batch import Batch
from reslab.train.tune import Choice


class Task(Protocol):
    """Batches, a loss and an evaluation; everything else about training is the loop's."""

    images: int  # training examples
    device: torch.device

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of iterations start..stop-1, the same whatever ran before."""

    def rows(self, iteration: int) -> list[int]:
        """The training rows of one iteration's batch, to name them when something goes wrong."""

    def loss(self, out: Any, y: Tensor) -> Tensor:
        """Of what the net gave, a tensor of scores or a tuple of its own."""

    def wrong(self, out: Any, y: Tensor) -> Tensor:
        """How many of the batch are wrong, as a tensor on the device."""

    def evaluate(self, net: nn.Module, part: str, choice: Choice) -> dict[str, Any] | None:
        """Error (%), loss and more on "train", "validation" or "test"; None where there is no such part."""

    def average_norms(self, net: nn.Module) -> None:
        """ "Precise BN": replace moving statistics by averages over the training examples."""
