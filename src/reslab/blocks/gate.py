"""How skip and branch are added if not by a plain sum (He et al. 2016, arXiv 1603.05027, section 3.1, Figure 2).

    none        s + f
    half        0.5 s + 0.5 f (Figure 2b)
    exclusive:b (1 - g) s + g f, with g = sigmoid(W s + b), a 1x1 convolution whose bias starts at b (Figure 2c)
    shortcut:b  (1 - g) s + f (Figure 2d)
    dropout:p   dropout(s) + f, where dropout sets each number to zero with probability p in training (Figure 2f)

The paper gates blocks whose shortcut is the identity. There s = x; where the shortcut pads or projects, ours gates what
it gives.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError

WORDS = "none, half, exclusive:BIAS, shortcut:BIAS or dropout:P"


class Half(nn.Module):
    """0.5 s + 0.5 f."""

    def forward(self, s: Tensor, f: Tensor) -> Tensor:
        return 0.5 * s + 0.5 * f


class Gated(nn.Module):
    """g = sigmoid(conv(s)), a 1x1 convolution; `start`: its bias at first."""

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.start = start
        self.conv = nn.Conv2d(width, width, 1)

    def reset(self) -> None:
        """Start the bias."""
        assert self.conv.bias is not None
        nn.init.constant_(self.conv.bias, self.start)


class Exclusive(Gated):
    """(1 - g) s + g f, with g = sigmoid(W s + b)."""

    def forward(self, s: Tensor, f: Tensor) -> Tensor:
        g = self.conv(s).sigmoid()
        return (1 - g) * s + g * f


class ShortcutOnly(Gated):
    """(1 - g) s + f, with g = sigmoid(W s + b)."""

    def forward(self, s: Tensor, f: Tensor) -> Tensor:
        return (1 - self.conv(s).sigmoid()) * s + f


class DropShortcut(nn.Module):
    """dropout(s) + f; in eval mode s + f."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, s: Tensor, f: Tensor) -> Tensor:
        return F.dropout(s, self.p, self.training) + f

    def extra_repr(self) -> str:
        return f"p={self.p}"


def make_gate(word: str, *, width: int) -> nn.Module | None:
    """The gate of one block that gives `width` channels; None: a plain sum."""
    kind, number = read_gate(word)
    match kind:
        case "half":
            return Half()
        case "exclusive":
            return Exclusive(width, number)
        case "shortcut":
            return ShortcutOnly(width, number)
        case "dropout":
            return DropShortcut(number)
    return None


def read_gate(word: str) -> tuple[str, float]:
    """(its kind, its number or 0). Raises UsageError for a word that is no gate."""
    kind, colon, text = word.partition(":") if isinstance(word, str) else ("", "", "")
    numbered = kind in ("exclusive", "shortcut", "dropout")
    try:
        number = float(text) if numbered else 0.0
    except ValueError:
        number = math.nan
    known = (kind in ("none", "half") and not colon) or numbered
    if not known or not math.isfinite(number) or (kind == "dropout" and not 0 <= number < 1):
        raise UsageError(f"gate must be {WORDS}, such as shortcut:-6, with P from 0 to below 1, got {word!r}")
    return kind, number


def check_gate(word: str) -> None:
    """Raise UsageError for a word that is no gate."""
    read_gate(word)
