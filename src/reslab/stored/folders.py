"""Keys and types of a run folder's files: the net's spec, the data, the environment, the log.

Every key may be absent unless it is Required: folders of earlier versions lack some, those of later ones have more.
"""

from typing import Any, Required, TypedDict

from reslab.stored.frozen import FrozenLayers
from reslab.stored.numbers import Count, Number, Real, Seed, Whole

Object = dict[str, Any]
Map = list[list[list[Real]]]  # (C, H, W) or (C, 1, 1)


class Classes(TypedDict, total=False):
    dtype: Required[str]
    values: Required[list[Any]]


class Target(TypedDict, total=False):
    """target.json, also in a table's data.json."""

    kind: Required[str]
    outputs: Required[Count]
    flat: bool
    classes: Classes
    mean: list[Real]
    std: list[Real]


class Reading(TypedDict, total=False):
    """How questions or a table are read; each family turns it into its own dataclass."""

    target: list[str]
    kind: str | None
    kinds: dict[str, str]
    test: Number
    test_word: str | None
    class_weight: str | dict[str, Number] | None
    split: Whole
    split_rule: Whole
    defaults: Whole
    fold: Whole | None
    folds: Whole
    shared_kinds: dict[str, str]
    sizes: Object
    text: str | None
    rule: str
    stride: Whole
    share: Number
    questions: Whole | None
    missing: list[str] | None
    decimal: str | None
    header: bool | None
    encoding: str | None
    strict: bool
    max_answer: Whole | None


class Options(TypedDict, total=False):
    """The options with which image data were loaded."""

    root: str
    size: Count | None
    memory: Number
    crops: bool
    level: Count
    white: Number | dict[str, list[Real]]
    max_pixels: Count
    interpolation: str
    rgb: bool
    file_column: str | None  # of a list of images
    label_columns: list[str] | None
    part_column: str | None
    label_separator: str | None


class Data(TypedDict, total=False):
    """data.json, and the data entry of a result."""

    word: str
    options: Options
    name: str
    about: str
    fingerprint: str | None
    train: Count
    dev: Count
    validation: Count
    test: Count
    skipped: Count
    classes: list[str]
    shape: list[Count]
    counts: dict[str, list[Count]]  # images of each class or with each label, by part
    several: bool  # whether an image may have several labels, which `classes` names
    gray: dict[str, list[Real]]  # (black, white) of each kind of gray of more than 8 bits
    reading: Reading
    problems: dict[str, Count]
    target: Target
    kinds: dict[str, str]
    start: str  # digest of the weights that the training started from; absent: random ones


class Choices(TypedDict, total=False):
    """choices.json: the names of net and recipe, and why they were chosen, each reason a line."""

    net: str
    recipe: str
    reasons: list[str]


class Start(TypedDict, total=False):
    """start.json: the weights that a training started from, and what they say of the images they were trained on."""

    word: str  # the run, the file, or "default"
    of: str  # what it is, in words
    how: str  # how tensors were matched
    loaded: Required[Count]
    skipped: Required[list[str]]  # tensors of theirs
    new: Required[list[str]]  # tensors of the net
    head: str  # "kept", "reordered", "assumed" (kept: the weights name no classes) or "new"
    classes: list[str] | None
    mean: Map | None
    std: Map | None
    assumed: bool  # whether mean and std are ImageNet's because the weights say nothing
    interpolation: str | None


class Spec(TypedDict, total=False):
    """The keys that spec.json has in every family; the rest are those of the spec's dataclass."""

    family: str
    name: str
    numbers: Whole
    categories: list[Whole]
    bags: list[Whole]


class Normalize(TypedDict, total=False):
    """normalize.json."""

    mean: Map
    std: Map


class Choice(TypedDict, total=False):
    precision: str
    memory_format: str
    compile: bool
    fused: bool
    milliseconds: dict[str, Real]


class Members(TypedDict, total=False):
    """members.json."""

    members: Required[list[str]]


class Calibration(TypedDict, total=False):
    """calibration.json, also in a result."""

    strength: Required[Real]
    center: Required[list[Real]]
    before: Real
    after: Real
    baseline: Real
    n: Count


class Coded(TypedDict, total=False):
    """A column in encoder.json."""

    owner: Required[str]
    part: str
    code: Required[str]
    values: list[str]
    missing: bool
    numeric: bool
    mark: str
    mean: Real
    scale: Real


class Spelling(TypedDict, total=False):
    """How the strings of a training table were written, in encoder.json."""

    missing: list[str]
    decimal: str
    orders: dict[str, str]


class Encoder(TypedDict, total=False):
    """encoder.json of tables."""

    format: Whole
    kinds: dict[str, str]
    columns: list[Coded]
    spelling: Spelling


class Seeded(TypedDict, total=False):
    """The one key of a recipe that pages need."""

    seed: Required[Seed]


class Estimator(TypedDict, total=False):
    """table.json of an estimator that can resume in a folder."""

    recipe: Seeded
    split_rule: Whole
    words: bool
    defaults: Whole


class Event(FrozenLayers, total=False):
    """A line of metrics.jsonl."""

    event: Required[str]
    iteration: Count
    part: str
    name: str
    reason: str | None
    epoch: Number
    loss: Number
    error: Number
    top5: Number
    balanced: Number
    majority: Number
    exact_error: Number  # of several labels an image, as the next three
    f1_micro: Number
    f1_macro: Number
    mean_ap: Number
    exact: Number
    f1: Number
    lr: Number
    n: Count
    examples_per_second: Number
    images_per_second: Number
    best: Count
    threads: Whole
    precision: str
    memory_format: str
    compile: bool
    milliseconds: dict[str, Real]
    gradients: list[Number]
    weights: list[Number]
