"""Keys and types of an exported folder's files, as in folders.py."""

from typing import Annotated, Any, Literal, Required, TypedDict

from msgspec import Meta

from reslab.stored.bounds import LARGEST
from reslab.stored.folders import Object, Options
from reslab.stored.numbers import Count, Real

Size = Annotated[int, Meta(ge=1, le=2**16)]  # pixels of a side


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


class QuestionsAbout(TypedDict, total=False):
    """`about` in config.json of a reader: the settings of its qa.json, and what its graph takes."""

    vocabulary: Required[Count]  # tokens that the encoder knows
    types: Required[bool]  # whether the graph takes token types


class QuestionsConfig(TypedDict):
    """config.json of a reader."""

    about: QuestionsAbout


class TablesAbout(TypedDict, total=False):
    """`about` in config.json of a net for tables."""

    members: Required[list[str]]  # the folder of each graph's encoder
    target: Required[list[str]]  # columns that are predicted; none if they are not known
    fields: Required[list[Object]]  # see tables/fields.py


class TablesConfig(TypedDict):
    """config.json of a net for tables."""

    about: TablesAbout


class Agreement(TypedDict):
    """Decisions of the exported model that are the original's, in batches of one size."""

    batch: Count
    n: Count
    same: Count
    ties: Count
    share: float
    differences: dict[str, float | None]  # of each output, the largest; null: infinite


class Score(TypedDict):
    """Percent, of the original and of the exported model over the same examples; the drop in percentage points."""

    unit: str
    n: Count
    before: float
    before_low: float | None
    before_high: float | None
    after: float
    after_low: float | None
    after_high: float | None
    drop: float
    drop_low: float | None
    drop_high: float | None


class OneProof(TypedDict):
    """What was compared for one precision."""

    precision: Literal["fp32", "bf16", "int8"]
    where: str
    random: bool
    agreements: list[Agreement]
    other_lengths: str
    score: Score | None
    int8_layers: Count
    put_back: Count


class Speed(TypedDict):
    """Examples per second: the median of n timings and its interval."""

    precision: Literal["fp32", "bf16", "int8"]
    batch: Count
    per_second: float
    low: float
    high: float
    n: Count


class Proof(TypedDict, total=False):
    """proof.json of an exported folder; the first of the proofs is of the precision in the folder."""

    precision: Required[Literal["fp32", "bf16", "int8"]]
    proofs: Required[list[OneProof]]
    speeds: Required[list[Speed]]
    refused: Required[dict[str, str]]
    max_drop: Required[float]
    machine: str
    threads: Count
    cores: Count  # that the export could use
    notes: list[str]


class ImageReading(TypedDict, total=False):
    """How the images of the training were decoded: the keys of data.json that say so."""

    options: Required[Options]
    gray: dict[str, list[Real]]


class ImagesAbout(TypedDict, total=False):
    """`about` in config.json of a net for images."""

    classes: Required[Annotated[list[str], Meta(min_length=1)]]
    shape: Required[tuple[Literal[1, 3], Size, Size]]  # C, H, W
    reading: Required[ImageReading]
    temperature: Required[Annotated[float, Meta(gt=0, le=LARGEST)]]
    calibration: Required[str]
    several: Required[bool]
    any_size: bool
    flip: bool  # whether mirroring and normalization may change places: false for most means of each pixel


class ImagesConfig(TypedDict):
    """config.json of a net for images."""

    about: ImagesAbout


class ProgramNode(TypedDict, total=False):
    """One operator of a stored program, or whether what follows may be computed in bf16."""

    op: str
    args: list[Any]
    kwargs: Object
    autocast: bool


class ProgramFit(TypedDict):
    """How images of another size are fitted to the one that the program takes."""

    input: str
    size: tuple[Size, Size]
    interpolation: Literal["bilinear", "bicubic"]


class Program(TypedDict):
    """The main file of an export for torch."""

    reslab_program: Count
    nodes: list[ProgramNode]
    results: Object
    fit: ProgramFit | None
