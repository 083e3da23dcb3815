"""Inputs of other lengths than the examples have: images of other sizes, shorter and longer texts."""

from collections.abc import Mapping, Sequence

import numpy as np

from reslab.errors import ReslabError
from reslab.ship.engines import Engine
from reslab.ship.export.compared import apart, finite
from reslab.ship.export.passes import passed
from reslab.ship.exportable import Examples, Exportable, Graph

FEW = 4  # examples
LIMIT = {False: 0.1, True: 0.5}  # rough or not: of the largest value; an engine resizes without rounding to 8 bits
SHORTER, LONGER = 0.7, 1.3


def other_lengths(
    subject: Exportable, graphs: Sequence[Graph], loaded: Sequence[Engine], examples: Sequence[Examples], *, rough: bool
) -> str:
    """Compare outputs for a few examples cut and lengthened along every axis that may have any length; in words.

    "" if there is no such axis beside the batch. Lengths that the original model refuses are left out. Raises
    ReslabError if an output differs by more than a tenth (rough: half) of the largest, or the exported model fails.
    """
    said = []
    for which, (graph, model, one) in enumerate(zip(graphs, loaded, examples, strict=True)):
        few = {name: value[:FEW] for name, value in one.inputs.items()}
        for factors in variants(graph):
            changed = stretched(few, graph, factors)
            try:
                wanted = subject.reference(which, changed)
            except Exception:  # any model may refuse a length in its own way
                continue
            what = "; ".join(f"{name} {list(value.shape[1:])}" for name, value in changed.items())
            found = passed(model, changed, f"inputs of other lengths ({what})")
            gap, size = 0.0, 0.0
            for name, value in found.items():
                gap = max(gap, float(apart(np.asarray(wanted[name]), value).max()))
                size = max(size, float(np.abs(finite(np.asarray(wanted[name]))).max()))
            if gap > LIMIT[rough] * max(size, 1e-6):
                raise ReslabError(f"the exported model gives other outputs than the original for inputs of other "
                                  f"lengths ({what}): they differ by up to {gap:.3g} of {size:.3g}")  # fmt: skip
            said.append(f"{what}: largest difference {gap:.2g} (of {size:.2g})")
    return " | ".join(said)


def variants(graph: Graph) -> list[dict[str, float]]:
    """By the name of an axis: a factor of its length. Empty if only the batch may have any length."""
    batch = {axes[0] for axes in graph.dynamic.values() if 0 in axes}
    names = sorted({name for axes in graph.dynamic.values() for name in axes.values()} - batch)
    if not names:
        return []
    found = [dict.fromkeys(names, SHORTER), dict.fromkeys(names, LONGER)]
    if len(names) > 1:
        found.append({name: SHORTER if k % 2 else LONGER for k, name in enumerate(names)})
    return found


def stretched(inputs: Mapping[str, np.ndarray], graph: Graph, factors: Mapping[str, float]) -> dict[str, np.ndarray]:
    """The inputs with other lengths: cut, or continued with their own beginning."""
    found = {}
    for name, value in inputs.items():
        for axis, label in graph.dynamic.get(name, {}).items():
            if label in factors:
                n = value.shape[axis]
                value = np.take(value, np.arange(max(1, round(n * factors[label]))) % n, axis=axis)
        found[name] = value
    return found
