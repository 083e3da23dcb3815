"""Look inside any residual PyTorch model: find its residual connections, edit them, measure what each block does.

    merges = look.find(model, example)                 # every residual connection, found in one pass
    with look.intervene(model, merges, {3: look.silence()}):
        model(example)                                 # runs with block 3 disabled
    look.lesions(model, [(x, labels)])                 # disable each block, k at random; reorder blocks
    look.paths(model, [(x, labels)])                   # the exact gradient by path length
    print(look.certify(model, example))                # skip + branch = out, checked for every merge
    look.page(model, [(x, labels)], "look.html")       # all of it on one page

In a notebook, results show themselves as tables; result.frame() is a data frame, result.plot() a figure.

A merge is a residual connection: a sum skip + branch. `model` is any nn.Module, and batches are
[(input, labels or None), ...] on its device. All functions leave the model unchanged.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from reslab.look.certificate import Certificate, Certified, Difference
from reslab.look.certify import certify
from reslab.look.edit.edits import Edit, detach_branch, detach_skip, keep, mean, put, resample, silence, take
from reslab.look.edit.intervene import acting, intervene
from reslab.look.edit.reading import Reading, Readings, read
from reslab.look.flow.gradients import gradients
from reslab.look.flow.influence import influence
from reslab.look.flow.responses import responses
from reslab.look.graph.layers import Layer, find_layers
from reslab.look.graph.merges import Merge, Merges, find
from reslab.look.lesion.lesion import lesions
from reslab.look.lesion.readout import readout
from reslab.look.path.paths import paths

__all__ = [
    "Certificate",
    "Certified",
    "Difference",
    "Edit",
    "Layer",
    "Merge",
    "Merges",
    "Reading",
    "Readings",
    "acting",
    "certify",
    "detach_branch",
    "detach_skip",
    "find",
    "find_layers",
    "gradients",
    "influence",
    "intervene",
    "keep",
    "lesions",
    "mean",
    "page",
    "paths",
    "put",
    "read",
    "readout",
    "resample",
    "responses",
    "silence",
    "take",
]


def page(*given: Any, **options: Any) -> "Path":
    """Run every analysis on a model and write one page: page(model, batches, "look.html"); see reslab.subject.page."""
    # By name: the page needs the report, and this room imports none of the rooms above it.
    found: Path = import_module("reslab.subject.page").page(*given, **options)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
