"""torch.export of a graph, with the axes that may have any length."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import torch
from torch.export import Dim, ExportedProgram

from reslab.errors import ReslabError
from reslab.ship.export.convert.reasons import reason
from reslab.ship.exportable import Graph

LIBRARIES = ("torch", "onnxscript", "onnx_ir")  # their loggers report each pass


def exported(graph: Graph) -> ExportedProgram:
    """The graph's module as torch.export traces it. Raises ReslabError if it cannot be traced with its axes free."""
    names = {name for axes in axes_of(graph).values() for name in axes.values()}
    dims = {name: Dim(name, min=1, max=graph.most.get(name)) for name in names}
    shapes = tuple({axis: dims[name] for axis, name in axes_of(graph).get(one, {}).items()} for one in graph.example)
    if few := [name for name, axes in axes_of(graph).items() for axis in axes if graph.example[name].shape[axis] < 2]:
        raise ReslabError(f"the example of {few[0]} has an axis of 1, to which torch.export would fix the graph")
    with torch.no_grad(), unreported():
        try:
            return torch.export.export(graph.module, tuple(graph.example.values()), dynamic_shapes=shapes)
        except Exception as error:  # of any module; torch's own have no common base
            free = " and ".join(sorted(names)) or "no axis"
            raise ReslabError(f"the model cannot be exported with any length of {free}: {reason(error)}") from error


def axes_of(graph: Graph) -> dict[str, dict[int, str]]:
    """The free axes of the module itself: what is fitted before it comes in one size."""
    whole = {name: dict(axes) for name, axes in graph.dynamic.items()}
    if graph.fit is not None:
        whole[graph.fit.input] = {0: whole[graph.fit.input][0]}
    return whole


@contextlib.contextmanager
def unreported() -> Iterator[None]:
    """Inside, libraries that convert neither warn nor log, nor print the graph that they fail on."""
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    hidden = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(hidden), contextlib.redirect_stderr(hidden):
        warnings.simplefilter("ignore")
        try:
            for name in LIBRARIES:
                logging.getLogger(name).setLevel(logging.ERROR)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
