"""What an exported folder says of itself: config.json, and what was proved of it. No torch."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from reslab.stored.published import EXPORTED

Kind = Literal["images", "questions", "tables"]
EngineName = Literal["openvino", "onnx", "torch"]
Precision = Literal["fp32", "bf16", "int8"]
KINDS: tuple[Kind, ...] = ("images", "questions", "tables")
ENGINES: tuple[EngineName, ...] = ("openvino", "onnx", "torch")
FORMAT = 1  # of the folder; read by this reslab


@dataclass(frozen=True, kw_only=True)
class Port:
    """One input or output of the exported graph. A None in the shape is any length from 1."""

    name: str
    dtype: str  # numpy's: uint8, int64, float32
    shape: tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class Config:
    """config.json of an exported folder.

    `about` is what the family needs beside the graph (images: classes, shape, reading, temperature, several; questions:
    settings of the reader; tables: members): see ship/predict/KIND.py, which reads it.
    """

    kind: Kind
    engine: EngineName
    precision: Precision
    name: str  # of the model, for people and as the name under which it is served
    word: str  # the MODEL word that was exported
    files: tuple[str, ...]  # the engine's main file, one a graph (a table's members may have several)
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    license: str  # of the weights: an SPDX name or a sentence
    about: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)  # of the packages that made it
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """As config.json holds it; its first key marks the folder as ours."""
        return {EXPORTED: self.format, **{key: one for key, one in asdict(self).items() if key != "format"}}
