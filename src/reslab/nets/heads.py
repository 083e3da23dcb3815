"""Heads that find an answer in a text: each token's scores to be the answer's start and its end.

All take an encoder's vectors: head(x, mask=None, context=None), x (B, L, hidden), `mask` (B, L) the real tokens,
`context` (B, L) those that may belong to an answer; to (B, L, 2). What stands in padding changes no real token's score.
ConvSDSLayer and ConvSDSHead are Samsung SDS's for KorQuAD, whose published code made its layers anew at each call.
"""

import copy
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.blocks import Residual
from reslab.errors import UsageError

OUTSIDE = -1e30  # for -inf; start plus end stay finite, in bfloat16 too, and no softmax gives NaN


class Scores(NamedTuple):
    """What a head finds in a batch of windows, float32 at least: in bfloat16 the best spans would be equal."""

    span: Tensor  # (B, L, 2): start and end; OUTSIDE where no answer may be
    answerable: Tensor | None  # (B,): the logit that the window holds the answer, of heads that are asked for it


class Head(nn.Module):
    """Residual layers from (B, L, hidden) to the same, then a linear layer to each token's scores."""

    def __init__(
        self, layers: Iterable[nn.Module], hidden: int, *, num_labels: int = 2, answerable: bool = False
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.span = Wide(hidden, num_labels)
        self.answerable = Wide(2 * hidden, 1) if answerable else None

    def forward(self, x: Tensor, mask: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """Start and end scores, (B, L, 2)."""
        return self.scores(x, mask, context).span

    def scores(self, x: Tensor, mask: Tensor | None = None, context: Tensor | None = None) -> Scores:
        """The same scores, and beside them the answerability where the head has one."""
        mask = torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask.bool()
        allowed = mask if context is None else mask & context.bool()
        h = zeroed(self.features(x, mask), mask)
        span = self.span(h).masked_fill(~allowed[..., None], OUTSIDE)
        if self.answerable is None:
            return Scores(span, None)
        first = h[torch.arange(len(h), device=h.device), mask.int().argmax(dim=1)]  # the first real token: [CLS]
        mean = h.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return Scores(span, self.answerable(torch.cat([first, mean.to(first)], dim=1))[:, 0])

    def features(self, x: Tensor, mask: Tensor) -> Tensor:
        """What the scores are read from, (B, L, hidden)."""
        for layer in self.layers:
            x = layer(zeroed(x, mask))
        return x

    def fold(self) -> "Head":
        """The head for inference: a copy with fewer multiply-adds where its layers allow it, else itself."""
        return self


def zeroed(x: Tensor, mask: Tensor) -> Tensor:
    """x (B, L, H) with zeros where mask (B, L) is False, whatever stood there."""
    return x.masked_fill(~mask[..., None], 0)


class Wide(nn.Linear):
    """A linear layer computed in float32 at least, autocast or not: rounded to bfloat16, one score in 100 is a tie."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(wide(x), wide(self.weight), None if self.bias is None else wide(self.bias))


def wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class ConvSDSLayer(Residual):
    """LayerNorm(x + ReLU(conv2(conv1(x)))), the tokens as channels: conv1, kernel 3, slides along the hidden axis.

    (B, L, hidden) to the same for L up to `length`: fewer tokens count as padded with zeros. 8 length² weights.
    Raises UsageError for more tokens.
    """

    def __init__(self, length: int, hidden: int) -> None:
        super().__init__(AcrossTokens(length), nn.Identity(), nn.LayerNorm(hidden))

    @torch.no_grad()
    def fold(self) -> Residual:
        """The same layer with one convolution of kernel 3 in place of the two: 3 length² weights, for inference.

        Nothing nonlinear lies between the two. The second has kernel 1 and sees the first's bias at every place,
        borders too, and no padding but that of x: so the folded weights and bias give the same numbers there.
        """
        assert isinstance(self.branch, AcrossTokens)
        one, two = self.branch.conv1, self.branch.conv2
        assert one.bias is not None
        assert two.bias is not None
        outer = two.weight[..., 0].cpu().double()
        conv = Channels(one.in_channels, one.in_channels, 3, padding=1).to(one.weight)
        assert conv.bias is not None
        conv.weight.copy_(torch.einsum("oc,cik->oik", outer, one.weight.cpu().double()))
        conv.bias.copy_(outer @ one.bias.cpu().double() + two.bias.cpu().double())
        folded = Residual(FoldedAcrossTokens(conv), nn.Identity(), copy.deepcopy(self.after))
        return folded.requires_grad_(False).train(self.training)


class Channels(nn.Conv1d):
    """A convolution between the first channels only: (N, c, H) to (N, out, H), as if the others were zeros."""

    def forward(self, x: Tensor, out: int | None = None) -> Tensor:
        if x.shape[1] > self.in_channels:
            raise UsageError(
                f"windows of {x.shape[1]} tokens do not fit an SDS layer of length {self.in_channels}: "
                f"cut them into windows of at most {self.in_channels}"
            )
        bias = None if self.bias is None else self.bias[:out]
        return F.conv1d(x, self.weight[:out, : x.shape[1]], bias, padding=self.padding)


class AcrossTokens(nn.Module):
    """The SDS layer's branch: `length` channels to twice as many and back, then ReLU."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.conv1 = Channels(length, 2 * length, 3, padding=1)
        self.conv2 = Channels(2 * length, length, 1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.conv1(x), x.shape[1]))


class FoldedAcrossTokens(nn.Module):
    """The same branch with its two convolutions in one."""

    def __init__(self, conv: Channels) -> None:
        super().__init__()
        self.conv = conv
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x, x.shape[1]))


