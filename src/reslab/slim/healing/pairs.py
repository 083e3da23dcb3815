"""Which block of a cut net is which block of the intact one."""

from collections.abc import Sequence

from torch import nn

from reslab.slim.block import Block
from reslab.slim.healing.beside import Pair


def pairs_of(
    small: nn.Module, intact: nn.Module, blocks: Sequence[Block], removed: Sequence[Block]
) -> tuple[Pair, ...]:
    """(path in the cut net, path in the intact one) of each block that is left, in forward order.

    `blocks`: of the intact model; those inside another block, and those of which only the shortcut stays, are left out.
    Entries after a removed one have moved up, unless something stays in its place.
    """
    gone = {block.module for block in removed}
    found = []
    for block in blocks:
        inside = any(block.module.startswith(f"{other.module}.") for other in blocks)
        if block.module in gone or inside or block.kind == "part":
            continue
        path = moved(block, small, intact, removed)
        if there(small, path) is not None and type(there(small, path)) is type(there(intact, block.module)):
            found.append((path, block.module))
    return tuple(found)


def moved(block: Block, small: nn.Module, intact: nn.Module, removed: Sequence[Block]) -> str:
    """A block's path in the cut net."""
    holder, _, entry = block.module.rpartition(".")
    lists = [there(net, holder) for net in (small, intact)]
    before = sum(1 for other in removed if other.module.rpartition(".")[0] == holder and entry.isdecimal()
                 and int(other.module.rpartition(".")[2]) < int(entry))  # fmt: skip
    if not before or not all(isinstance(one, nn.Sequential | nn.ModuleList) for one in lists):
        return block.module
    left, whole = (len(list(one.children())) for one in lists if one is not None)
    return block.module if left == whole else f"{holder}.{int(entry) - before}"


def there(net: nn.Module, path: str) -> nn.Module | None:
    try:
        return net.get_submodule(path)
    except AttributeError:
        return None
