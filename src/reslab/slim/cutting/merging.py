"""Fold what is linear: two layers between which a removal has left nothing but BatchNorm become one.

After the blocks between them are gone, one block's last convolution may stand directly before the first of another
(inverted bottlenecks: MobileNetV2, EfficientNet), and some branches have two in a row (ConvSDS). In a ResNet a ReLU
stands between any two convolutions, also where only a projection is left, so that nothing can be folded.
"""

import copy
from dataclasses import dataclass
from typing import get_args

from torch import nn

from reslab.errors import ReslabError
from reslab.look.graph.example import Example, batch_size
from reslab.look.graph.merges import plain
from reslab.look.graph.passes import as_it_was
from reslab.look.graph.questions import BATCH_NORMS, followers, size
from reslab.look.graph.shapes import graph_of
from reslab.look.graph.trace import Graph
from reslab.slim.cutting.changes import assigned
from reslab.slim.cutting.folding import Layer, Norm, folded, macs, obstacle
from reslab.slim.cutting.forms import apart, run
from reslab.slim.surgery import put

LINEAR = frozenset("convolution _convolution linear addmm mm conv1d conv2d conv3d".split())
VIEWS = frozenset("view _unsafe_view reshape _reshape_alias alias detach contiguous clone".split())


@dataclass(frozen=True)
class Fold:
    """Two layers, and the norms between them, that were or could be one."""

    first: str
    second: str
    norms: tuple[str, ...]
    before: int  # multiply-adds of both, of one example
    after: int  # of the one
    why: str  # why it was not done; "" if it was

    def __str__(self) -> str:
        if self.why:
            return f"{self.first} and {self.second} are not folded: {self.why}"
        return f"{self.first} and {self.second} are one layer now ({self.before:,} to {self.after:,} multiply-adds)"


@dataclass(frozen=True, kw_only=True)
class Merged:
    """A model with layers folded, in eval mode equal to the one before up to rounding."""

    model: nn.Module
    folds: tuple[Fold, ...]  # those done, then those not done
    difference: float
    statements: tuple[str, ...] = ()  # what makes a model of this form of the one before, on `net`

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.folds:
            return ("nothing was folded: a nonlinearity stands between any two layers of the model",)
        return tuple(map(str, self.folds))


def merge(model: nn.Module, example: Example, *, costlier: bool = False) -> Merged:
    """Fold every two layers that are linear together, exactly, where one costs no more than two.

    For use after healing: BatchNorms between them are folded with their present statistics. `costlier`: also where the
    one layer has more multiply-adds, which fewer calls may outweigh. A pair is left alone where it would differ, such
    as at a padded border; each `Fold` says why. The model itself is left unchanged. Raises ReslabError if the outputs
    differ by more than rounding (1e-5 of the largest score, in double precision 1e-10).
    """
    model = plain(model)
    before = run(model, example)
    made, folds, statements = copy.deepcopy(model), list[Fold](), list[str]()
    skipped: dict[tuple[str, str], Fold] = {}
    while True:  # three layers in a row become one in two steps
        new = next((one for one in pairs(made, example, costlier) if (one.first, one.second) not in skipped), None)
        if new is None:
            break
        if new.why:
            skipped[new.first, new.second] = new
            continue
        statements += apply(made, new)
        folds.append(new)
    far = apart(run(made, example), before)
    if far > (1e-10 if before.dtype.itemsize == 8 else 1e-5):
        raise ReslabError(f"{type(model).__name__} with layers folded differs by {far:.2g}, so nothing was folded")
    return Merged(model=made, folds=(*folds, *skipped.values()), difference=far, statements=tuple(statements))


def apply(model: nn.Module, fold: Fold) -> list[str]:
    """Put the one layer in the place of the first, and the identity in that of the others; the statements for it."""
    first, second = (model.get_submodule(path) for path in (fold.first, fold.second))
    norms = [model.get_submodule(path) for path in fold.norms]
    one = folded(first, second, norms)  # type: ignore[arg-type]
    lines = [assigned(model, fold.first, f"nn.{one!r}")]
    put(model, fold.first, one)
    for path in (*fold.norms, fold.second):
        lines.append(assigned(model, path, "nn.Identity()"))
        put(model, path, nn.Identity())
    return lines


def pairs(model: nn.Module, example: Example, costlier: bool) -> list[Fold]:
    """Every two layers of which the second reads nothing but what the first gives, in forward order."""
    with as_it_was(model):
        graph, _, _ = graph_of(model, example)
    layers = {i for i, value in enumerate(graph.values) if value.op in LINEAR and alone(model, graph, value.path)}
    found = []
    for i in sorted(layers):
        rows = isinstance(model.get_submodule(graph.values[i].path), nn.Linear)
        norms, at = list[str](), only_user(graph, i, rows=rows)
        while at is not None and is_norm(model, graph, at):
            norms.append(graph.values[at].path)
            at = only_user(graph, at, rows=rows)
        if at is not None and at in layers:
            found.append(judged(model, graph, (i, at), tuple(norms), costlier=costlier, batch=batch_size(example)))
    return found


def is_norm(model: nn.Module, graph: Graph, index: int) -> bool:
    """Whether a value is a BatchNorm's, by a module that is called once."""
    path = graph.values[index].path
    module = model.get_submodule(path)
    return graph.values[index].op in BATCH_NORMS and isinstance(module, Norm) and graph.times[path] == 1


def alone(model: nn.Module, graph: Graph, path: str) -> bool:
    """Whether the module is one linear layer, called once in a pass, and nothing else hangs on it."""
    module = model.get_submodule(path)
    return type(module) in get_args(Layer) and graph.times[path] == 1 and not module._forward_hooks


def only_user(graph: Graph, index: int, *, rows: bool) -> int | None:
    """The one value computed from this one, past views of it; None if there are several, or it is an output.

    Views may change the shape only of `rows` of vectors, which a linear layer reads: not the last axis.
    """
    while True:
        users = followers(graph, index)
        if len(users) != 1 or index in graph.outputs:
            return None
        before, after = graph.values[index].shape, graph.values[users[0]].shape
        if graph.values[users[0]].op not in VIEWS or (before[-1:] != after[-1:] if rows else before != after):
            return users[0]
        index = users[0]


def judged(
    model: nn.Module, graph: Graph, pair: tuple[int, int], norms: tuple[str, ...], *, costlier: bool, batch: int
) -> Fold:
    """The pair, and why it is not folded."""
    i, j = pair
    first, second = (model.get_submodule(graph.values[k].path) for k in (i, j))
    between = [model.get_submodule(path) for path in norms]
    why = obstacle(first, second, between)  # type: ignore[arg-type]
    before = (graph.values[i].macs + graph.values[j].macs) // batch
    after = 0 if why else macs(first, second, size(graph, j) // len(second.weight) // batch)  # type: ignore[arg-type]
    if not why and after > before and not costlier:
        why = f"exact, but one layer has {after:,} multiply-adds and the two have {before:,}"
    return Fold(graph.values[i].path, graph.values[j].path, norms, before, after, why)
