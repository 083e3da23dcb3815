"""Toy models whose blocks can be counted by hand: linear layers of width 4."""

from typing import Any

import torch
from torch import Tensor, nn

WIDTH = 4
LINEAR = WIDTH * WIDTH + WIDTH  # parameters of one layer
MACS = WIDTH * WIDTH  # per row


def linear() -> nn.Linear:
    return nn.Linear(WIDTH, WIDTH)


class Add(nn.Module):
    """after(x + f(x)), or after(shortcut(x) + f(x))."""

    def __init__(self, shortcut: nn.Module | None = None, after: nn.Module | None = None) -> None:
        super().__init__()
        self.f = nn.Sequential(linear(), nn.Tanh(), linear()) if shortcut else linear()
        self.shortcut, self.after = shortcut, after

    def forward(self, x: Tensor) -> Tensor:
        x = (self.shortcut(x) if self.shortcut else x) + self.f(x).tanh()
        return self.after(x) if self.after else x


class Parallel(nn.Module):
    """x + f(x) + g(x): one residual connection with two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = linear(), linear()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x).tanh() + self.g(x).tanh()


class Layer(nn.Module):
    """A layer with two branches, which takes a mask and returns (x, mask); `post`: norms follow the additions."""

    def __init__(self, post: bool = False) -> None:
        super().__init__()
        self.attention, self.mlp, self.post = linear(), linear(), post
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        if self.post:
            x = self.norm1(x + self.attention(x).tanh())
            return self.norm2(x + self.mlp(x).tanh()), mask
        x = x + self.attention(self.norm1(x)).tanh()
        return x + self.mlp(self.norm2(x)).tanh(), mask


class Stack(nn.Module):
    """Layers that pass a mask on, each of its own `kind`, which the model reads from the layer."""

    def __init__(self, n: int, post: bool = False) -> None:
        super().__init__()
        self.stem, self.head = linear(), nn.Linear(WIDTH, 3)
        self.layers = nn.ModuleList([Layer(post) for _ in range(n)])
        for layer in self.layers:
            layer.kind = "full"

    def forward(self, x: Tensor) -> Tensor:
        x, mask = self.stem(x), torch.ones(1)
        for layer in self.layers:
            x, mask = layer(x, mask=mask if layer.kind == "full" else None)
        return self.head(x * mask)


class Giver(nn.Module):
    """A block that returns a value which later blocks need, as T5's first block returns the position bias."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.bias = linear(), nn.Parameter(torch.randn(WIDTH))

    def forward(self, x: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        bias = self.bias * 2 if bias is None else bias
        return x + self.f(x + bias).tanh(), bias


class Givers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = nn.ModuleList([Giver() for _ in range(4)]), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        bias = None
        for block in self.blocks:
            x, bias = block(x, bias)
        return self.head(x)


class Attributes(nn.Module):
    """Blocks that are attributes and no entries of a list."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = Add(), Add(), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.two(self.one(x)))


class Windows(nn.Module):
    """A Swin-like block: (N, H, W, C) is cut into windows of 2 x 2, and flattened for the second branch."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.mlp = nn.Linear(4 * WIDTH, 4 * WIDTH), linear()

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        cut = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(2, 3).reshape(-1, 4 * c)
        back = self.f(cut).tanh().reshape(n, h // 2, w // 2, 2, 2, c).transpose(2, 3).reshape(n, h, w, c)
        x = (x + back).reshape(n, h * w, c)
        return (x + self.mlp(x).tanh()).reshape(n, h, w, c)


class Pool(nn.Module):
    """(N, H, W, C) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((1, 2))


def swin() -> nn.Sequential:
    return nn.Sequential(linear(), nn.Sequential(Windows(), Windows()), linear(), nn.Sequential(Windows(), Windows()),
                         Pool(), nn.Linear(WIDTH, 3))  # fmt: skip


def tower(*blocks: nn.Module) -> nn.Sequential:
    """A stem, the blocks, a head: (N, 4) to (N, 3)."""
    return nn.Sequential(linear(), nn.Sequential(*blocks), nn.Linear(WIDTH, 3))


def rows(n: int = 5, **how: Any) -> Tensor:
    return torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(1), **how)
