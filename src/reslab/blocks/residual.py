"""A block with a skip."""

from torch import Tensor, nn

from reslab.errors import UsageError


class Residual(nn.Module):
    """after(shortcut(x) + branch(x)); with shortcut=None the plain twin, after(branch(x)).

    Branch and shortcut map (N, ...) to the same shape. Further arguments (a mask) are passed to the branch only.

    scale: changes what the branch gives before it is added, f = scale(branch(x)); see scale.py.
    gate: adds in the place of +, gate(shortcut(x), f); see gate.py. Raises UsageError if there is no shortcut.
    """

    def __init__(
        self, branch: nn.Module, shortcut: nn.Module | None, after: nn.Module | None = None, *,
        scale: nn.Module | None = None, gate: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if shortcut is None and gate is not None:
            raise UsageError("a gate acts on the shortcut, but this block has none; leave out gate")
        self.branch = branch
        self.shortcut = shortcut
        self.after = nn.Identity() if after is None else after
        self.scale = scale
        self.gate = gate

    def forward(self, x: Tensor, *beside: Tensor | None) -> Tensor:
        skip = None if self.shortcut is None else self.shortcut(x)
        f = self.branch(x, *beside)
        if self.scale is not None:
            f = self.scale(f)
        if skip is None:
            return self.after(f)
        return self.after(skip + f if self.gate is None else self.gate(skip, f))


def bare(shortcut: nn.Module | None, after: nn.Module | None = None) -> nn.Sequential:
    """after(shortcut(x)): a block whose branch was removed; what is left keeps its names."""
    left = nn.Sequential()
    left.add_module("shortcut", nn.Identity() if shortcut is None else shortcut)
    left.add_module("after", nn.Identity() if after is None else after)
    return left
