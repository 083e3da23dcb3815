"""Parameters, multiply-adds and receptive field of a net, layer by layer, without allocating its weights."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from reslab.blocks import Dependence, PadShortcut, Read, Residual, Streams, Write
from reslab.nets.catalog import Spec, build
from reslab.nets.head import answer
from reslab.nets.meta import meta_net
from reslab.nets.model import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Parameters, multiply-adds (MACs) for one image of the spec's size, receptive field in pixels."""

    parameters: int
    macs: int
    receptive_field: int | None


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One convolution, pool or linear layer, in the order of the net; shortcuts' projections included."""

    path: str
    kind: str
    shape: tuple[int, ...]  # of the output for one image: (C, H, W)
    parameters: int
    macs: int
    receptive_field: int | None  # side in input pixels of the square that one output sees; None in shortcuts
    stride: int | None  # input pixels between neighboring outputs


def light(spec: Spec) -> nn.Module:
    """The net with weights that are never written, so they take no memory; its layers give empty tensors.

    Not on the meta device: there the first addition imports the compiler, which takes over a second of each training.
    """
    net = meta_net(spec)
    for module in net.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(torch.empty(weight.shape), requires_grad=False))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))
        if isinstance(module, nn.BatchNorm2d):
            module.forward = lambda x: x  # type: ignore[assignment, method-assign]
        elif isinstance(module, nn.Conv2d | nn.Linear):
            module.forward = functools.partial(empty_output, module)  # type: ignore[method-assign]
    return net


def empty_output(layer: nn.Conv2d | nn.Linear, x: Tensor) -> Tensor:
    """An empty tensor of the shape that the layer gives for x, (N, C, H, W) or (N, C)."""
    if isinstance(layer, nn.Linear):
        return x.new_empty(*x.shape[:-1], layer.out_features)
    padding: Any = layer.padding  # of our nets numbers, never a word
    how = zip(x.shape[2:], layer.kernel_size, layer.stride, padding, layer.dilation, strict=True)
    sides = [(side + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
             for side, kernel, stride, pad, dilation in how]  # fmt: skip
    return x.new_empty(len(x), layer.out_channels, *sides)


def count(spec: Spec) -> Counts:
    """Parameters, MACs and receptive field of a spec; of nets that are not reslab's own, the field is None."""
    if isinstance(spec, ModelSpec):
        return count_model(spec)
    net = light(spec)
    shapes = output_shapes(net, spec)
    return Counts(
        parameters=sum(p.numel() for p in net.parameters()),
        macs=sum(macs(module, shapes[path]) for path, module in net.named_modules() if path in shapes),
        receptive_field=max(field for field, _ in receptive_fields(net).values()),
    )


def count_model(spec: ModelSpec) -> Counts:
    """Parameters and MACs of any net, counted while one image passes: convolutions, matrices and attention."""
    with torch.random.fork_rng(devices=[]):
        net = build(spec)
        example = torch.zeros(1, spec.channels, spec.size, spec.size)
        counter = FlopCounterMode(display=False)
        with sdpa_kernel(SDPBackend.MATH), counter:  # the other kernels of attention are not counted everywhere
            answer(net, example)
    return Counts(parameters=sum(p.numel() for p in net.parameters()), macs=counter.get_total_flops() // 2,
                  receptive_field=None)  # fmt: skip


def layers(spec: Spec) -> list[Layer]:
    """Each layer with its output shape, cost and receptive field; of nets that are not reslab's own, the field is None.

    Those are built as usual.
    """
    foreign = isinstance(spec, ModelSpec)
    net = build(spec) if isinstance(spec, ModelSpec) else light(spec)
    shapes, seen = output_shapes(net, spec), {} if foreign else receptive_fields(net)
    out = []
    for path, module in net.named_modules():
        if path in shapes:
            field, stride = seen.get(path, (None, None))
            cost, held = macs(module, shapes[path]), sum(p.numel() for p in module.parameters())
            layer = Layer(path=path, kind=describe(module), shape=shapes[path], parameters=held, macs=cost,
                          receptive_field=field, stride=stride)  # fmt: skip
            out.append(layer)
    return out


def output_shapes(net: nn.Module, spec: Spec) -> dict[str, tuple[int, ...]]:
    """The output shape of every convolution, pool and linear layer for one image, by module path."""
    shapes: dict[str, tuple[int, ...]] = {}

    def keeper(path: str) -> Any:
        return lambda module, inputs, output: shapes.update({path: tuple(output.shape[1:])})

    kinds = nn.Conv2d | nn.MaxPool2d | nn.Linear | Read | Write | Dependence
    hooks = [m.register_forward_hook(keeper(path)) for path, m in net.named_modules() if isinstance(m, kinds)]
    device = next(net.parameters()).device
    answer(net, torch.zeros(1, spec.channels, spec.size, spec.size, device=device))
    for hook in hooks:
        hook.remove()
    return shapes


def macs(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of one layer for one image, as the papers count them (without biases, norms, scales and pools).

    The mixing of streams counts: n for each number that a branch reads, n + 1 for each that a stream receives.
    """
    if isinstance(module, nn.Conv2d | nn.Linear | Dependence):
        return math.prod(shape) * module.weight[0].numel()
    if isinstance(module, Read | Write):
        return math.prod(shape) * (module.n + isinstance(module, Write))
    return 0


def describe(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d):
        return f"{module.kernel_size[0]}x{module.kernel_size[1]} conv"
    if isinstance(module, Read | Write):
        return f"{'read' if isinstance(module, Read) else 'mix'} {module.n} streams"
    return "max-pool" if isinstance(module, nn.MaxPool2d) else "linear"


def receptive_fields(net: nn.Module) -> dict[str, tuple[int, int]]:
    """(receptive field, stride) in pixels of each layer along the path through every branch, by module path.

    A kernel of size k after layers of total stride j widens the field by (k - 1) j. A shortcut sees no more than
    its branch, so the field of the branch is that of the block.
    """
    out, field, jump = {}, 1, 1
    for path, module in main_path(net):
        given = getattr(module, "kernel_size", 1), module.stride
        kernel, stride = (v if isinstance(v, int) else v[0] for v in given)
        field, jump = field + (kernel - 1) * jump, jump * stride
        out[path] = (field, jump)
    return out


def main_path(net: nn.Module) -> Iterator[tuple[str, Any]]:
    """The convolutions and pools outside the shortcuts, in order; of a block without a branch, its shortcut."""
    skips: set[str] = set()
    for path, module in net.named_modules():
        if isinstance(module, Residual | Streams) and module.shortcut is not None:
            skips.update(p for p, _ in module.shortcut.named_modules(prefix=f"{path}.shortcut"))
        if isinstance(module, Residual) and module.gate is not None:
            skips.update(p for p, _ in module.gate.named_modules(prefix=f"{path}.gate"))
    for path, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | PadShortcut) and path not in skips:
            yield path, module
