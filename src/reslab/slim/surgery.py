"""Take blocks out of a model in place: at the same path stands a module that passes its input on.

All other modules keep their paths, so residual connections found before stay valid, and the pass gets cheaper.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.graph.example import first_of
from reslab.look.graph.merges import plain
from reslab.slim.block import Block

PLAIN = (bool, int, float, str, type(None), tuple)  # attributes of a layer that the model around it may read


class Passing(nn.Module):
    """x, in the form in which the block returned it: a tensor, or a tuple whose other entries are None or inputs.

    `entry`: its number in the list of layers, by which a cache of keys and values counts the tokens.
    """

    def __init__(self, returns: str = "x", *, entry: int | None = None) -> None:
        super().__init__()
        self.returns, self.entry = returns, entry
        self.lent: list[nn.Module] = []  # the block, for a model that reads its layers' parts; a list: not registered

    def __getattr__(self, name: str) -> Any:
        lent = vars(self).get("lent")
        return getattr(lent[0], name) if lent else super().__getattr__(name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        x = first_of([*args, *kwargs.values()])
        count_tokens(self.entry, x, [*args, *kwargs.values()])
        return shaped(self.returns, x, args, kwargs)

    def extra_repr(self) -> str:
        return self.returns


class Nothing(Passing):
    """Zeros of x's shape, in the form in which the part returned its result."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        given = [*args, *kwargs.values()]
        x = first_of(given)
        if not any(isinstance(one, Tensor) and one.dim() == 3 and one is not x for one in given):
            count_tokens(self.entry, x, given)  # not for cross-attention, which has keys of another sequence
        return shaped(self.returns, None if x is None else torch.zeros_like(x), args, kwargs)


def count_tokens(entry: int | None, x: Tensor | None, given: Sequence[Any]) -> None:
    """Give a cache of keys and values, if there is one, keys of one number for the tokens of x.

    transformers reads the number of tokens so far, and with it the positions of the next ones, off entry 0 alone.
    """
    for one in given:
        cache = getattr(one, "self_attention_cache", one)
        if entry is not None and x is not None and hasattr(cache, "get_seq_length") and hasattr(cache, "layers"):
            if entry >= len(cache.layers) or hasattr(cache.layers[entry], "keys"):  # not a state of another kind
                key = x.new_zeros(x.shape[0], 1, x.shape[1], 1)
                cache.update(key, key, entry)
            return


def shaped(returns: str, x: Tensor | None, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The result in the form that `returns` describes: see Block.returns."""
    if not returns.startswith("("):
        return x
    names = [name.strip() for name in returns[1:-1].split(",") if name.strip()]
    return tuple(x if name == "x" else given(name, args, kwargs) for name in names)


def given(name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The input of that number or name; None for "None" and for one that was not passed."""
    if name.isdigit():
        return args[int(name)] if int(name) < len(args) else None
    return kwargs.get(name)


def bypass(model: nn.Module, blocks: Sequence[Block]) -> None:
    """Replace the blocks, in place: "block" by its input, "branch" by what stays of it, "part" by zeros.

    A block that lies in another one that is removed goes with it. What stands in for a block still lends its attributes
    to a model that reads them, though its weights are no parameters of the model any more. Raises UsageError for a
    block that cannot be removed, or that the model does not have.
    """
    for path, module in replacements(model, blocks).items():
        put(plain(model), path, module)


@contextlib.contextmanager
def bypassed(model: nn.Module, blocks: Sequence[Block]) -> Iterator[None]:
    """Inside, the model runs without the blocks; then it is as before."""
    model = plain(model)
    found = replacements(model, blocks)
    before = {path: model.get_submodule(path) for path in found}
    try:
        for path, module in found.items():
            put(model, path, module)
        yield
    finally:
        for path, module in before.items():
            put(model, path, module)


def replacements(model: nn.Module, blocks: Sequence[Block]) -> dict[str, nn.Module]:
    """The module that takes the place of each block's, by path."""
    model, found = plain(model), dict[str, nn.Module]()
    for block in outermost(blocks):
        if not block.removable:
            raise UsageError(f"block {block.index} ({block.module}) cannot be removed: {block.why}")
        try:
            old = model.get_submodule(block.module)
            found[block.module] = instead(model, block, old)
            if isinstance(found[block.module], Passing):
                vars(found[block.module])["lent"] = [old]
        except AttributeError:
            raise UsageError(f"{type(model).__name__} has no block {block.module!r}; find its blocks again") from None
    return found


def outermost(blocks: Sequence[Block]) -> list[Block]:
    """The blocks without those that lie in another one of them."""
    whole = [block.module for block in blocks if block.kind != "part"]
    return [block for block in blocks
            if not any(block.module.startswith(f"{path}.") or (block.kind == "part" and block.module == path)
                       for path in whole)]  # fmt: skip


def instead(model: nn.Module, block: Block, old: nn.Module) -> nn.Module:
    """What stands in the place of a block's module."""
    if block.kind == "branch":
        kept = [nn.ReLU() if name == "relu" else model.get_submodule(name) for name in block.keeps]
        return kept[0] if len(kept) == 1 else nn.Sequential(*(kept or [nn.Identity()]))
    new = (Nothing if block.kind == "part" else Passing)(block.returns, entry=entry(block))
    for name, value in vars(old).items():  # some models read attributes of their layers, such as attention_type
        if name not in vars(new) and not name.startswith("_") and isinstance(value, PLAIN):
            setattr(new, name, value)
    return new.train(old.training)


def entry(block: Block) -> int | None:
    """The number of the layer in its list; None if the list has names."""
    name = block.module.removeprefix(f"{block.container}.").partition(".")[0]
    return int(name) if block.container and name.isdigit() else None


def put(model: nn.Module, path: str, module: nn.Module) -> None:
    """Place a module at a path, which exists."""
    parent, _, name = path.rpartition(".")
    around = model.get_submodule(parent)
    around._modules[name] = module
