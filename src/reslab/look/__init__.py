"""Look inside any residual PyTorch model: find its merges, act on them, measure what each block does."""

from reslab.look.edits import Edit, detach_branch, detach_skip, keep, put, silence, take
from reslab.look.intervene import Reading, acting, intervene, read
from reslab.look.layers import Layer, find_layers
from reslab.look.merges import Merge, Merges, find

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
    "intervene",
    "keep",
    "put",
    "read",
    "silence",
    "take",
]
