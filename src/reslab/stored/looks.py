"""Keys and types of the files that `reslab look` writes: look.json and results/look-VERB.json."""

from typing import Any, Required, TypedDict

from reslab.stored.numbers import Count, Number, Unbounded, Whole

Values = dict[str, Number]  # by metric
Span = tuple[Count, Count] | None


class Model(TypedDict, total=False):
    word: str
    name: str
    kind: str
    parameters: Count
    spec: dict[str, Any] | None
    initial: bool
    notes: list[str]


class Machine(TypedDict, total=False):
    device: str | None
    device_name: str | None


class Settings(TypedDict, total=False):
    environment: Machine


class Inputs(TypedDict, total=False):
    name: str
    part: str | None
    of: Count | None
    fingerprint: str | None
    shape: list[Count]
    classes: list[str]


class Seen(TypedDict, total=False):
    n: Count | None
    data: Inputs | None
    settings: Settings
    seconds: Number
    when: str
    command: str


class Looked(TypedDict, total=False):
    """look.json."""

    model: Model
    seen: dict[str, Seen]


class Merge(TypedDict, total=False):
    index: Required[Whole]
    module: str
    path: str
    kind: str
    before: list[Whole]
    shape: list[Whole]
    depth: Count
    parent: Whole | None
    sides: list[Whole]
    params: Number
    macs: Number
    shortcut_params: Number
    cuttable: bool
    why: str
    named: bool


class Merges(TypedDict, total=False):
    model: str
    batch: Count | None
    merges: list[Merge]
    sums: list[Merge]
    notes: list[str]
    found_on: str


class Difference(TypedDict, total=False):
    absolute: Number
    relative: Number
    allowed: Number


class Certified(TypedDict, total=False):
    index: Required[Whole]
    module: str
    kind: str
    sum: Difference | None
    stream: Difference | None
    entered: str
    why: str


class Certificate(TypedDict, total=False):
    model: str
    batch: Count
    dtype: str
    merges: list[Certified]
    notes: list[str]


class Single(TypedDict, total=False):
    merge: Required[Whole]
    module: str
    kind: str
    values: Required[Values]
    spread: Values


class Drawn(TypedDict, total=False):
    k: Required[Count]
    values: Required[dict[str, list[Number]]]


class Reordered(TypedDict, total=False):
    swaps: Count
    tau: Number
    values: Required[Values]
    spread: Values


class LeftOut(TypedDict, total=False):
    layer: Required[Whole]
    module: str
    kind: str
    values: Required[Values]
    spread: Values


class Lesions(TypedDict, total=False):
    n: Count
    metrics: list[str]
    whole: Values
    method: str
    why: str
    single: list[Single]
    random: list[Drawn]
    reorder: list[Reordered]
    layers: list[LeftOut]
    notes: list[str]


class Depth(TypedDict, total=False):
    depth: Required[Count]
    module: str | None
    projections: Count
    values: Required[Values]


class Readout(TypedDict, total=False):
    n: Count
    metrics: list[str]
    renorm: bool
    method: str
    depths: list[Depth]


class Step(TypedDict, total=False):
    index: Required[Whole]
    module: str
    influence: Number
    ratio: Number
    cosine: Number


class Influence(TypedDict, total=False):
    n: Count
    merges: list[Step]


class Layer(TypedDict, total=False):
    index: Whole
    module: str
    norm: str | None
    call: Whole
    kind: str
    kernel: list[Whole]
    shape: list[Whole]
    merge: Whole | None
    shortcut: bool
    head: bool
    std: Number
    mean: Number
    weight: Number
    weight_size: Number
    activation: Number
    signal: Number


class Sum(TypedDict, total=False):
    """A merge, as measured by responses and gradients."""

    index: Required[Whole]
    module: str
    skip: Number
    branch: Number
    out: Number
    signal: Number


class Responses(TypedDict, total=False):
    n: Count
    layers: list[Layer]
    merges: list[Sum]
    notes: list[str]


class Health(TypedDict, total=False):
    verdict: str
    words: str
    ratio: Number
    slope: Number
    start: Number
    change: Number
    zeros: Count


class Gradients(TypedDict, total=False):
    n: Count
    training: bool
    of: str
    loss: Number
    layers: list[Layer]
    merges: list[Sum]
    activations: Health | None
    weights: Health | None
    signal: Health | None
    notes: list[str]


class Paths(TypedDict, total=False):
    n: Count
    counts: list[Unbounded]
    exact: list[Number] | None
    share: list[Number] | None
    flat: Count
    deviation: Number
    sampled: list[Number] | None
    sampled_paths: Count
    product: list[Number] | None
    effective: Span
    effective_share: Number
    effective_exact: Span
    effective_exact_share: Number


VERBS: dict[str, Any] = {
    "merges": Merges,
    "certify": Certificate,
    "lesions": Lesions,
    "paths": Paths,
    "influence": Influence,
    "readout": Readout,
    "responses": Responses,
    "gradients": Gradients,
}
