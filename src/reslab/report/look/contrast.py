"""Compare the nets' responses: residual with plain nets, and deeper with shallower residual nets."""

from collections.abc import Callable, Sequence

from reslab.report.look.folder import Look
from reslab.report.look.words import several
from reslab.report.words import listed, number

Median = tuple[Look, float]  # a net and the median standard deviation of its layers
SHOWN = 4  # pairs named


def contrasts(medians: Sequence[Median]) -> list[str]:
    """Whether residual nets respond less than plain ones, and deeper ones less than shallower ones, by the medians."""
    residual = sorted((one for one in medians if one[0].merges), key=depth)
    plain = [one for one in medians if not one[0].merges]
    pairs = [(a, b) for a in residual for b in plain]
    sentences = []
    if pairs:
        less, more = ([(a, b) for a, b in pairs if way(a, b)] for way in (below, above))
        if len(less) == len(pairs):
            sentences.append("Every residual net has smaller responses than every plain net, as in the paper (by this "
                             "median).")  # fmt: skip
        elif len(more) == len(pairs):
            sentences.append("Every residual net has larger responses than every plain net, unlike in the paper (by "
                             "this median).")  # fmt: skip
        else:
            sentences.append(f"In {len(less)} of {several(len(pairs), 'pair')} the residual net has smaller responses "
                             f"than the plain net (by this median); not in {exceptions(pairs, below)}.")  # fmt: skip
    deeper = [(b, a) for i, a in enumerate(residual) for b in residual[i + 1 :] if depth(b) > depth(a)]
    if deeper:
        less = [(b, a) for b, a in deeper if below(b, a)]
        if len(less) == len(deeper):
            sentences.append("Deeper residual nets have smaller responses, as in the paper.")
        else:
            sentences.append(f"In {len(less)} of {several(len(deeper), 'pair')} the deeper residual net has smaller "
                             f"responses than the shallower one; not in {exceptions(deeper, below)}.")  # fmt: skip
    return sentences


def depth(one: Median) -> int:
    return len(one[0].layers)


def below(a: Median, b: Median) -> bool:
    """Less, in the three digits that the page shows."""
    return float(f"{a[1]:.3g}") < float(f"{b[1]:.3g}")


def above(a: Median, b: Median) -> bool:
    return below(b, a)


def exceptions(pairs: Sequence[tuple[Median, Median]], way: Callable[[Median, Median], bool]) -> str:
    """The pairs that differ the other way, or not at all, with both medians and their ratio."""
    others = [(a, b) for a, b in pairs if not way(a, b)]
    named = [f"{a[0].label} ({number(a[1])}) beside {b[0].label} ({number(b[1])}"
             f"{f', {number(a[1] / b[1])} times' if b[1] else ''})" for a, b in others[:SHOWN]]  # fmt: skip
    return listed([*named, f"{len(others) - SHOWN} more"] if len(others) > SHOWN else named)