class ConvSDSHead(Head):
    """`n_layers` of ConvSDSLayer, then a linear layer. (B, L, hidden_size) to (B, L, num_labels), L up to input_size.

    Raises UsageError for longer windows: cutting is the data's work.
    """

    def __init__(
        self, n_layers: int = 5, input_size: int = 512, hidden_size: int = 768, num_labels: int = 2, *,
        answerable: bool = False,
    ) -> None:  # fmt: skip
        layers = [ConvSDSLayer(input_size, hidden_size) for _ in range(n_layers)]
        super().__init__(layers, hidden_size, num_labels=num_labels, answerable=answerable)

    def fold(self) -> Head:
        """A copy whose layers are folded (ConvSDSLayer.fold): the same scores, for inference only."""
        folded = copy.deepcopy(self)
        folded.layers = nn.ModuleList(layer.fold() for layer in self.layers if isinstance(layer, ConvSDSLayer))
        return folded.requires_grad_(False)


class LinearHead(Head):
    """Each token by itself, as BERT's own head. (B, L, hidden_size) to (B, L, 2)."""

    def __init__(self, hidden_size: int = 768, *, answerable: bool = False) -> None:
        super().__init__([], hidden_size, answerable=answerable)


class TokenConvHead(Head):
    """LayerNorm(x + Linear(GELU(conv(x)))), kernel 3 along the tokens, the hidden axis as channels; any length.

    The SDS layer turned on its side. Its ReLU before the addition could only add; here a linear layer comes last.
    """

    def __init__(self, n_layers: int = 5, hidden_size: int = 768, *, answerable: bool = False) -> None:
        layers = [Residual(AlongTokens(hidden_size), nn.Identity(), nn.LayerNorm(hidden_size)) for _ in range(n_layers)]
        super().__init__(layers, hidden_size, answerable=answerable)


class AlongTokens(nn.Module):
    """The branch of TokenConvHead."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(hidden, hidden, 3, padding=1)
        self.gelu = nn.GELU()
        self.linear = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.gelu(self.conv(x.transpose(1, 2)).transpose(1, 2)))


class BiLSTMHead(Head):
    """LayerNorm(x + Linear([LSTM forwards, LSTM backwards])), half the width each; any length, for comparison."""

    def __init__(self, n_layers: int = 1, hidden_size: int = 768, *, answerable: bool = False) -> None:
        layers = [Residual(BothWays(hidden_size), nn.Identity(), nn.LayerNorm(hidden_size)) for _ in range(n_layers)]
        super().__init__(layers, hidden_size, answerable=answerable)

    def features(self, x: Tensor, mask: Tensor) -> Tensor:
        # Each row's real tokens first, in reading order and from the last one back; padding comes after and is unread.
        ahead = (~mask).int().argsort(dim=1, stable=True)
        back = mask.shape[1] - 1 - (~mask).flip(1).int().argsort(dim=1, stable=True)
        for layer in self.layers:
            x = layer(zeroed(x, mask), ahead, back)
        return x


class BothWays(nn.Module):
    """The branch of BiLSTMHead: x (B, L, hidden), and the orders (B, L) in which its two LSTMs read each row."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(hidden, hidden // 2, batch_first=True)
        self.back = nn.LSTM(hidden, hidden - hidden // 2, batch_first=True)
        self.linear = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, ahead: Tensor, back: Tensor) -> Tensor:
        return self.linear(torch.cat([read(self.ahead, x, ahead), read(self.back, x, back)], dim=2))


def read(lstm: nn.Module, x: Tensor, order: Tensor) -> Tensor:
    """The LSTM's outputs (B, L, H) at their tokens' places, each row read in its order."""
    y, _ = lstm(x.gather(1, order[..., None].expand_as(x)))
    return y.gather(1, order.argsort(dim=1)[..., None].expand_as(y))
