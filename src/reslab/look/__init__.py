"""Look inside any residual PyTorch model: find its merges, act on them, measure what each block does."""

from reslab.look.intervene import (
    Edit,
    Reading,
    acting,
    detach_branch,
    detach_skip,
    intervene,
    keep,
    put,
    read,
    silence,
    take,
)
from reslab.look.merges import Merge, Merges, find

__all__ = [
    "Edit", "Merge", "Merges", "Reading", "acting", "detach_branch", "detach_skip", "find", "intervene", "keep", "put",
    "read", "silence", "take",
]  # fmt: skip
