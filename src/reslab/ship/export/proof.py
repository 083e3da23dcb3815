"""Proof or no file: an exported model against the original one, on data, in batches of 1, 2 and 7."""

from collections.abc import Sequence

import numpy as np

from reslab.errors import ReslabError, arg
from reslab.progress import Progress, silent
from reslab.ship.engines import Engine
from reslab.ship.export.compared import agreement, apart, finite, scored
from reslab.ship.export.lengths import other_lengths
from reslab.ship.export.passes import SECONDS, Outputs, run
from reslab.ship.export.results import Agreement, Layer, Proof, Score
from reslab.ship.exportable import Examples, Exportable, Graph
from reslab.ship.record import Config

BATCHES = (7, 2, 1)  # an odd one, the example's own, and one, to which exporters specialize
AGREE = 0.999  # of fp32: the share of decisions that are the same
MIXED = 1e-3  # of the largest output: rounding makes an example differ between batches by a thousandth of that
STEADY = 0.98  # of bf16 and int8: the share of decisions that are the same in batches of 1, 2 and 7


class NotEqual(ReslabError):  # noqa: N818 - what it says
    """The exported model is not the original one; `layers`: where they differ, in the order of the model."""

    def __init__(self, *parts: object, batch: int, first: int, layers: Sequence[Layer] = ()) -> None:
        super().__init__(*parts)
        self.batch, self.first, self.layers = batch, first, tuple(layers)


class Mixed(NotEqual):
    """It is the model itself whose answers depend on the batch, so no layer of the file is to blame."""


def prove(
    subject: Exportable, graphs: Sequence[Graph], loaded: Sequence[Engine], config: Config, *,
    examples: Sequence[Examples], before: Outputs, max_drop: float, progress: Progress = silent,
    int8: tuple[int, int] = (0, 0),
) -> Proof:  # fmt: skip
    """Compare the exported model, `loaded`, with what the original gave `before` for the examples.

    fp32: at least AGREE of the decisions must be the same in batches of 1, 2 and 7, ties apart. bf16 and int8: the
    score may drop by at most `max_drop` points, and decisions must hardly depend on the batch. `int8`: (layers that
    compute in int8, layers put back). Raises NotEqual, or ReslabError if the file fails.
    """
    found = []
    whole = len(np.asarray(subject.decisions(before))) != len(examples[0])  # one decision over several examples
    all_of_them: Outputs = []
    for batch in BATCHES:
        limited = batch != BATCHES[0] and not whole
        outputs = run(loaded, examples, batch, progress=progress, note=f"{config.precision} in batches of {batch}",
                      seconds=SECONDS if limited else None)  # fmt: skip
        found.append(agreement(subject, before, outputs, batch))
        if config.precision == "fp32":
            equal(config, examples[0].where, found[-1], before, outputs)
            alone(batch, all_of_them or outputs, outputs)
        elif all_of_them:
            steady(config, agreement(subject, all_of_them, outputs, batch), all_of_them, outputs)
        all_of_them = all_of_them or outputs
    score = scored(subject, examples, before, all_of_them)
    if config.precision != "fp32":
        within(config.precision, score, max_drop, before, all_of_them)
    lengths = other_lengths(subject, graphs, loaded, examples, rough=config.precision != "fp32")
    return Proof(precision=config.precision, where=examples[0].where, random=examples[0].random,
                 agreements=tuple(reversed(found)), other_lengths=lengths, score=score, int8_layers=int8[0],
                 put_back=int8[1])  # fmt: skip


def equal(config: Config, where: str, found: Agreement, before: Outputs, after: Outputs) -> None:
    """Raise NotEqual unless enough decisions are the same and no output alone is infinite."""
    largest = max(found.differences.values())
    if found.share >= AGREE and np.isfinite(largest):
        return
    if found.share >= AGREE:
        lost = int((~np.isfinite(gaps(before, after))).sum())
        raise NotEqual(f"on {where}, in batches of {found.batch}, outputs of the exported or of the original model are "
                       f"not finite numbers for {lost:,} of {found.n:,} examples, where those of the other are",
                       batch=found.batch, first=worst(before, after))  # fmt: skip
    differ = found.n - found.same - found.ties
    raise NotEqual(
        f"the exported model is not the original one: on {where}, in batches of {found.batch}, {differ:,} of "
        f"{found.n:,} decisions differ ({100 * found.share:.1f} % agree, {100 * AGREE:g} % are needed; largest "
        f"difference of an output: {largest:.3g})",
        batch=found.batch, first=worst(before, after),
    )  # fmt: skip


def alone(batch: int, first: Outputs, after: Outputs) -> None:
    """Raise NotEqual if an output of an example depends on what else is in its batch, by more than rounding.

    A model that mixes them may still decide alike for all examples of the proof, and in one where a class always wins.
    """
    for one, other in zip(first, after, strict=True):
        for name, value in other.items():
            sizes = np.abs(finite(value))
            gap = float(apart(one[name][: len(value)], value).max()) if value.size else 0.0
            if gap > MIXED * max(float(sizes.max(initial=0.0)), 1e-6):
                raise Mixed(f"what the model says of an example changes with the others in its batch, or by chance: "
                            f"{name} differ by up to {gap:.3g} (of {sizes.max():.3g}) between batches of "
                            f"{BATCHES[0]} and {batch}; BatchNorm with track_running_stats=False and dropout that "
                            "eval() does not turn off are of this kind", batch=batch,
                            first=worst(first, after))  # fmt: skip


def steady(config: Config, found: Agreement, before: Outputs, after: Outputs) -> None:
    """Raise NotEqual if what the file says depends on how many examples it is given at a time."""
    if found.share < STEADY:
        raise NotEqual(f"the {config.precision} model says something else in batches of {found.batch} than in batches "
                       f"of {BATCHES[0]} for {found.n - found.same:,} of {found.n:,} examples",
                       batch=found.batch, first=worst(before, after))  # fmt: skip


def within(precision: str, score: Score | None, max_drop: float, before: Outputs, after: Outputs) -> None:
    """Raise NotEqual if the score drops by more points than allowed. The drop measured decides, not its interval."""
    if score is not None and score.drop > max_drop:
        raise NotEqual(f"{precision} costs {drop_text(score)}, more than the {max_drop:g} points of ",
                       arg("max_drop"), batch=BATCHES[0], first=worst(before, after))  # fmt: skip


def drop_text(score: Score) -> str:
    """`0.30 points of accuracy (93.1 % -> 92.8 %, n = 1,000; 95 % interval of the difference -0.2 to 0.8)`."""
    return (f"{score.drop:.2f} points of {score.unit} ({score.before:.2f} % -> {score.after:.2f} %, n = {score.n:,}; "
            f"95 % interval of the difference {score.drop_low:.2f} to {score.drop_high:.2f})")  # fmt: skip


def worst(before: Outputs, after: Outputs) -> int:
    """The example whose outputs differ most."""
    return int(gaps(before, after).argmax())


def gaps(before: Outputs, after: Outputs) -> np.ndarray:
    """(N,) the largest difference of an output of each example."""
    n = len(next(iter(after[0].values())))
    found = np.zeros(n)
    for one, other in zip(before, after, strict=True):
        for name, value in other.items():
            if len(value) == n and value.size:
                found = np.maximum(found, apart(one[name][:n], value).reshape(n, -1).max(axis=1))
    return found
