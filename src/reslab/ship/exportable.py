"""What a family (images, questions, tables) brings to an export: a graph, the original model, data, a score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor, nn

from reslab.ship.record import Kind

RANDOM = "random inputs"  # in the place of data
Arrays = Mapping[str, np.ndarray]  # by the name of an input or output, the first axis is the batch


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Images uint8 (N, h, w, C) of any size to (N, H, W, C): resized to cover H x W and cropped to the center.

    As images/data/decode.py `fit` does it with Pillow. The graph's module takes H x W alone; this is put before it.
    """

    input: str
    shape: tuple[int, int, int]  # (C, H, W)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A module that is exported: preprocessing, the folded net, and its scores, in one.

    `module.forward` takes the tensors of `example` in their order and returns a tuple, one tensor for each output.
    `dynamic`: for each input the axes that may have any length, with a name (axes of one name have one length). `most`:
    the largest length that the module takes along axes of a name, such as the number of positions.
    """

    module: nn.Module  # in eval mode, on the CPU, BN folded, float32
    example: dict[str, Tensor]  # a batch of TWO: an example of one is specialized to one
    dynamic: dict[str, dict[int, str]]
    outputs: tuple[str, ...]
    most: Mapping[str, int] = field(default_factory=dict)
    fit: Fit | None = None  # put before the module when it is converted; its axes of the size are among `dynamic`


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Inputs of the graph, with what is right for them if that is known."""

    inputs: Arrays  # (N, ...)
    targets: Any = None  # the family's own; None: not known
    where: str = ""  # which data, in words; RANDOM if there are none

    @property
    def random(self) -> bool:
        return self.where == RANDOM

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
