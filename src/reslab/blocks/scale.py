"""How a branch is scaled before it is added: x + scale(F(x)).

    none        F
    zero        a F, with one learned number a, which starts at 0 (ReZero, arXiv 2003.04887; SkipInit,
                arXiv 2002.10444, section 4)
    layer:START l F, with one learned number for each channel, all START at first (LayerScale, arXiv
                2103.17239, section 2)
    depth       F / sqrt(L), with the number L of the net's branches (arXiv 2309.16620, 2310.02244)
    fixed:a     a F, with a number that does not change
    fixup       a F + b, with learned numbers a and b that start at 1 and 0, and Fixup's start of the weights
                (arXiv 1901.09321, section 3; see `start_options`)

Learned factors are vectors, as those of norms are: the recipe's decay_all decays them, otherwise weight decay leaves
them alone.
"""

import math

import torch
from torch import Tensor, nn

from reslab.errors import UsageError

WORDS = "none, zero, depth, fixup, layer:START or fixed:FACTOR"


class Learned(nn.Module):
    """a f, with a learned factor: one (width=None), or one for each channel of f (N, width, H, W)."""

    def __init__(self, start: float, *, width: int | None = None) -> None:
        super().__init__()
        self.start = start
        self.factor = nn.Parameter(torch.full((width or 1,), start))

    def forward(self, f: Tensor) -> Tensor:
        return self.factor * f if len(self.factor) == 1 else self.factor.view(-1, 1, 1) * f

    def extra_repr(self) -> str:
        return f"{len(self.factor)}, start={self.start:g}"


class Fixed(nn.Module):
    """a f, with a number a that does not change."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, f: Tensor) -> Tensor:
        return self.factor * f

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


class Fixup(nn.Module):
    """a f + b, with learned numbers a and b."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, f: Tensor) -> Tensor:
        return self.factor * f + self.shift


def make_scale(word: str, *, width: int, branches: int) -> nn.Module | None:
    """The scale of one branch that gives `width` channels, in a net of so many `branches`; None: none."""
    kind, number = read_scale(word)
    match kind:
        case "zero":
            return Learned(0.0)
        case "layer":
            return Learned(number, width=width)
        case "depth":
            return Fixed(1 / math.sqrt(branches))
        case "fixed":
            return Fixed(number)
        case "fixup":
            return Fixup()
    return None


def read_scale(word: str) -> tuple[str, float]:
    """(its kind, its number or 0). Raises UsageError for a word that is no scale."""
    kind, colon, text = word.partition(":") if isinstance(word, str) else ("", "", "")
    try:
        number = float(text) if kind in ("layer", "fixed") else 0.0
    except ValueError:
        number = math.nan
    if kind not in ("none", "zero", "depth", "fixup", "layer", "fixed") or not math.isfinite(number) or (
        colon and kind not in ("layer", "fixed")
    ):  # fmt: skip
        raise UsageError(f"scale must be {WORDS}, such as layer:1e-4, got {word!r}")
    return kind, number


def check_scale(word: str) -> None:
    """Raise UsageError for a word that is no scale."""
    read_scale(word)
