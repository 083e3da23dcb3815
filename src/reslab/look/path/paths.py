"""The gradient carried by each path length: exact, and estimated by sampling as published.

In a residual network the gradient is the sum, over all paths, of what each path carries back. Forward paths are not
additive (the branches are nonlinear); gradient paths are exactly additive.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.batches import as_batches, batch_first_advice, few
from reslab.look.graph.example import batch_size, rows
from reslab.look.graph.merges import Merge, Merges, find
from reslab.look.graph.passes import as_it_was
from reslab.look.graph.state import Draws
from reslab.look.measure import Batch, Loss
from reslab.look.path.entry import Entry
from reslab.look.path.lengths import Lengths, effective_range, share
from reslab.look.path.norms import deviation, norms, shares
from reslab.look.path.sampling import path_norms, sample_paths
from reslab.look.path.spectrum import check_samples, spectrum
from reslab.look.shown import Row, Shown

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, repr=False)
class Paths(Shown):
    """The gradient carried by each path length; index k of every tuple is length k."""

    n: int  # samples
    merges: int
    at: str  # where the gradient is taken: "input", or the path of the module whose output is used
    method: str  # "shrinking", or "copies" if the model does not accept a batch that shrinks during the pass
    counts: tuple[int, ...]  # number of paths of length k, exact
    exact: tuple[float, ...]  # |G_k|, mean over samples
    share: tuple[float, ...]  # <G_k, G> / <G, G>, mean over samples with a gradient; all lengths sum to 1
    flat: int  # samples without a gradient (G is exactly 0), which have no share; if all, `share` is empty
    gradient: float  # |G|, mean over samples
    deviation: float  # |sum of G_k - G| / |G|, the largest over all batches
    sampled: tuple[float, ...]  # the mean norm of a single path's gradient; empty if not requested
    sampled_paths: int  # sampled paths per length
    product: tuple[float, ...]  # count x sampled norm, as published; it ignores that paths cancel
    effective: tuple[int, int] | None  # the shortest range of lengths that holds 95 % of `product`
    effective_share: float | None  # the share of all paths that have these lengths
    effective_exact: tuple[int, int]  # the same range for `exact`
    effective_exact_share: float

    FACTS = ("n", "merges", "at")
    DRAWN = ("gradient", "share")

    def rows(self) -> list[Row]:
        """A row per path length."""
        found = zip(self.counts, self.exact, self.share, strict=True)
        rows: list[Row] = [{"length": k, "paths": count, "gradient": norm, "share": share}
                           for k, (count, norm, share) in enumerate(found)]  # fmt: skip
        for row, sampled, product in zip(rows, self.sampled, self.product, strict=False):
            row |= {"one path": sampled, "count x one path": product}
        return rows


@dataclass
class Totals:
    """Sums over samples."""

    n: int = 0
    flat: int = 0
    exact: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    gradient: float = 0.0
    deviation: float = 0.0

    def add(self, parts: Tensor, whole: Tensor) -> None:
        self.exact = added(self.exact, [float(norms(part).sum()) for part in parts])
        self.share = added(self.share, [float(shares(part, whole).sum()) for part in parts])
        self.gradient += float(norms(whole).sum())
        self.flat += int((whole == 0).all(dim=-1).sum())
        self.deviation = max(self.deviation, deviation(parts, whole))
        self.n += whole.shape[0]


def paths(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    merges: Merges | None = None,
    loss: Loss | None = None,
    sample: int = 0,
    seed: int = 0,
    chunk: int = 256,
    progress: Progress | None = None,
) -> Paths:
    """The gradient of the loss by path length, over all samples; also estimated from `sample` random paths per length.

    The loss is `measure.objective` (cross-entropy if there are labels) or `loss(scores, labels)`, summed over samples.
    `chunk` limits the rows (copies times samples) in memory. Raises UsageError for a model without merges, or if the
    first dimension of its merges is not the batch.
    """
    batches = as_batches(batches)
    if not batches:
        raise UsageError("no data: at least one batch is needed")
    if sample < 0 or chunk < 1:
        raise UsageError(f"sample must be zero or more and chunk positive, got {sample} and {chunk}")
    some = few(model, batches[0][0])
    merges = merges or find(model, some)
    usable = usable_merges(model, merges)
    lengths = Lengths(usable)
    counts = lengths.counts()
    with as_it_was(model):
        model.requires_grad_(False)  # only the gradient at the entry is needed
        draws = Draws(model)
        entry = Entry(model, usable, some)
        check_samples(model, some, entry, usable)
        draws.restore()
        exact = list(pieces(batches, max(1, chunk // len(counts))))
        singles = list(pieces(batches, chunk if sample else 1)) if sample else []
        total = len(exact) + len(singles) * len(counts)
        totals, method, done = Totals(), "shrinking", 0
        for piece in exact:
            parts, whole, method = spectrum(model, piece, entry, usable, loss, method)
            totals.add(parts, whole)
            done = report_step(progress, done, total)
        sums, generator = [0.0] * len(counts), random.Random(seed)
        for piece in singles:
            n = batch_size(piece[0])
            for k in range(len(counts)):
                for many in portions(sample, max(1, chunk // n)):
                    taken = sample_paths(lengths, k, n, many, generator)
                    sums[k] += float(path_norms(model, piece, entry, usable, loss, taken).cpu().double().sum())
                done = report_step(progress, done, total)
    return summary(totals, counts, [s / (totals.n * sample) for s in sums] if sample else [], sample, entry, method)


def summary(totals: Totals, counts: list[int], sampled: list[float], many: int, entry: Entry, method: str) -> Paths:
    exact = tuple(value / totals.n for value in totals.exact)
    product = tuple(count * norm for count, norm in zip(counts, sampled, strict=False))
    effective = effective_range(product) if product else None
    whole = effective_range(exact)
    return Paths(
        n=totals.n,
        merges=len(counts) - 1,
        at=entry.name,
        method=method,
        counts=tuple(counts),
        exact=exact,
        share=tuple(value / (totals.n - totals.flat) for value in totals.share) if totals.n > totals.flat else (),
        flat=totals.flat,
        gradient=totals.gradient / totals.n,
        deviation=totals.deviation,
        sampled=tuple(sampled),
        sampled_paths=many,
        product=product,
        effective=effective,
        effective_share=share(counts, *effective) if effective else None,
        effective_exact=whole,
        effective_exact_share=share(counts, *whole),
    )


def usable_merges(model: nn.Module, merges: Merges) -> list[Merge]:
    """The merges that can be edited. Raises UsageError if there are none, or if one does not have the batch first."""
    usable = [merge for merge in merges if merge.reachable]
    if not usable:
        raise UsageError(
            f"no residual connection that can be edited was found in {merges.model}: there is only one path to follow"
        )
    for merge in usable:
        if merge.shape[0] != merges.batch:
            raise UsageError(
                f"merge {merge.index} ({merge.module}) adds tensors of shape {list(merge.shape)}, but paths need the "
                f"{merges.batch} samples in the first dimension{batch_first_advice(model)}"
            )
    return usable


def pieces(batches: Sequence[Batch], size: int) -> Iterator[Batch]:
    """The batches, cut into pieces of at most `size` samples."""
    for example, labels in batches:
        n = batch_size(example)
        for start in range(0, n, size):
            stop = min(n, start + size)
            yield rows(example, start, stop), None if labels is None else labels[start:stop]


def portions(total: int, size: int) -> Iterator[int]:
    for start in range(0, total, size):
        yield min(size, total - start)


def report_step(progress: Progress | None, done: int, total: int) -> int:
    if progress:
        progress(done + 1, total)
    return done + 1


def added(a: list[float], b: list[float]) -> list[float]:
    return [x + y for x, y in zip(a, b, strict=True)] if a else b
