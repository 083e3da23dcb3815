"""The blocks of a model that can be removed, each as one."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, overload

from reslab.errors import UsageError, nearest
from reslab.look.graph.merges import Merges

Kind = Literal["block", "branch", "part"]


@dataclass(frozen=True, kw_only=True)
class Block:
    """What is removed as one.

    "block": a whole module of a list, which then passes its input on. "branch": the branch of a block whose skip is a
    projection; the projection stays. "part": one of several branches in a block, such as the attention or the MLP.
    """

    index: int
    module: str  # path of the module: "layer1.1", "model.layers.3", "model.layers.3.mlp"
    kind: Kind
    container: str  # path of the Sequential or ModuleList whose entry it is, or lies in; "" if there is none
    merges: tuple[int, ...]  # the residual connections that are disabled together to measure it: indices in `merges`
    params: int  # what goes with it
    macs: int  # multiply-adds that go with it, of one example: an image, a row, a window of a text
    removable: bool
    why: str  # the reason why it is removable or not
    entries: int = 0  # how many entries its container has: they may not all go; 0: it lies in none
    keeps: tuple[str, ...] = ()  # what stays of a "branch", in order: paths of modules, and "relu" for the function
    # What the module returns: "x", its input; or a tuple of x, None and other inputs (by number or name): "(x, None)".
    returns: str = "x"

    @property
    def empties(self) -> bool:
        """Whether its container has an entry less without it."""
        return self.kind == "block" and bool(self.container)


@dataclass(frozen=True)
class Blocks(Sequence[Block]):
    """The blocks of a model in forward order, and the residual connections by which they are measured.

    blocks[3], blocks["layer1.0"]: a block by index or by its module.
    """

    model: str  # its class
    merges: Merges  # of the same model; those of whole modules with a norm after the addition are `named`
    blocks: tuple[Block, ...]
    params: int  # of the whole model
    macs: int  # of the whole model and one example: those of a pass, divided by the first dimension of its input
    notes: tuple[str, ...] = ()

    @property
    def removable(self) -> tuple[Block, ...]:
        """Those that can be removed."""
        return tuple(block for block in self.blocks if block.removable)

    def left(self, gone: Collection[int]) -> tuple[Block, ...]:
        """Those that can be removed after the blocks `gone`, by index: no container is left empty."""
        taken = Counter(self.blocks[i].container for i in gone if self.blocks[i].empties)
        inside = [f"{self.blocks[i].module}." for i in gone if self.blocks[i].kind != "part"]
        return tuple(
            block
            for block in self.removable
            if block.index not in gone
            and not (block.empties and taken[block.container] + 1 >= block.entries)
            and not f"{block.module}.".startswith(tuple(inside))
        )

    @overload
    def __getitem__(self, i: int | str) -> Block: ...
    @overload
    def __getitem__(self, i: slice) -> tuple[Block, ...]: ...
    def __getitem__(self, i: int | str | slice) -> Block | tuple[Block, ...]:
        if not isinstance(i, str):
            return self.blocks[i]
        for block in self.blocks:
            if block.module == i:
                return block
        raise UsageError(f"{self.model} has no block {i!r}{nearest(i, [block.module for block in self.blocks])}")

    def __len__(self) -> int:
        return len(self.blocks)

    def __iter__(self) -> Iterator[Block]:
        return iter(self.blocks)
