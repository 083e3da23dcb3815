"""What an export found out: how far the file agrees with the model, what precision costs, how fast each is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reslab.ship.record import Config, Precision


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The exported model against the original one, fed in batches of one size."""

    batch: int
    n: int  # decisions that were compared
    same: int
    ties: int  # of the others: all outputs are equal within the tolerance, so rounding decided
    differences: dict[str, float]  # by output: the largest absolute difference

    @property
    def share(self) -> float:
        """Of decisions that agree, ties counted among them; 0 to 1."""
        return (self.same + self.ties) / max(self.n, 1)


@dataclass(frozen=True, kw_only=True)
class Score:
    """The mean of how right each answer is, of the original and of the exported model, in percent, with intervals."""

    unit: str
    n: int
    before: float
    before_low: float
    before_high: float
    after: float
    after_low: float
    after_high: float
    drop: float  # percentage points, before minus after, over the same examples
    drop_low: float
    drop_high: float


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was compared for one precision."""

    precision: Precision
    where: str  # the data, in words
    random: bool
    agreements: tuple[Agreement, ...]
    other_lengths: str  # what inputs of other sizes gave, in words; "" if the graph takes one size
    score: Score | None  # None: nobody knows what is right
    int8_layers: int = 0
    put_back: int = 0  # layers that stay in floating point because int8 cost too much there


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Examples per second of one precision in batches of one size: the median of `n` timings, and its interval."""

    precision: Precision
    batch: int
    per_second: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer of the model whose output in the exported file is not what the model gives."""

    name: str  # of the module
    kind: str
    difference: float  # the largest absolute one
    size: float  # the largest absolute value of the model's output

    @property
    def relative(self) -> float:
        return self.difference / self.size if self.size else float("inf" if self.difference else 0)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An export that was proved: its folder, and the numbers of proof.json."""

    folder: Path
    config: Config
    proof: Proof  # of the precision in the folder
    tried: tuple[Proof, ...]  # of the others that `auto` measured
    speeds: tuple[Speed, ...]
    refused: Mapping[str, str]  # precision: why it was not taken
    max_drop: float  # percentage points
    machine: str
    threads: int  # 0: as many as the engine takes
    cores: int  # that this process could use
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """As proof.json holds it."""
        proofs = [{**asdict(one), "agreements": [{**asdict(each), "share": each.share} for each in one.agreements]}
                  for one in (self.proof, *self.tried)]  # fmt: skip
        return {"precision": self.config.precision, "proofs": proofs, "speeds": [asdict(one) for one in self.speeds],
                "refused": dict(self.refused), "max_drop": self.max_drop, "machine": self.machine,
                "threads": self.threads, "cores": self.cores, "notes": list(self.notes)}  # fmt: skip
