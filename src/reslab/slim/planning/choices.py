"""Which blocks may go next, and what goes with them."""

from collections import Counter
from collections.abc import Sequence

from reslab.errors import UsageError, nearest
from reslab.slim.block import Block, Blocks

Keep = str | int | Sequence[str | int]  # a block that stays, or several
Removed = tuple[int, ...]  # indices of blocks, in the order in which they went


class Choices:
    """The blocks of a model that may go: removable, not kept, and never the last entry of their container."""

    def __init__(self, blocks: Blocks, keep: Keep = ()) -> None:
        self.blocks = blocks
        kept = set(kept_of(blocks, keep))
        self.free = tuple(block for block in blocks.removable if block.index not in kept)
        if not self.free:
            raise UsageError(f"{blocks.model} has no block that can be removed: {reasons(blocks, kept)}")

    def after(self, removed: Removed) -> list[Block]:
        """The blocks that may go next, in forward order: none of them lies in a removed one, or around one."""
        gone = [f"{self.blocks[index].module}." for index in removed]
        free = {block.index for block in self.free}
        return [
            block
            for block in self.blocks.left(removed)
            if block.index in free and not any(one.startswith(f"{block.module}.") for one in gone)
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
        inside = Counter(block.container for block in self.free if block.empties)
        full = [block.container for block in self.free if inside[block.container] >= block.entries > 0]
        notes = [f"one block of {name} stays, because a container may not become empty" for name in dict.fromkeys(full)]
        whys: dict[str, list[str]] = {}
        for block in self.blocks:
            alone = block.empties and block.entries == 1
            around = any(other.module.startswith(f"{block.module}.") for other in self.blocks)
            if not (block.removable or block.kind == "part" or alone or around):
                whys.setdefault(block.why, []).append(block.module)
        return notes + [f"{some(modules)} cannot be removed: {why}" for why, modules in whys.items()]


def some(modules: Sequence[str]) -> str:
    """The first few of several modules."""
    more = f" and {len(modules) - 3} more" if len(modules) > 3 else ""
    return ", ".join(modules[:3]) + more


def kept_of(blocks: Blocks, keep: Keep) -> list[int]:
    """The indices of the blocks that stay, increasing: one by itself, or several."""
    return sorted({block_of(blocks, one).index for one in listed(keep)})


def listed(keep: Keep) -> list[str | int]:
    """A block by itself, or several, as a list: "layers.1" is one block and no list of letters."""
    return [keep] if isinstance(keep, str | int) else list(keep)


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
    said = [f"{reason} ({count} blocks)" if count > 1 else reason for reason, count in why.most_common(4)]
    if kept:
        said.append(f"{len(kept)} are kept as requested")
    return "; ".join(said or blocks.notes) or "no module around residual connections was recognized in it"
