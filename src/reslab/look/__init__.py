"""Look inside any residual PyTorch model: find its residual connections, edit them, measure what each block does.

    merges = look.find(model, example)                 # every residual connection, found in one pass
    with look.intervene(model, merges, {3: look.silence()}):
        model(example)                                 # runs with block 3 disabled
    look.lesions(model, [(x, labels)])                 # disable each block, k at random; reorder blocks
    look.paths(model, [(x, labels)])                   # the exact gradient by path length
    print(look.certify(model, example))                # skip + branch = out, checked for every merge

A merge is a residual connection: a sum skip + branch. `model` is any nn.Module, and batches are
[(input, labels or None), ...] on its device. All functions leave the model unchanged.
"""

from reslab.look.certificate import Certificate, Certified, Difference
from reslab.look.certify import certify
from reslab.look.edit.edits import Edit, detach_branch, detach_skip, keep, put, silence, take
from reslab.look.edit.intervene import Reading, acting, intervene, read
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
    "paths",
    "put",
    "read",
    "readout",
    "responses",
    "silence",
    "take",
]


def __dir__() -> list[str]:
    return sorted(__all__)
