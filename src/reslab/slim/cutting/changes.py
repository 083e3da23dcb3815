"""The changes that take blocks out of any model, applied to a copy and written as Python: one list for both."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import Literal

from torch import nn

from reslab.slim.block import Block
from reslab.slim.surgery import entry, instead, put

Whole = Literal["delete", "identity", "passing"]
How = Literal["delete", "identity", "passing", "branch", "zeros"]


@dataclass(frozen=True)
class Change:
    """What becomes of one block's module: its entry is deleted, or something else stands in its place."""

    path: str
    how: How
    block: Block


def changes(removed: Sequence[Block], *, whole: Whole) -> list[Change]:
    """The changes for these blocks, replacements first and deletions from the last entry of each list to its first.

    `whole`: what becomes of a block of which nothing stays, where its place and its result allow it.
    """
    found = []
    for block in removed:
        how: How = "branch" if block.kind == "branch" else "zeros"
        if block.kind == "block":
            fits = {"delete": block.empties, "identity": block.returns == "x", "passing": True}
            how = whole if fits[whole] else "identity" if whole == "delete" and fits["identity"] else "passing"
        found.append(Change(block.module, how, block))
    deleted = [change for change in found if change.how == "delete"]
    return [change for change in found if change.how != "delete"] + deleted[::-1]


def changed(model: nn.Module, some: Sequence[Change]) -> nn.Module:
    """A copy of the model with the changes."""
    model = copy.deepcopy(model)
    for change in some:
        if change.how == "delete":
            remove(model, change.path)
        elif change.how == "identity":
            put(model, change.path, nn.Identity())
        else:
            put(model, change.path, instead(model, change.block, model.get_submodule(change.path)))
    return model


def remove(model: nn.Module, path: str) -> None:
    """Delete an entry of a list; numbered entries after it get new numbers, named ones keep their names."""
    parent, _, name = path.rpartition(".")
    holder = model.get_submodule(parent)
    if numbered(holder, name):
        del holder[int(name)]  # type: ignore[operator]
    else:
        delattr(holder, name)


def lines(model: nn.Module, some: Sequence[Change], *, cached: bool = False) -> list[str]:
    """The changes as statements on `net`; the model is the intact one. `cached`: it may run with a cache of keys."""
    out = []
    for change in some:
        at = place(model, change.path)
        if change.how == "delete":
            parent, _, name = change.path.rpartition(".")
            out.append(
                f"del {at}"
                if numbered(model.get_submodule(parent), name)
                else f"delattr({place(model, parent)}, {name!r})"
            )
        elif change.how == "branch":
            kept = ["nn.ReLU()" if name == "relu" else place(model, name) for name in change.block.keeps]
            left = kept[0] if len(kept) == 1 else f"nn.Sequential({', '.join(kept)})" if kept else "nn.Identity()"
            out.append(assigned(model, change.path, left))
        else:
            given = f"{at}, {change.block.returns!r}" + (f", {entry(change.block)}" if cached else "")
            words = {"identity": "nn.Identity()", "passing": f"Passing({given})", "zeros": f"Zeros({given})"}
            out.append(assigned(model, change.path, words[change.how]))
    return out


def numbered(holder: nn.Module, name: str) -> bool:
    """Whether an entry is named by its place in a list: a Sequential of named entries may call its third one "7"."""
    return (
        isinstance(holder, nn.Sequential | nn.ModuleList)
        and name in map(str, range(len(holder)))
        and (list(holder._modules)[int(name)] == name)
    )


def place(model: nn.Module, path: str) -> str:
    """A module as Python: net.features[3][0]."""
    found, holder = "net", model
    for name in path.split(".") if path else []:
        plain = name.isidentifier() and not iskeyword(name)
        found += f"[{name}]" if numbered(holder, name) else f".{name}" if plain else f".get_submodule({name!r})"
        holder = holder.get_submodule(name)
    return found


def assigned(model: nn.Module, path: str, value: str) -> str:
    """The statement that puts a module at a path."""
    parent, _, name = path.rpartition(".")
    if numbered(model.get_submodule(parent), name) or (name.isidentifier() and not iskeyword(name)):
        return f"{place(model, path)} = {value}"
    return f"{place(model, parent)}.add_module({name!r}, {value})"
