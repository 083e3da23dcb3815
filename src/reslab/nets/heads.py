"""Heads that find an answer in a text: for each token, a score as the answer's start and one as its end.

All take an encoder's vectors: head(x, mask=None, context=None) maps x (B, L, hidden) to (B, L, 2). `mask` (B, L) marks
the real tokens, `context` (B, L) those that may belong to an answer. Padding does not affect the scores of real tokens.
ConvSDSLayer and ConvSDSHead are Samsung SDS's for KorQuAD, whose published code created new layers at each call.
"""

import copy
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.blocks import Residual
from reslab.errors import UsageError

OUTSIDE = -1e30  # instead of -inf: start plus end stays finite, in bfloat16 too, and no softmax gives NaN


class Scores(NamedTuple):
    """A head's scores for a batch of windows, in float32 or better: in bfloat16 the best spans would tie."""

    span: Tensor  # (B, L, 2): start and end; OUTSIDE where no answer is allowed
    answerable: Tensor | None  # (B,): logit that the window holds the answer, if the head has this output


class Head(nn.Module):
    """Residual layers from (B, L, hidden) to the same shape, then a linear layer to each token's scores."""

    def __init__(
        self, layers: Iterable[nn.Module], hidden: int, *, num_labels: int = 2, answerable: bool = False
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.span = Float32Linear(hidden, num_labels)
        self.answerable = Float32Linear(2 * hidden, 1) if answerable else None

    def forward(self, x: Tensor, mask: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """Start and end scores, (B, L, 2)."""
        return self.scores(x, mask, context).span

    def scores(self, x: Tensor, mask: Tensor | None = None, context: Tensor | None = None) -> Scores:
        """The same scores, with the answerability if the head has that output."""
        mask = torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask.bool()
        allowed = mask if context is None else mask & context.bool()
        h = zeroed(self.features(x, mask), mask)
        span = self.span(h).masked_fill(~allowed[..., None], OUTSIDE)
        if self.answerable is None:
            return Scores(span, None)
        first = h[torch.arange(h.shape[0], device=h.device), mask.int().argmax(dim=1)]  # the first real token: [CLS]
        mean = h.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return Scores(span, self.answerable(torch.cat([first, mean.to(first)], dim=1))[:, 0])

    def features(self, x: Tensor, mask: Tensor) -> Tensor:
        """The input of the scoring layers, (B, L, hidden)."""
        for layer in self.layers:
            x = layer(zeroed(x, mask))
        return x

    def fold(self) -> "Head":
        """The head for inference: a copy with fewer multiply-adds if its layers allow it, otherwise itself."""
        return self


def zeroed(x: Tensor, mask: Tensor) -> Tensor:
    """x (B, L, H) with zeros where mask (B, L) is False."""
    return x.masked_fill(~mask[..., None], 0)


class Float32Linear(nn.Linear):
    """A linear layer computed in float32 or better, even under autocast: in bfloat16 one score in 100 is a tie."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(float32(x), float32(self.weight), None if self.bias is None else float32(self.bias))


def float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class ConvSDSLayer(Residual):
    """LayerNorm(x + ReLU(conv2(conv1(x)))), the tokens as channels: conv1, kernel 3, slides along the hidden axis.

    (B, L, hidden) to the same shape, for L up to `length`; fewer tokens are treated as padded with zeros. It has
    8 length² weights. With skip=False its plain twin, without the x. Raises UsageError for more tokens.
    """

    def __init__(self, length: int, hidden: int, *, skip: bool = True) -> None:
        super().__init__(AcrossTokens(length), nn.Identity() if skip else None, nn.LayerNorm(hidden))

    @torch.no_grad()
    def fold(self) -> Residual:
        """The same layer with its two convolutions merged into one of kernel 3: 3 length² weights, for inference.

        There is no nonlinearity between the two. The second has kernel 1: it sees the first's bias at every position,
        including the borders, and no padding but that of x, so the merged weights and bias give the same numbers.
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
        folded = Residual(FoldedAcrossTokens(conv), copy.deepcopy(self.shortcut), copy.deepcopy(self.after))
        return folded.requires_grad_(False).train(self.training)


class Channels(nn.Conv1d):
    """A convolution of the first channels only: (N, c, H) to (N, out, H), as if the others were zeros."""

    def forward(self, x: Tensor, out: int | None = None) -> Tensor:
        if x.shape[1] > self.in_channels:
            raise UsageError(
                f"windows of {x.shape[1]} tokens do not fit an SDS layer of length {self.in_channels}: "
                f"cut them into windows of at most {self.in_channels}"
            )
        bias = None if self.bias is None else self.bias[:out]
        return F.conv1d(x, self.weight[:out, : x.shape[1]], bias, padding=self.padding)


class AcrossTokens(nn.Module):
    """The branch of the SDS layer: `length` channels to twice as many and back, then ReLU."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.conv1 = Channels(length, 2 * length, 3, padding=1)
        self.conv2 = Channels(2 * length, length, 1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.conv1(x), x.shape[1]))


class FoldedAcrossTokens(nn.Module):
    """The same branch with its two convolutions merged into one."""

    def __init__(self, conv: Channels) -> None:
        super().__init__()
        self.conv = conv
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x, x.shape[1]))


class ConvSDSHead(Head):
    """`n_layers` of ConvSDSLayer, then a linear layer. (B, L, hidden_size) to (B, L, num_labels), L up to input_size.

    With skip=False its plain twin: the layers without their shortcuts. Raises UsageError for longer windows; cutting
    contexts into windows is left to the data.
    """

    def __init__(
        self, n_layers: int = 5, input_size: int = 512, hidden_size: int = 768, num_labels: int = 2, *,
        answerable: bool = False, skip: bool = True,
    ) -> None:  # fmt: skip
        layers = [ConvSDSLayer(input_size, hidden_size, skip=skip) for _ in range(n_layers)]
        super().__init__(layers, hidden_size, num_labels=num_labels, answerable=answerable)

    def fold(self) -> Head:
        """A copy whose layers are folded (ConvSDSLayer.fold): the same scores, for inference only."""
        folded = copy.deepcopy(self)
        folded.layers = nn.ModuleList(layer.fold() for layer in self.layers if isinstance(layer, ConvSDSLayer))
        return folded.requires_grad_(False)


class LinearHead(Head):
    """A linear layer on each token, as in BERT. (B, L, hidden_size) to (B, L, 2)."""

    def __init__(self, hidden_size: int = 768, *, answerable: bool = False) -> None:
        super().__init__([], hidden_size, answerable=answerable)


class TokenConvHead(Head):
    """LayerNorm(x + Linear(GELU(conv(x)))), kernel 3 along the tokens, the hidden axis as channels; any length.

    The SDS layer with its axes swapped. There the branch ends in a ReLU and can only add positive values; here it ends
    in a linear layer.
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
    """LayerNorm(x + Linear([forward LSTM, backward LSTM])), each of half the width; any length; for comparison."""

    def __init__(self, n_layers: int = 1, hidden_size: int = 768, *, answerable: bool = False) -> None:
        layers = [Residual(BothWays(hidden_size), nn.Identity(), nn.LayerNorm(hidden_size)) for _ in range(n_layers)]
        super().__init__(layers, hidden_size, answerable=answerable)

    def features(self, x: Tensor, mask: Tensor) -> Tensor:
        # Each row's real tokens first, in forward and in backward order; the padding comes last and has no effect.
        ahead = (~mask).int().argsort(dim=1, stable=True)
        back = mask.shape[1] - 1 - (~mask).flip(1).int().argsort(dim=1, stable=True)
        for layer in self.layers:
            x = layer(zeroed(x, mask), ahead, back)
        return x


class BothWays(nn.Module):
    """The branch of BiLSTMHead: x (B, L, hidden), and the orders (B, L) in which the two LSTMs read each row."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(hidden, hidden // 2, batch_first=True)
        self.back = nn.LSTM(hidden, hidden - hidden // 2, batch_first=True)
        self.linear = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, ahead: Tensor, back: Tensor) -> Tensor:
        return self.linear(torch.cat([read(self.ahead, x, ahead), read(self.back, x, back)], dim=2))


def read(lstm: nn.Module, x: Tensor, order: Tensor) -> Tensor:
    """Run the LSTM over each row in the given order; its outputs (B, L, H) at their tokens' positions."""
    y, _ = lstm(x.gather(1, order[..., None].expand_as(x)))
    return y.gather(1, order.argsort(dim=1)[..., None].expand_as(y))
