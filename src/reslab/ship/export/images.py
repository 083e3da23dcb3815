"""What a net for images brings to an export: any MODEL word, with the images that it is proved on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from reslab.images.data.decode import Interpolation
from reslab.images.data.images import ImageData, Shape
from reslab.images.data.normalize import Normalize
from reslab.images.pixels import reading_of
from reslab.run import Run
from reslab.ship.export.fold import Folded, fold
from reslab.ship.export.images_data import Parts, examples, noise, parts_of
from reslab.ship.export.images_graph import OUTPUTS, ImagesGraph, run
from reslab.ship.exportable import Arrays, Examples, Exportable, Fit, Graph
from reslab.ship.record import Kind


@dataclass(kw_only=True, eq=False)
class ImagesExport(Exportable):
    """See `Exportable`. Without data it is proved on random pixels."""

    net: nn.Module  # the original
    word: str
    name: str
    normalize: Normalize
    shape: Shape  # (C, H, W) of the images that the net takes
    classes: tuple[str, ...]
    reading: dict[str, Any]  # how images are decoded, as data.json has it
    license: str
    temperature: float = 1.0
    calibrated: str = ""  # how the probabilities are calibrated, in words
    several: bool = False  # labels an image
    data: ImageData | None = None
    source: Run | None = None  # the run folder, if it is one
    notes: list[str] = field(default_factory=list)
    seed: int = 0
    kind: Kind = "images"
    unit: str = "accuracy"

    def __post_init__(self) -> None:
        if self.several:
            self.unit = "share of labels right"

    @cached_property
    def parts(self) -> Parts | None:
        return None if self.data is None else parts_of(self.data, self.source)

    @cached_property
    def folded(self) -> Folded:
        """A copy of the net without the BatchNorm layers that could be folded; reported in the notes."""
        example = torch.from_numpy(noise(2, self.shape, seed=1).inputs["images"]).permute(0, 3, 1, 2)
        found = fold(self.net, self.normalize(example))
        if found.note:
            self.notes.append(found.note)
        return found

    def graphs(self) -> list[Graph]:
        fit = Fit(input="images", shape=self.shape, interpolation=self.interpolation)
        example = torch.from_numpy(noise(2, self.shape, seed=0).inputs["images"])
        return [Graph(module=self.around(self.folded.module).eval(), example={"images": example}, outputs=OUTPUTS,
                      dynamic={"images": {0: "batch", 1: "height", 2: "width"}}, fit=fit)]  # fmt: skip

    def around(self, net: nn.Module) -> ImagesGraph:
        _, H, W = self.shape
        return ImagesGraph(net, self.normalize, size=(H, W), temperature=self.temperature, several=self.several,
                           interpolation=self.interpolation)  # fmt: skip

    @property
    def interpolation(self) -> Interpolation:
        """How images of another size are resized: as in training."""
        return reading_of(self.reading).interpolation

    @cached_property
    def original(self) -> ImagesGraph:
        return self.around(self.net)

    def reference(self, which: int, inputs: Arrays) -> dict[str, np.ndarray]:
        return run(self.original, inputs["images"])

    def proof(self, n: int) -> list[Examples]:
        if self.parts is None:
            return [noise(n, self.shape, seed=self.seed)]
        return [examples(self.parts.proof, n, size=self.shape[1:], where=self.parts.where, seed=self.seed,
                         interpolation=self.interpolation)]  # fmt: skip

    def calibration(self, n: int) -> list[Examples]:
        if self.parts is None:
            return [noise(n, self.shape, seed=self.seed + 1)]
        assert self.data is not None
        return [examples(self.parts.calibration, n, size=self.shape[1:], seed=self.seed,
                         where=f"training images of {self.data.name}", interpolation=self.interpolation)]  # fmt: skip

    def decisions(self, outputs: Sequence[Arrays]) -> np.ndarray:
        z = outputs[0]["scores"]
        return (z > 0).astype(np.int64) if self.several else z.argmax(axis=1)

    def right(self, outputs: Sequence[Arrays], examples: Sequence[Examples]) -> np.ndarray | None:
        targets = examples[0].targets
        if targets is None:
            return None
        same = self.decisions(outputs) == targets
        return same.mean(axis=1) if self.several else same.astype(np.float64)

    def about(self) -> dict[str, Any]:
        mirrored = all(torch.equal(one, one.flip(2)) for one in (self.normalize.mean, self.normalize.std))
        return {
            "classes": list(self.classes), "shape": list(self.shape), "reading": self.reading,
            "temperature": self.temperature, "calibration": self.calibrated, "several": self.several, "any_size": True,
            "flip": mirrored,  # whether a mirrored image is normalized to the mirrored normalized image
        }  # fmt: skip

    def beside(self, folder: Path) -> None:
        """Nothing: preprocessing is in the graph."""


def as_stored(reading: Any) -> dict[str, Any]:
    """A Reading as data.json has it."""
    whole = asdict(reading)
    options = {"interpolation": whole["interpolation"]} | ({"max_pixels": whole["limit"]} if whole["limit"] else {})
    return {"options": options, "gray": {key: list(ends) for key, ends in whole["gray"].items()}}


def of_run(about: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a run's data.json that says how images are decoded."""
    options = {
        key: about["options"][key] for key in ("interpolation", "white", "max_pixels") if key in about["options"]
    }
    return {"options": options, "gray": about.get("gray", {})}
