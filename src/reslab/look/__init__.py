"""Look inside any residual PyTorch model: find its merges, act on them, measure what each block does.

    merges = look.find(model, example)                 # every residual addition, by one pass
    with look.intervene(model, merges, {3: look.silence()}):
        model(example)                                 # without block 3's branch
    look.lesions(model, [(x, labels)])                 # every block silenced alone, k at random, reordered
    look.paths(model, [(x, labels)])                   # the gradient by path length, exactly

`model` is any nn.Module; batches are [(input, labels or None), ...] on its device. It comes back as it was.
"""

from reslab.look.edits import Edit, detach_branch, detach_skip, keep, put, silence, take
from reslab.look.gradients import gradients
from reslab.look.influence import influence
from reslab.look.intervene import Reading, acting, intervene, read
from reslab.look.layers import Layer, find_layers
from reslab.look.lesion import lesions
from reslab.look.merges import Merge, Merges, find
from reslab.look.paths import paths
from reslab.look.readout import readout
from reslab.look.responses import responses

__all__ = [
    "Edit",
    "Layer",
    "Merge",
    "Merges",
    "Reading",
    "acting",
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
