"""The gated residual block, and the network that rereads its table in every layer.

From the code that won the Job-Recommend-Competition of 2022 (affjljoo3581), with two corrections: the gate is split
on the last axis, for any leading dims (there dim=1); DropPath divides by the share kept (there by the share dropped).
"""

import torch
from torch import Tensor, nn

from reslab.blocks import Residual
from reslab.errors import UsageError
from reslab.nets.dropout import Dropout


class GatedResidual(Residual):
    """x + Dropout(u * sigmoid(g)), where [u; g] = W2 GELU(W1 x). (..., hidden) to the same shape, any leading dims.

    W1: hidden to inner; W2: inner to 2 hidden, split in two on the last axis. With skip=False its plain twin, without
    the x.
    """

    def __init__(self, hidden: int, inner: int, dropout: float = 0.0, *, skip: bool = True) -> None:
        branch = nn.Sequential()
        branch.add_module("linear1", nn.Linear(hidden, inner))
        branch.add_module("gelu", nn.GELU())
        branch.add_module("linear2", nn.Linear(inner, 2 * hidden))
        branch.add_module("gate", nn.GLU(dim=-1))
        branch.add_module("dropout", Dropout(dropout))
        super().__init__(branch, nn.Identity() if skip else None)


class DropPath(nn.Module):
    """In training, each row of x (N, ...) is 0 with probability p, otherwise x / (1 - p); in eval mode, x.

    Huang et al. 2016 scale in eval mode instead; here the expected value of a row is the same in both modes.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        stays = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.p
        return x * stays / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class ColumnMask(nn.Module):
    """m = Dropout(sigmoid(Wa R(h))), the weight of each column in (0, 1). h (N, hidden) to (N, columns)."""

    def __init__(self, hidden: int, inner: int, columns: int, dropout: float, *, skip: bool = True) -> None:
        super().__init__()
        self.gated = GatedResidual(hidden, inner, dropout, skip=skip)
        self.linear = nn.Linear(hidden, columns)
        self.dropout = Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        return self.dropout(self.linear(self.gated(h)).sigmoid())


class Reread(nn.Module):
    """DropPath(R(P vec(m * X))), a layer's branch; without a mask, m = 1. h (N, hidden), X (N, F, E) to h's shape."""

    def __init__(
        self, mask: ColumnMask | None, inputs: int, hidden: int, inner: int, *, dropout: float, drop_path: float,
        skip: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.mask = mask
        self.linear = nn.Linear(inputs, hidden)
        self.gated = GatedResidual(hidden, inner, dropout, skip=skip)
        self.drop_path = DropPath(drop_path)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        if self.mask is not None:
            x = x * self.mask(h)[..., None]
        return self.drop_path(self.gated(self.linear(x.flatten(1))))


class GatedNet(nn.Module):
    """From columns X (N, F, E) to (N, outputs): Wc LayerNorm(h), with h of the last layer.

    Layer 0: h = R(P0 vec X). Each later layer rereads X: h <- h + DropPath(R'(P vec(m * X))), where m is the
    layer's ColumnMask of h, or 1 without `attention`. With reread=False: h <- R(h), without masks. With skip=False it
    is the plain twin: R is the block's branch alone, and h is no longer added.
    Biases start at 0, as published; weights with PyTorch's defaults.
    """

    def __init__(
        self, columns: int, embedding: int, *, width: int, inner: int, depth: int, outputs: int, dropout: float = 0.0,
        drop_path: float = 0.0, attention: bool = True, reread: bool = True, skip: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        inputs = columns * embedding
        self.reread, self.attention = reread, attention and reread
        self.start = nn.Sequential()
        self.start.add_module("linear", nn.Linear(inputs, width))
        self.start.add_module("gated", GatedResidual(width, inner, dropout, skip=skip))
        self.layers = nn.ModuleList()
        for _ in range(depth - 1):
            if not reread:
                self.layers.append(GatedResidual(width, inner, dropout, skip=skip))
                continue
            mask = ColumnMask(width, inner, columns, dropout, skip=skip) if attention else None
            branch = Reread(mask, inputs, width, inner, dropout=dropout, drop_path=drop_path, skip=skip)
            self.layers.append(Residual(branch, nn.Identity() if skip else None))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.start(x.flatten(1))
        for layer in self.layers:
            h = layer(h, x) if self.reread else layer(h)
        return self.head(self.norm(h))

    def masks(self, x: Tensor) -> Tensor:
        """The masks (N, depth - 1, F) for X (N, F, E). Raises UsageError if the net has none."""
        if not self.attention:
            raise UsageError("this net has no column masks: build it with attention")
        h, found = self.start(x.flatten(1)), []
        for layer in self.layers:
            assert isinstance(layer.branch, Reread)
            assert layer.branch.mask is not None
            found.append(layer.branch.mask(h))
            h = layer(h, x)
        return torch.stack(found, dim=1) if found else x.new_zeros(len(x), 0, x.shape[1])
