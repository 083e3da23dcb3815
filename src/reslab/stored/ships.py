"""Keys and types of an exported folder's files, as in folders.py."""

from typing import Literal, Required, TypedDict

from reslab.stored.folders import Object
from reslab.stored.numbers import Count


class Port(TypedDict):
    name: str
    dtype: str
    shape: list[Count | None]


class Config(TypedDict, total=False):
    """config.json of an exported folder."""

    reslab_export: Required[Count]
    kind: Required[Literal["images", "questions", "tables"]]
    engine: Required[Literal["openvino", "onnx", "torch"]]
    precision: Required[Literal["fp32", "bf16", "int8"]]
    name: Required[str]
    word: Required[str]
    files: Required[list[str]]
    inputs: Required[list[Port]]
    outputs: Required[list[Port]]
    license: Required[str]
    about: Required[Object]
    versions: dict[str, str]


class Sums(TypedDict):
    """checksums.json: SHA-256 of every other file, by its path in the folder."""

    sha256: dict[str, str]
