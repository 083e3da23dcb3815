"""Norms and products of gradients that may be very small.

The gradient of a confident sample can be 1e-30: its square is zero in float32. So each row is divided by its largest
number first, and sums are in float64 where the device has it.
"""

import torch
from torch import Tensor


def scaled(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (..., D), each divided by its largest absolute number, and these numbers (...); 1 for a row of zeros."""
    wide = rows.to(torch.float32 if rows.device.type == "mps" else torch.float64)
    most = wide.abs().amax(dim=-1)
    most = most.where(most > 0, 1)
    return wide / most[..., None], most


def norms(rows: Tensor) -> Tensor:
    """The norm of each row of (..., D)."""
    unit, most = scaled(rows)
    return torch.linalg.vector_norm(unit, dim=-1) * most


def shares(part: Tensor, whole: Tensor) -> Tensor:
    """<part, whole> / <whole, whole> for each row of (N, D); 0 for a row whose whole is zero."""
    unit, most = scaled(whole)
    along = (part.to(unit) / most[:, None] * unit).sum(dim=-1)
    return (along / unit.square().sum(dim=-1)).where((whole != 0).any(dim=-1), 0)


def imbalance(parts: Tensor, whole: Tensor) -> float:
    """|sum of parts - whole| / sum of |part|, because rounding scales with the parts, even if they cancel."""
    return ratio((parts.sum(dim=0) - whole).flatten(), torch.stack([norms(part.flatten()[None]) for part in parts]))


def deviation(parts: Tensor, whole: Tensor) -> float:
    """|sum of parts - whole| / |whole|."""
    return ratio((parts.sum(dim=0) - whole).flatten(), norms(whole.flatten()[None]))


def ratio(off: Tensor, sizes: Tensor) -> float:
    """The norm of `off` as a share of the sum of the sizes; 0 if both are zero."""
    far, size = float(norms(off[None])), float(sizes.sum())
    return far / size if size else far
