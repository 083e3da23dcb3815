"""What one op is told and what it costs: its numbers, its dimensions, its multiply-adds."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

NUMBERED = frozenset("add sub rsub mul div hardtanh clamp clamp_min clamp_max threshold".split())


def count_macs(func: Any, args: tuple, kwargs: dict, out: Any) -> int:
    """Multiply-adds of matrix products, convolutions and fused attention; 0 for all other ops."""
    packet = func.overloadpacket
    if packet.__name__ == "_scaled_dot_product_flash_attention_for_cpu":
        q, k, v = args[:3]
        return q.numel() * k.shape[-2] + q.numel() // q.shape[-1] * k.shape[-2] * v.shape[-1]
    if packet not in flop_registry:
        return 0
    return flop_registry[packet](*args, **kwargs, out_val=out) // 2


def told(func: Any, args: tuple, kwargs: dict) -> tuple[dict[str, float], tuple[int, ...]]:
    """The numeric arguments of the op by their names, for the ops in NUMBERED; its dimensions, for all."""
    found, dims = {}, list[int]()
    numbered = func.overloadpacket.__name__.removesuffix("_") in NUMBERED
    for i, argument in enumerate(func._schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        value = args[i] if i < len(args) else kwargs.get(argument.name, default)
        if numbered and isinstance(value, int | float):
            found[argument.name] = value
        if argument.name.startswith("dim"):  # dim, dims, dim0 and dim1
            dims += [value] if isinstance(value, int) else [d for d in value or () if isinstance(d, int)]
    return found, tuple(dims)


def has_numbers(tensor: Tensor) -> bool:
    """Whether it holds real, complex or quantized numbers, and not counts or truth values."""
    return tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized


def real(value: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones, side by side in the last dimension; other tensors as they are.

    Norms, products and gradients are then those of the complex numbers.
    """
    return torch.view_as_real(value.resolve_conj()).flatten(max(0, value.dim() - 1)) if value.is_complex() else value
