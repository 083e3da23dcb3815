"""Training a residual network of random depth: some blocks are their shortcut alone for one mini-batch.

Stochastic depth (Huang et al. 2016, arXiv 1603.09382): block l of L is left out with probability p l / L, drawn for
each mini-batch. Only effective paths (Veit et al. 2016, arXiv 1605.06431, section 4.2): exactly k blocks, drawn for
each mini-batch, so that no path is longer than k. A block that is left out is not computed.

Huang et al. multiply each branch by its chance to stay when testing; we divide by it when training, so that the net
that is kept is an ordinary one. Veit et al. do not say; we do the same.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from torch import Tensor, nn

from reslab.blocks import Residual
from reslab.data.order import shuffled, uniform
from reslab.errors import UsageError
from reslab.train.recipe import Recipe

DEPTH = 16  # a stream of its own beside the order's, the crops' and the colors'


class RandomDepth:
    """Which blocks stay in each iteration, fixed by (seed, iteration)."""

    def __init__(self, net: nn.Module, recipe: Recipe) -> None:
        self.recipe = recipe
        self.random = bool(recipe.stochastic_depth or recipe.active_blocks)
        self.blocks = [m for m in net.modules() if isinstance(m, Residual) and m.shortcut is not None]
        wanted = recipe.active_blocks
        if self.random and not self.blocks:
            raise UsageError("stochastic_depth and active_blocks need residual blocks, and this net has none")
        if wanted > len(self.blocks):
            raise UsageError(
                f"active_blocks must be at most the net's {len(self.blocks)} residual blocks, got {wanted}"
            )

    def factors(self, iteration: int) -> list[float]:
        """What each block's branch is multiplied by: 0 where it is left out, else one over its chance to stay."""
        n, key = len(self.blocks), (self.recipe.seed, iteration, DEPTH)
        if self.recipe.active_blocks:
            stay = set(shuffled(n, *key)[: self.recipe.active_blocks].tolist())
            return [n / self.recipe.active_blocks if i in stay else 0.0 for i in range(n)]
        chances = [1 - self.recipe.stochastic_depth * (i + 1) / n for i in range(n)]
        return [1 / p if u < p else 0.0 for p, u in zip(chances, uniform(n, *key), strict=True)]

    @contextlib.contextmanager
    def drawn(self, iteration: int) -> Iterator[None]:
        """Inside, the net computes with the blocks of this iteration only."""
        with shortened(self.blocks, self.factors(iteration)) if self.random else contextlib.nullcontext():
            yield


@contextlib.contextmanager
def shortened(blocks: Sequence[Residual], factors: Sequence[float]) -> Iterator[None]:
    """Inside, each block is after(shortcut(x) + factor * branch(x)), without its branch where the factor is 0."""
    try:
        for block, factor in zip(blocks, factors, strict=True):
            block.forward = weighed(block, factor)  # type: ignore[assignment, method-assign]
        yield
    finally:
        for block in blocks:
            vars(block).pop("forward", None)


def weighed(block: Residual, factor: float) -> Callable[[Tensor], Tensor]:
    assert block.shortcut is not None
    shortcut = block.shortcut
    if factor == 0:
        return lambda x: block.after(shortcut(x).clone())  # a ReLU in place must not write into x, which others saved
    return lambda x: block.after(shortcut(x) + factor * block.branch(x))
