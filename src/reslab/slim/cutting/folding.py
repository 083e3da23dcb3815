"""Two linear layers as one, exactly: convolutions (and linear layers) with nothing but BatchNorm between them.

The first layer reads x at s1 q + d1 t - p1 for its output q and its tap t; the second reads q = s2 r + d2 u - p2. So
the pair reads x at s1 s2 r + s1 d2 u + d1 t - p1 - s1 p2: one convolution of stride s1 s2. With p2 > 0, the second
reads zeros where the first would give something else, unless the first is a 1x1 convolution without a bias.
"""

from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def obstacle(first: Layer, second: Layer, norms: list[Norm]) -> str:
    """Why the two are not one layer exactly; "" if they are. `norms`: those between them."""
    if isinstance(first, nn.Linear) != isinstance(second, nn.Linear):
        return "a linear layer and a convolution read different axes"
    if any(norm.running_mean is None or norm.running_var is None for norm in norms):
        return "the BatchNorm between them computes its statistics anew in every batch"
    if isinstance(first, nn.Linear) or isinstance(second, nn.Linear):
        return ""
    if isinstance(first.padding, str) or isinstance(second.padding, str):
        return "padding is given by a word"
    if {first.padding_mode, second.padding_mode} != {"zeros"}:
        return "padding is not with zeros"
    if any(second.padding):
        _, bias = dense(first, norms)
        if prod(first.kernel_size) > 1 or any(first.padding) or prod(first.stride) > 1:
            return "the second pads its input with zeros, and the first is no 1x1 convolution: the border would differ"
        if bool(bias.any()):
            return "the second pads its input with zeros, where the first gives its bias: the border would differ"
    return ""


def dense(layer: Layer, norms: list[Norm]) -> tuple[Tensor, Tensor]:
    """(weight (out, in, *kernel) without groups, bias (out)) with the norms that follow: on the CPU, in float64."""
    weight = layer.weight.detach().cpu().double()
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    if groups > 1:
        out, inner, *kernel = weight.shape
        full = weight.new_zeros(out, inner * groups, *kernel)
        for g in range(groups):
            rows, columns = (slice(g * n, (g + 1) * n) for n in (out // groups, inner))
            full[rows, columns] = weight[rows]
        weight = full
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().cpu().double()
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = (norm.running_var.cpu().double() + norm.eps).rsqrt()
        gain = gain if norm.weight is None else gain * norm.weight.detach().cpu().double()
        shift = 0.0 if norm.bias is None else norm.bias.detach().cpu().double()
        bias = (bias - norm.running_mean.cpu().double()) * gain + shift
        weight = weight * gain.view(-1, *[1] * (weight.dim() - 1))
    return weight, bias


def folded(first: Layer, second: Layer, norms: list[Norm]) -> Layer:
    """The one layer. The caller has asked `obstacle`."""
    a, bias = dense(first, norms)
    b, more = dense(second, [])
    like: dict[str, Any] = {"device": first.weight.device, "dtype": first.weight.dtype}
    if isinstance(first, nn.Linear) or isinstance(second, nn.Linear):
        made: Layer = nn.Linear(a.shape[1], len(b), **like)
        weight, bias = b @ a, b @ bias + more
    else:
        size, stride, padding = kernel(first, second)
        weight = a.new_zeros(len(b), a.shape[1], *size)
        for u in product(*map(range, b.shape[2:])):
            for t in product(*map(range, a.shape[2:])):
                steps = zip(first.stride, second.dilation, u, first.dilation, t, strict=True)
                at = tuple(s * d2 * i + d1 * j for s, d2, i, d1, j in steps)
                tap(weight, at).add_(tap(b, u) @ tap(a, t))
        bias = b.flatten(2).sum(2) @ bias + more
        kind: Any = type(first)
        made = kind(a.shape[1], len(b), size, stride, padding, **like)
    with torch.no_grad():
        made.weight.copy_(weight)
        assert made.bias is not None
        made.bias.copy_(bias)
    return made.train(first.training)


def tap(weight: Tensor, at: tuple[int, ...]) -> Tensor:
    """The matrix (out, in) of one place of a kernel, as a view."""
    for i in at:
        weight = weight.select(2, i)
    return weight


def kernel(first: Conv, second: Conv) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """(size, stride, padding) of the one convolution."""
    each = list(zip(first.stride, first.dilation, first.kernel_size, second.dilation, second.kernel_size, strict=True))
    size = tuple(s * d2 * (k2 - 1) + d1 * (k1 - 1) + 1 for s, d1, k1, d2, k2 in each)
    stride = tuple(a * b for a, b in zip(first.stride, second.stride, strict=True))
    pads: Any = zip(first.padding, second.padding, strict=True)  # numbers: `obstacle` refuses words
    padding = tuple(a + b for a, b in pads)
    return size, stride, padding


def macs(first: Layer, second: Layer, positions: int) -> int:
    """Multiply-adds of the one layer for `positions` outputs of each channel."""
    if isinstance(first, nn.Linear) or isinstance(second, nn.Linear):
        return positions * first.weight.shape[1] * len(second.weight)
    return positions * first.in_channels * second.out_channels * prod(kernel(first, second)[0])
