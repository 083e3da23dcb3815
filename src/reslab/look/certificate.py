"""The certificate of a model's residual connections: two claims about each, with the largest differences."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isnan


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The largest absolute difference of two tensors that should be equal up to rounding."""

    absolute: float
    relative: float  # to the largest absolute value of the terms
    allowed: float  # the largest relative difference that rounding explains

    @property
    def holds(self) -> bool:
        return self.relative <= self.allowed  # False for NaN


@dataclass(frozen=True, kw_only=True)
class Certified:
    """The two claims about one merge; None: not checked."""

    index: int
    module: str
    kind: str
    sum: Difference | None  # skip + branches against out
    stream: Difference | None  # out against what entered, with every branch disabled
    entered: str  # what `stream` was compared with: "fork", "skip", or "" if it was not checked
    why: str  # why it was not checked or does not hold; "" if both claims hold

    @property
    def holds(self) -> bool:
        """Whether both claims were checked and hold."""
        return all(found is not None and found.holds for found in (self.sum, self.stream))


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The certificate of a model; its text names the largest differences and every merge that fails."""

    model: str
    batch: int
    dtype: str
    merges: tuple[Certified, ...]
    notes: tuple[str, ...]  # of `find`

    @property
    def failed(self) -> tuple[Certified, ...]:
        """The merges for which a claim was checked and does not hold."""
        return tuple(m for m in self.merges if any(d is not None and not d.holds for d in (m.sum, m.stream)))

    @property
    def unchecked(self) -> tuple[Certified, ...]:
        """The merges for which neither claim is known to be false, but not both were checked."""
        return tuple(m for m in self.merges if m not in self.failed and not m.holds)

    @property
    def holds(self) -> bool:
        """Whether there are merges and both claims hold for all of them."""
        return bool(self.merges) and all(merge.holds for merge in self.merges)

    @property
    def verdict(self) -> str:
        """For how many merges the certificate holds, in words."""
        n, unchecked = len(self.merges), len(self.unchecked)
        what = f"{n} residual connection{'s' * (n != 1)}"
        if self.failed:
            return f"the certificate fails for {len(self.failed)} of {what}"
        if unchecked:
            return f"the certificate holds for {n - unchecked} of {what}; {unchecked} could not be checked"
        return f"the certificate holds for {'all ' * (n > 1)}{what}"

    def __str__(self) -> str:
        return "\n".join(lines(self))


def lines(found: Certificate) -> list[str]:
    """The certificate as text: the verdict, the largest differences, then every merge that fails or is not checked."""
    if not found.merges:
        return [f"{found.model}: there is nothing to certify", *found.notes]
    text = [f"{found.model}: {found.verdict} (batch of {found.batch}, {found.dtype or 'not run'})"]
    for claim, of in CLAIMS.items():
        checked = [(difference, merge) for merge in found.merges if (difference := of(merge)) is not None]
        if checked:
            worst, at = max(checked, key=lambda pair: inf if isnan(pair[0].relative) else pair[0].relative)
            where = f" (block {at.index}, {place(at)})" if worst.relative else ""
            text.append(f"{claim}: {words(worst)}{where}")
    for merge in (*found.failed, *found.unchecked):
        text.append(f"block {merge.index} ({place(merge)}): {merge.why}")
    return text


def words(found: Difference) -> str:
    if isnan(found.relative):
        return "the values are NaN"
    if not found.absolute:
        return "no difference"
    return (
        f"largest difference {found.absolute:.2g}, relative {found.relative:.2g} (rounding allows {found.allowed:.2g})"
    )


def place(merge: Certified) -> str:
    return merge.module or "the model itself"


CLAIMS: Mapping[str, Callable[[Certified], Difference | None]] = {
    "skip + branches = out": lambda merge: merge.sum,
    "all branches disabled, out = what entered": lambda merge: merge.stream,
}
