"""Train a residual network with random depth: in each mini-batch, some blocks are reduced to their shortcut.

Stochastic depth (Huang et al. 2016, arXiv 1603.09382): in each mini-batch, block l of L is dropped with probability
p l / L. Only effective paths (Veit et al. 2016, arXiv 1605.06431, section 5): each mini-batch uses exactly k randomly
chosen blocks, so that no path is longer than k. A dropped block is not computed.

In evaluation, each branch is multiplied by its probability of being kept (Huang et al., equation 5; Veit et al. do not
specify it, we do the same). At the end of training this factor is folded into the last weights of each branch, so that
the result is an ordinary net. Dividing by the probability in training instead, as dropout does, fails: ResNet-56 with
12 of 27 blocks on digits stayed at 81 % training error, while this way reaches 0 %.

In a net of another library the residual connections are found by look, and edited in each step from outside. There the
kept branch is divided by its probability in training, as timm's DropPath does, because its last weights need not be
linear: evaluation needs no factor, and the result is an ordinary net. While few blocks are dropped the two ways hardly
differ. A dropped branch is computed there, and its BatchNorm statistics move. Frozen blocks are always kept.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from reslab.blocks import Residual, Streams
from reslab.errors import ReslabWarning, UsageError, arg, tell
from reslab.look.edit.edits import Change, Edit, silence
from reslab.look.edit.intervene import acting
from reslab.look.graph.checks import misses
from reslab.look.graph.example import Example
from reslab.look.graph.merges import Merge, find
from reslab.train.order import shuffled, uniform
from reslab.train.recipe import Recipe

DEPTH = 16  # a random stream separate from those of order, crops and colors


def residual_blocks(net: nn.Module) -> list[Residual]:
    return [m for m in net.modules() if isinstance(m, Residual) and m.shortcut is not None]


def trained_blocks(net: nn.Module) -> list[Residual]:
    """The residual blocks that are not frozen: a frozen one is always kept, and its weights are not folded into."""
    return [block for block in residual_blocks(net) if is_trained(block)]


def is_trained(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return not parameters or any(p.requires_grad for p in parameters)


def merges_of(net: nn.Module, example: Example) -> tuple[Merge, ...]:
    """The residual connections of another library's net that can be disabled, found by look; reports how many."""
    found = find(net, example)
    far = misses(net, example, list(found))
    good = tuple(one for one in found if one.reachable and one.index not in far and one.kind != "mixed"
                 and is_trained(net.get_submodule(one.module)))  # fmt: skip
    if good:
        tell("random depth: found %s residual connections in %s; %s of them are dropped at random",
             f"{len(found):,}", type(net).__name__, f"{len(good):,}" if len(good) < len(found) else "all")  # fmt: skip
    return good


def divided(chance: float) -> Change:
    return lambda branch: branch / chance


class RandomDepth:
    """Which blocks are kept in each iteration, determined by (seed, iteration)."""

    def __init__(self, net: nn.Module, recipe: Recipe, example: Callable[[], Example] | None = None) -> None:
        self.net, self.recipe, self.blocks = net, recipe, trained_blocks(net)
        self.random = bool(recipe.stochastic_depth or recipe.active_blocks)
        self.merges: tuple[Merge, ...] = ()
        if self.random and example and not residual_blocks(net):
            self.merges = merges_of(net, example())
        self.n = n = len(self.blocks) or len(self.merges)
        if self.random and any(isinstance(module, Streams) for module in net.modules()):
            raise UsageError("stochastic_depth and active_blocks reduce blocks to their skip, but this net's blocks "
                             "mix streams; leave them out, or the streams")  # fmt: skip
        if self.random and not n:
            raise UsageError("stochastic_depth and active_blocks need residual blocks that are trained, but this net "
                             "has none")  # fmt: skip
        if self.merges and 0 < 2 * recipe.active_blocks < n:
            times = n / recipe.active_blocks
            warnings.warn(ReslabWarning(
                f"with {recipe.active_blocks} of {n} blocks, each branch that is kept counts {times:.1f} times in "
                "training, which may keep the net from learning; use at least half of the blocks, or ",
                arg("stochastic_depth", 0.2),
            ), stacklevel=2)  # fmt: skip
        if recipe.active_blocks > n:
            raise UsageError(f"active_blocks must be at most the net's {n} residual blocks, got {recipe.active_blocks}")

    def chances(self) -> list[float]:
        """Each block's probability of being kept."""
        n = self.n
        if self.recipe.active_blocks:
            return [self.recipe.active_blocks / n] * n
        return [1 - self.recipe.stochastic_depth * (i + 1) / n for i in range(n)]

    def staying(self, iteration: int) -> list[bool]:
        """Which blocks are kept in this iteration."""
        n, key = self.n, (self.recipe.seed, iteration, DEPTH)
        if self.recipe.active_blocks:
            stay = set(shuffled(n, *key)[: self.recipe.active_blocks].tolist())
            return [i in stay for i in range(n)]
        return [u < p for p, u in zip(self.chances(), uniform(n, *key), strict=True)]

    @contextlib.contextmanager
    def drawn(self, iteration: int) -> Iterator[None]:
        """Inside, the net uses only the blocks of this iteration."""
        if not self.random:
            yield
        elif self.merges:
            pairs = zip(self.merges, self.staying(iteration), self.chances(), strict=True)
            edits = {merge.index: Edit(branch=divided(chance)) if stays else silence()
                     for merge, stays, chance in pairs if not stays or chance < 1}  # fmt: skip
            with acting(self.net, self.merges, edits):
                yield
        else:
            with weighed(self.blocks, [float(stays) for stays in self.staying(iteration)]):
                yield

    @contextlib.contextmanager
    def expected(self, net: nn.Module) -> Iterator[None]:
        """Inside, each branch of `net` (this net or its average) is multiplied by its probability of being kept.

        Of another library's net it is not: there the training divides by it.
        """
        with weighed(trained_blocks(net), self.chances()) if self.random and self.blocks else contextlib.nullcontext():
            yield

    def fold_in_chances(self, net: nn.Module) -> None:
        """Multiply each branch's last weights by its probability of being kept, at the end of training."""
        for block, chance in zip(trained_blocks(net), self.chances() if self.blocks else (), strict=True):
            side = block.scale if block.scale is not None and list(block.scale.parameters()) else block.branch
            last = [m for m in side.modules() if list(m.parameters(recurse=False))][-1]
            with torch.no_grad():
                for p in last.parameters(
                    recurse=False
                ):  # of a convolution, BatchNorm or scale, whose output is linear in them
                    p.mul_(chance)


@contextlib.contextmanager
def weighed(blocks: Sequence[Residual], factors: Sequence[float]) -> Iterator[None]:
    """Inside, each block adds factor * f in the place of f, its scaled branch; with factor 0, it is not computed."""
    try:
        for block, factor in zip(blocks, factors, strict=True):
            if factor != 1:
                vars(block)["forward"] = changed(block, factor)
        yield
    finally:
        for block in blocks:
            vars(block).pop("forward", None)


def changed(block: Residual, factor: float) -> Callable[..., Tensor]:
    assert block.shortcut is not None
    shortcut, scale, gate = block.shortcut, block.scale or nn.Identity(), block.gate

    def forward(x: Tensor, *beside: Tensor | None) -> Tensor:
        skip = shortcut(x)
        if factor == 0 and gate is None:
            return block.after(skip.clone())  # an in-place ReLU must not overwrite x, which autograd may have saved
        f = torch.zeros_like(skip) if factor == 0 else factor * scale(block.branch(x, *beside))
        return block.after(skip + f if gate is None else gate(skip, f))

    return forward
