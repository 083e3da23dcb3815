"""What a family (images, questions, tables) brings to an export: a graph, the original model, data, a score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from reslab.ship.record import Kind

Arrays = Mapping[str, np.ndarray]  # by the name of an input or output, the first axis is the batch


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A module that is exported: preprocessing, the folded net, and its scores, in one.

    `module.forward` takes the tensors of `example` in their order and returns a tuple, one tensor for each output.
    `dynamic`: for each input the axes that may have any length, with a name (axes of one name have one length).
    """

    module: nn.Module  # in eval mode, on the CPU, BN folded, float32
    example: dict[str, Tensor]  # a batch of TWO: an example of one is specialized to one
    dynamic: dict[str, dict[int, str]]
    outputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Inputs of the graph, with what is right for them if that is known."""

    inputs: Arrays  # (N, ...)
    targets: Any = None  # the family's own; None: not known
    where: str = ""  # which data, in words; "random inputs" if there are none

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


class Exportable(Protocol):
    """One model with its data, ready to be exported. A table of several nets has several graphs, run one by one."""

    kind: Kind
    name: str
    word: str
    notes: list[str]  # what was assumed; shown before the work and stored in the card
    unit: str  # of the score: "accuracy", "exact match", "R squared"

    def graphs(self) -> list[Graph]:
        """The graphs, folded."""

    def reference(self, which: int, inputs: Arrays) -> dict[str, np.ndarray]:
        """The outputs of the ORIGINAL model (not folded, float32, eager) for inputs of graph `which`."""

    def proof(self, n: int) -> list[Examples]:
        """At most n examples of the validation part, for each graph; random inputs where there are no data."""

    def calibration(self, n: int) -> list[Examples]:
        """At most n examples of the TRAINING part, for each graph, on which int8 is calibrated."""

    def decisions(self, outputs: Sequence[Arrays]) -> np.ndarray:
        """What the model says, (N, ...) of whole numbers: classes, start and end, labels. For numbers: the numbers.

        `outputs`: of each graph.
        """

    def right(self, outputs: Sequence[Arrays], examples: Sequence[Examples]) -> np.ndarray | None:
        """(N,) how right each answer is, from 0 to 1; its mean is the score. None if the targets are not known."""

    def about(self) -> dict[str, Any]:
        """The family's part of config.json."""

    def beside(self, folder: Path) -> None:
        """Write what stands beside the graph: a tokenizer, a table's encoder."""
