"""A net for questions as a graph: its inputs in one order, its head's convolutions for any number of tokens."""

import torch
from torch import Tensor, nn

from reslab.nets.heads import OUTSIDE, FoldedAcrossTokens
from reslab.qa.net.net import QANet


class Reading(nn.Module):
    """A net for questions with the inputs of `inputs_of` in their order; its scores as a tuple.

    Where no answer is allowed they are -inf instead of OUTSIDE: beside -1e30 any two scores would count as equal.
    """

    def __init__(self, net: QANet) -> None:
        super().__init__()
        self.net = net

    def forward(self, mask: Tensor, context: Tensor, ids: Tensor, types: Tensor | None = None) -> tuple[Tensor, ...]:
        found = self.net(ids, mask, types, context)
        span = found.span.masked_fill(found.span < OUTSIDE / 2, -torch.inf)  # NaN stays NaN
        return (span,) if found.answerable is None else (span, found.answerable)


class SlicedAcrossTokens(nn.Module):
    """`FoldedAcrossTokens` as three matrix products, x (B, L, H) to the same shape, for any L up to its `length`.

    Its weights are cut to L tokens; a convolution whose weights are not constant is unknown to OpenVINO on CPUs.
    """

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        assert conv.bias is not None
        self.weight = nn.Parameter(conv.weight.detach().permute(2, 0, 1).contiguous())  # (3, length, length)
        self.bias = nn.Parameter(conv.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        tokens, hidden = torch.arange(x.shape[1], device=x.device), x.shape[2]
        # A slice would be contiguous at the full length alone, to which torch.export would have to fix the graph.
        weight = self.weight.index_select(1, tokens).index_select(2, tokens)
        padded = nn.functional.pad(x, (1, 1))
        y = sum(weight[k] @ padded[..., k : k + hidden] for k in range(3))
        return torch.relu(y + self.bias.index_select(0, tokens)[:, None])


def sliced(head: nn.Module) -> None:
    """Replace the folded convolutions of a head in place."""
    for module in list(head.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, FoldedAcrossTokens):
                setattr(module, name, SlicedAcrossTokens(child.conv))
