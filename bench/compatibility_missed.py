"""Independent evidence of a missed residual connection, from the blocks that a model's author repeated.

A block is an entry of a ModuleList or Sequential whose output has the shape of its input.
"""

import re
from collections import defaultdict
from typing import Any

import torch
from torch import nn

from reslab.look import Merges, find_layers
from reslab.look.graph.example import first_of
from reslab.look.graph.passes import as_it_was, call


def suspects(model: nn.Module, example: Any, merges: Merges) -> list[str]:
    """Classes of blocks of which some have no residual connection, and layers in no branch of a block that has one.

    Some nets have such blocks by design: compatibility_explained.py says which.
    """
    classes: dict[str, list[str]] = defaultdict(list)
    for name, kind in blocks(model, example):
        if not any(merge.module and name.startswith(f"{merge.module}.") for merge in merges):  # not inside a branch
            classes[kind].append(name)
    where = [path for merge in merges for path in (merge.path, merge.module)]
    full = {name for names in classes.values() for name in names if any(is_in(path, name) for path in where)}
    found = []
    for kind, names in classes.items():
        empty = [name for name in names if name not in full]
        if empty and len(names) > 1:
            found.append(f"{len(empty)} of {len(names)} {kind} without: {', '.join(empty[:3])}")
    layers: dict[str, list[str]] = defaultdict(list)
    for layer in find_layers(model, example, values=True):
        if layer.merge is None and not layer.shortcut and any(is_in(layer.module, name) for name in full):
            layers[re.sub(r"\d+", "*", layer.module)].append(layer.module)
    return found + [f"{len(names)} layers {pattern} in no branch: {names[0]}" for pattern, names in layers.items()]


def blocks(model: nn.Module, example: Any) -> list[tuple[str, str]]:
    """The blocks with at least two weights, in the order they run: (name, class)."""
    lists = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.ModuleList | nn.Sequential)]
    known = [(f"{name}.{number}".strip("."), block) for name, m in lists for number, block in m.named_children()]
    kept: dict[str, str] = {}
    handles = []
    for name, block in known:

        def note(module: nn.Module, args: tuple, kwargs: dict, output: Any, name: str = name) -> None:
            before, after = first_of([*args, *kwargs.values()]), first_of(output)
            weights = sum(p.dim() > 1 for p in module.parameters())
            if before is not None and after is not None and before.dim() > 2 and before.shape == after.shape:
                kept.update({name: type(module).__name__} if weights > 1 else {})

        handles.append(block.register_forward_hook(note, with_kwargs=True))
    with torch.no_grad(), as_it_was(model):
        call(model, example)
    for handle in handles:
        handle.remove()
    return list(kept.items())


def is_in(path: str, block: str) -> bool:
    return path == block or path.startswith(f"{block}.")
