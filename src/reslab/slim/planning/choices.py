"""Which blocks may go next, and what goes with them."""

from collections import Counter
from collections.abc import Sequence

from torch import nn

from reslab.errors import UsageError, nearest
from reslab.slim.block import Block, Blocks

Removed = tuple[int, ...]  # indices of blocks, in the order in which they went


class Choices:
    """The blocks of a model that may go: removable, not kept, and never the last entry of their container."""

    def __init__(self, model: nn.Module, blocks: Blocks, keep: Sequence[str | int] = ()) -> None:
        self.blocks = blocks
        kept = {block_of(blocks, one).index for one in keep}
        self.free = tuple(block for block in blocks.removable if block.index not in kept)
        self.entries = {block.container: entries(model, block.container) for block in blocks if block.container}
        if not self.free:
            raise UsageError(f"{blocks.model} has no block that can be removed: {reasons(blocks, kept)}")

    def after(self, removed: Removed) -> list[Block]:
        """The blocks that may go next, in forward order."""
        gone = [self.blocks[index] for index in removed]
        left = Counter(self.entries)
        left.subtract(block.container for block in gone if block.kind == "block" and block.container)
        return [
            block
            for block in self.free
            if not any(overlap(block, one) for one in gone)
            and not (block.kind == "block" and block.container and left[block.container] < 2)
        ]

    def all(self) -> Removed:
        """As many blocks as can go together: from the last one on, because any choice gives the same number."""
        removed: Removed = ()
        while after := self.after(removed):
            whole = [block for block in after if block.kind != "part"] or after
            removed = (*removed, whole[-1].index)
        return removed

    def macs(self, removed: Removed) -> int:
        """Of the whole model without them."""
        return self.blocks.macs - sum(self.blocks[index].macs for index in removed)

    def params(self, removed: Removed) -> int:
        return self.blocks.params - sum(self.blocks[index].params for index in removed)

    def protected(self) -> list[str]:
        """What this search does not touch, for the notes of the plan."""
        full = [name for name in self.entries if sum(b.container == name and b.kind == "block" for b in self.free)
                >= self.entries[name]]  # fmt: skip
        return [f"one block of {name} stays, because a container may not become empty" for name in full]


def overlap(one: Block, other: Block) -> bool:
    """Whether they are one block, or one lies in the other: then only one of them can go."""
    inner, outer = sorted((one.module, other.module), key=len, reverse=True)
    return inner == outer or inner.startswith(f"{outer}.") or not outer


def entries(model: nn.Module, container: str) -> int:
    """How many modules the container holds."""
    found = model.get_submodule(container)
    return len(found._modules)


def block_of(blocks: Blocks, named: str | int) -> Block:
    """A block by its module or index. Raises UsageError if there is none."""
    if isinstance(named, bool) or not isinstance(named, str | int):
        raise UsageError(f"a block is named by its module or its index, got {named!r}")
    if isinstance(named, str) and named.isdigit():
        named = int(named)
    if isinstance(named, int):
        if not 0 <= named < len(blocks):
            raise UsageError(f"{blocks.model} has no block {named}: it has blocks 0 to {len(blocks) - 1}")
        return blocks[named]
    modules = [block.module for block in blocks]
    if named not in modules:
        raise UsageError(f"{blocks.model} has no block {named!r}{nearest(named, modules)}")
    return blocks[named]


def reasons(blocks: Blocks, kept: set[int]) -> str:
    """Why no block can go, counted by reason."""
    why = Counter(block.why for block in blocks if not block.removable)
    if any(block.removable for block in blocks):
        why[f"{sum(block.removable for block in blocks)} are kept as requested"] += 0
    if not why:
        return " ".join(blocks.notes) or ("no module of a list around residual connections was recognized in it; other "
                                          "blocks may exist")  # fmt: skip
    return "; ".join(f"{count} x {reason}" if count > 1 else reason for reason, count in why.most_common(4))
