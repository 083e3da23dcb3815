"""Keys and types of results/train.json and results/eval*.json in a run folder, as in folders.py."""

from typing import Required, TypedDict

from reslab.stored.folders import Calibration, Choice, Data, Object
from reslab.stored.numbers import Count, Number, Real, Seed, Whole


class Bin(TypedDict, total=False):
    n: Required[Count]
    confidence: Required[Real]
    accuracy: Required[Real]


class Reliability(TypedDict, total=False):
    n: Required[Count]
    ece: Required[Number]
    bins: Required[list[Bin]]


class Part(TypedDict, total=False):
    n: Count
    exact: Number
    f1: Number


class Scores(TypedDict, total=False):
    """Scores of predictions: of tables, or of questions in percent."""

    n: Count
    accuracy: Number
    balanced_accuracy: Number
    f1: Number
    auc: Number
    log_loss: Number
    rmse: Number
    mae: Number
    r2: Number
    intervals: dict[str, list[Number]]
    reliability: Reliability
    rule: str
    exact: Number
    missing: Count
    threshold: Number
    has_answer: Part | None
    no_answer: Part | None


class Curves(TypedDict, total=False):
    """The best scores over all thresholds of "no answer", and average precisions, in percent."""

    best_exact: Number
    best_exact_threshold: Number
    best_f1: Number
    best_f1_threshold: Number
    exact_ap: Number | None
    f1_ap: Number | None
    oracle_ap: Number | None


class Temperature(TypedDict, total=False):
    temperature: Number
    before: Number
    after: Number
    n: Count  # validation images, or questions, that it was fitted on
    at_limit: bool


class Column(TypedDict, total=False):
    """The importance of one column."""

    column: Required[str]
    permutation: Number
    permutation_std: Number
    mask: Number


class Importance(TypedDict, total=False):
    rows: Count
    repeats: Count
    columns: list[Column]


class Residuals(TypedDict):
    true: list[list[Number]]
    predicted: list[list[Number]]


class Member(TypedDict, total=False):
    """A net of an ensemble."""

    folder: str
    seed: Seed | None
    seconds: Number
    interval: list[Number] | None


class Trainings(TypedDict, total=False):
    """What is known of all trainings that made a net."""

    recipe: Object | None  # of the first
    epochs: Number | None  # of all
    unknown: str


class Result(TypedDict, total=False):
    """results/train.json of images, questions and tables."""

    net: str
    depth: Count
    data: str
    head: str
    kind: str
    main: str
    rule: str
    parameters: Count
    trained_parameters: Count
    head_parameters: Count
    macs: Count
    windows: Count
    iterations: Count
    batch: Count
    epochs: Number
    best: Count | None
    seed: Seed
    train_error: Number
    train_error_eval: Number
    test_error: Number
    test_top5: Number
    train_loss_eval: Number
    test_loss: Number
    test_loss_low: Number  # its 95 % interval, of language models
    test_loss_high: Number
    perplexity: Number
    token_error: Number  # percent
    validation_loss: Number
    test_n: Count | None
    test_balanced: Number
    test_majority: Number
    several: bool  # labels per image; the error is the share of wrong labels
    test_exact_error: Number
    test_f1_micro: Number
    test_f1_macro: Number
    test_mean_ap: Number
    validation_error: Number
    kept_iteration: Count | None  # of the net with the best validation, which is kept; None: the last net is
    exact: Number
    f1: Number
    ece: Number
    ece_before: Number
    seconds: Number
    examples_per_second: Number
    images_per_second: Number  # its names in older runs
    windows_per_second: Number
    rows_per_second: Number
    processes: Count  # that trained it together, whose speeds are added; absent: one
    choice: Choice
    drops: list[Whole]
    warmup_left: Whole | None
    skipped: list[str]
    command: str
    test: Scores
    dev: Scores
    temperature: Temperature | None
    calibration: Calibration
    max_answer: Count
    reliability: Reliability | None
    importance: Importance
    confusion: list[list[Count]]
    residuals: Residuals
    members: list[Member]
    problems: dict[str, Count] | list[str]
    trainings: Trainings  # of a net that slimming made


class Label(TypedDict, total=False):
    """One of several labels an image."""

    name: Required[str]
    images: Required[Count]
    predicted: Required[Count]
    right: Required[Count]
    precision: Number
    recall: Number
    f1: Number
    ap: Number
    precision_interval: list[Number] | None
    recall_interval: list[Number] | None


class Mirrored(TypedDict, total=False):
    """Of each image and its mirror image, averaged."""

    error: Number
    error_low: Number
    error_high: Number
    loss: Number


class Evaluation(TypedDict, total=False):
    """results/eval*.json and results/qa-eval*.json."""

    n: Count
    error: Number
    error_low: Number
    error_high: Number
    balanced: Number
    majority: Number
    several: bool
    exact_error: Number
    f1_micro: Number
    f1_macro: Number
    mean_ap: Number
    labels: list[Label]
    top5: Number
    loss: Number
    views: str
    precision: str
    part: str
    precise_bn: bool
    mirrored: Mirrored
    classes: list[str]
    confusion: list[list[Count]]
    data: Data
    command: str
    of: str
    file: str
    kind: str
    main: str
    test: Scores
    problems: list[str]
    rule: str
    exact: Number
    f1: Number
    intervals: dict[str, list[Number] | None]
    ece: Number
    reliability: Reliability | None
    missing: Count
    threshold: Number
    has_answer: Part | None
    no_answer: Part | None
    rule_why: str | None
    hidden: Count  # questions whose answers the file does not hold
    max_answer: Count
    curves: Curves
