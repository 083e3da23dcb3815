"""One training batch of any data."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """One training batch: x float32 (B, C, H, W), or the net's arguments by name, and y int64 (B,), on the device.

    index int64 (B,), on the CPU: rows of the part. skipped: "file: reason" of each broken image skipped.
    """

    x: Tensor | dict[str, Tensor]
    y: Tensor
    index: Tensor
    iteration: int
    skipped: tuple[str, ...] = ()
