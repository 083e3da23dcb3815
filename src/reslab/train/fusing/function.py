"""y = relu(BN(x) + skip) as one function with its own gradient."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.train.fusing.kernels import gradients, normalized


class Normed(torch.autograd.Function):
    """a x + b (+ skip), and of that what is above 0 if `relu`; a and b normalize x over its batch, times weight, plus
    bias. `found`, float32 (4, C), holds the mean, 1 / sqrt(variance + eps), a and b.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, skip: Tensor | None, found: Tensor, relu: bool, eps: float
    ) -> Tensor:  # fmt: skip
        y = normalized(x, skip, found, relu=relu)
        ctx.relu, ctx.eps, ctx.added = relu, eps, skip is not None
        # Without a skip the sign before the ReLU comes from x, which is needed anyway.
        ctx.save_for_backward(x, weight, bias, found, y if relu and skip is not None else None)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, _, _, found, y = ctx.saved_tensors
        if torch.is_grad_enabled():  # these gradients will be differentiated themselves
            return plain_gradients(ctx, g)
        g = g.to(x.dtype).contiguous(memory_format=torch.channels_last)
        dx, slopes, passed = gradients(g, x, y, found, relu=ctx.relu)
        return dx, slopes[0], slopes[1], passed if ctx.added else None, None, None, None


def plain_gradients(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    """The same gradients by torch's own functions, which can be differentiated again."""
    x, weight, bias, _, y = ctx.saved_tensors
    out = F.batch_norm(x, None, None, weight, bias, True, 0.0, ctx.eps)
    passed = torch.where((out if y is None else y) > 0, g, torch.zeros_like(g)) if ctx.relu else g
    needed = [one for one in (x, weight, bias) if one.requires_grad]
    found = iter(torch.autograd.grad(out, needed, passed, create_graph=True))
    own = [next(found) if one.requires_grad else None for one in (x, weight, bias)]
    return *own, passed if ctx.added else None, None, None, None
