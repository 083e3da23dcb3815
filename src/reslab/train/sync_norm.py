"""BatchNorm over the parts of a batch that several processes hold: mean and variance are those of all of it.

torch's SyncBatchNorm is for CUDA alone and takes the place of modules; this is the same mathematics on any device, for
every module that calls `F.batch_norm`, and for a part without any example.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from reslab.train.exchange import meeting

NAMES = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")  # of F.batch_norm
DEFAULTS: dict[str, Any] = {"weight": None, "bias": None, "training": False, "momentum": 0.1, "eps": 1e-5}


@contextlib.contextmanager
def synced_norms() -> Iterator[None]:
    """Inside, every BatchNorm that uses its batch's statistics uses those of all processes' parts together."""
    with Synced():
        yield


class Synced(TorchFunctionMode):
    """Takes the place of F.batch_norm."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        given = DEFAULTS | dict(zip(NAMES, args, strict=False)) | (kwargs or {})
        if func is not F.batch_norm or not given["training"]:
            return func(*args, **(kwargs or {}))
        return normalized(**given)


def normalized(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None, bias: Tensor | None,
    training: bool, momentum: float, eps: float,
) -> Tensor:  # fmt: skip
    """The input (N, C, ...) normalized per channel over all processes; the running statistics are moved."""
    axes = [axis for axis in range(input.dim()) if axis != 1]
    x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
    with torch.no_grad():
        count, mean, squares = moments(x.detach(), axes)
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.to(running_mean), momentum)
            running_var.lerp_((squares / (count - 1)).to(running_var), momentum)
        scale = torch.rsqrt(squares / count + eps)
    shape = [1, -1] + [1] * (input.dim() - 2)
    out: Tensor = Whitened.apply(x, mean.to(x), scale.to(x), count.to(x), axes)
    if weight is not None:
        out = out * weight.to(x).view(shape)
    if bias is not None:
        out = out + bias.to(x).view(shape)
    return out.to(input.dtype)


def moments(x: Tensor, axes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """(numbers per channel, their mean, sum of squared deviations) over all processes: (), (C,), (C,).

    Those of each process are joined as Chan, Golub and LeVeque (1979) do. Raises torch's ValueError for one number.
    """
    n = x.numel() // max(1, x.shape[1])
    mean = x.mean(dim=axes) if n else x.new_zeros(x.shape[1])
    squares = (x - mean.view([1, -1] + [1] * (x.dim() - 2))).square().sum(dim=axes)
    own = torch.cat([mean.new_tensor([n]), mean, squares])
    every = torch.stack(gathered(own))  # (processes, 1 + 2 C)
    counts, means, squared = every[:, :1], *every[:, 1:].chunk(2, dim=1)
    total = counts.sum()
    if n < 2 and not total > 1:  # another process may have more
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(x.shape)}")
    whole = (counts * means).sum(dim=0) / total
    found = squared.sum(dim=0) + (counts * (means - whole).square()).sum(dim=0)
    return total, whole, found


def gathered(own: Tensor) -> list[Tensor]:
    """The tensors of all processes, of one shape."""
    sent = own if own.device.type in ("cpu", "cuda") else own.cpu()
    every = [torch.empty_like(sent) for _ in range(torch.distributed.get_world_size())]
    with meeting():
        torch.distributed.all_gather(every, sent)
    return [one.to(own) for one in every]


class Whitened(torch.autograd.Function):
    """(x - mean) * scale, where mean and scale depend on the x of all processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean: Tensor, scale: Tensor, count: Tensor, axes: list[int]) -> Tensor:
        shape = [1, -1] + [1] * (x.dim() - 2)
        out = (x - mean.view(shape)) * scale.view(shape)
        ctx.save_for_backward(out, scale, count)
        ctx.axes = axes
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """scale * (g - mean(g) - out * mean(g * out)), with the means over all processes."""
        out, scale, count = ctx.saved_tensors
        shape = [1, -1] + [1] * (out.dim() - 2)
        sums = torch.stack([grad.sum(dim=ctx.axes), (grad * out).sum(dim=ctx.axes)])
        mean, along = (torch.stack(gathered(sums)).sum(dim=0) / count).unbind()
        x = (grad - mean.view(shape) - out * along.view(shape)) * scale.view(shape)
        return x, None, None, None, None
