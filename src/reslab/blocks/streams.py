"""n streams in the place of one skip: hyper-connections (arXiv 2409.19606) and mHC (arXiv 2512.24880).

    H' = after(R shortcut(H) + p F(r H)),    H (N, n, C, H, W): n streams, each like the skip of a residual net

r (n) reads the branch's input from the streams, p (n) writes its output to them, R (n, n) mixes them: stream i receives
the sum over j of R[i, j] times stream j. (The hyper-connections' A_r is R transposed.) All three are learned:

    free        any numbers; at first R = I, p = 1, and r reads one stream, in turn (2409.19606, section 2.3)
    stochastic  R doubly stochastic: exp, then 20 rounds of Sinkhorn and Knopp; r by a sigmoid, p by 2 sigmoid
                (2512.24880, section 4.2); at first R = 0.9 I + 0.1 / n, p = 1, r = 0.9 and 0.1 / n likewise (ours)
    -dynamic    each depends on the image, too: a linear map of the streams' spatial means, normalized by their root
                mean square, times 0.01, is added; it starts at zero (tokens have no such means)

The streams start as copies of the stem's output, and the head reads their mean (the paper's sum, over n). So at first
the net computes what the residual net does, and the parameters, which are changes from that start, are zero: weight
decay pulls towards the residual net.
"""

import torch
from torch import Tensor, nn

from reslab.errors import UsageError

KINDS = ("free", "free-dynamic", "stochastic", "stochastic-dynamic")
ROUNDS = 20  # of Sinkhorn and Knopp
OWN = 0.9  # share of its own in what a stream receives, at the start of stochastic mixing
SMALL = 0.01  # factor of what depends on the image, at first


def doubly_stochastic(logits: Tensor, rounds: int = ROUNDS) -> Tensor:
    """exp(logits) (..., n, n) with columns, then rows, divided by their sums, `rounds` times: rows sum to one, and
    columns nearly."""
    mix = (logits - logits.amax((-2, -1), keepdim=True)).exp()
    for _ in range(rounds):
        mix = mix / mix.sum(-2, keepdim=True)
        mix = mix / mix.sum(-1, keepdim=True)
    return mix


class Dependence(nn.Module):
    """How much the mixing of each image differs: H (N, n, C, H, W) to (N, n + n + n n)."""

    def __init__(self, n: int, channels: int, *, bounded: bool) -> None:
        super().__init__()
        self.bounded = bounded  # hyper-connections: by tanh
        self.weight = nn.Parameter(torch.zeros(n * (n + 2), n * channels))
        self.factor = nn.Parameter(torch.full((3,), SMALL))
        self.sizes = (n, n, n * n)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((-2, -1)).flatten(1)
        means = means * (means.square().mean(1, keepdim=True) + 1e-6).rsqrt()
        found = means @ self.weight.T
        found = found.tanh() if self.bounded else found
        factor = torch.cat([f.expand(size) for f, size in zip(self.factor, self.sizes, strict=True)])
        return factor * found


class Mixing(nn.Module):
    """r (..., n), p (..., n) and R (..., n, n) for streams H; `turn`: the stream that a free r reads at first."""

    start: Tensor

    def __init__(self, n: int, channels: int, *, kind: str, turn: int) -> None:
        super().__init__()
        self.n, self.kind = n, kind
        self.stochastic = kind.startswith("stochastic")
        own = torch.eye(n)
        if self.stochastic:
            share = OWN * own + (1 - OWN) / n
            start = [share[turn % n].logit(), torch.zeros(n), share.log().flatten()]
        else:
            start = [own[turn % n], torch.ones(n), own.flatten()]
        self.register_buffer("start", torch.cat(start), persistent=False)
        self.change = nn.Parameter(torch.zeros(n * (n + 2)))
        dynamic = kind.endswith("-dynamic")
        self.dependence = Dependence(n, channels, bounded=not self.stochastic) if dynamic else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        free = self.start + self.change
        if self.dependence is not None:
            free = free + self.dependence(x)
        n = self.n
        r, p, mix = free[..., :n], free[..., n : 2 * n], free[..., 2 * n :].unflatten(-1, (n, n))
        if not self.stochastic:
            return r, p, mix
        return r.sigmoid(), 2 * p.sigmoid(), doubly_stochastic(mix)


class Read(nn.Module):
    """r H: (N, n, C, H, W) and r (..., n) to (N, C, H, W)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        return (r.unsqueeze(-2) @ x.flatten(2)).view(x.shape[0], *x.shape[2:])


class Write(nn.Module):
    """R S + p f: streams S (N, n, C, H, W), f (N, C, H, W), p (..., n) and R (..., n, n) to (N, n, C, H, W)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, s: Tensor, f: Tensor, p: Tensor, mix: Tensor) -> Tensor:
        return (mix @ s.flatten(2) + p.unsqueeze(-1) * f.flatten(1).unsqueeze(1)).view_as(s)


class Streams(nn.Module):
    """after(R shortcut(H) + p scale(branch(r H))): (N, n, C, H, W) to n streams of the branch's shape."""

    def __init__(
        self, branch: nn.Module, shortcut: nn.Module, after: nn.Module | None = None, *, mixing: Mixing,
        scale: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.mixing = mixing
        self.read = Read(mixing.n)
        self.branch = branch
        self.scale = scale
        self.shortcut = EachStream(shortcut)
        self.write = Write(mixing.n)
        self.after = nn.Identity() if after is None else after

    def forward(self, x: Tensor) -> Tensor:
        r, p, mix = self.mixing(x)
        f = self.branch(self.read(x, r))
        if self.scale is not None:
            f = self.scale(f)
        return self.after(self.write(self.shortcut(x), f, p, mix))


class EachStream(nn.Sequential):
    """The same module for every stream: (N, n, ...) to (N, n, ...)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, 1)).unflatten(0, (-1, x.shape[1]))


class Spread(nn.Module):
    """n copies: (N, C, H, W) to (N, n, C, H, W)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1).expand(-1, self.n, -1, -1, -1)


class Gather(nn.Module):
    """The mean of the streams: (N, n, C, H, W) to (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def read_streams(word: str) -> tuple[str, int]:
    """("stochastic", 4) of "stochastic:4"; ("none", 1) of "none". Raises UsageError for any other word."""
    kind, _, text = word.partition(":") if isinstance(word, str) else ("", "", "")
    if word == "none":
        return "none", 1
    n = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    least = 2 if kind.startswith("stochastic") else 1  # with one stream R is always 1, and r always below 1
    if kind not in KINDS or n < least:
        raise UsageError(f"streams must be none, {', '.join(f'{one}:N' for one in KINDS[:-1])} or {KINDS[-1]}:N, with "
                         f"at least 1 free and 2 stochastic streams, and at most 999, got {word!r}")  # fmt: skip
    return kind, n


def check_streams(word: str) -> None:
    """Raise UsageError for a word that names no streams."""
    read_streams(word)
