"""A batch of windows as tensors, for a net in torch; `windows.WindowArrays` has the same columns without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """B windows padded to L tokens."""

    ids: Tensor  # (B, L) int64
    mask: Tensor  # (B, L) bool: not padding
    types: Tensor  # (B, L) int64: token types, as the tokenizer numbers them
    context: Tensor  # (B, L) bool: tokens of the context with any text, which may start or end an answer
    offsets: Tensor  # (B, L, 2) int64: [a, b) in characters of the context; 0 outside it
    start: Tensor  # (B,) int64: the answer's first token; 0 if the window does not hold the whole answer
    end: Tensor  # (B,) int64: its last token, or 0
    question: Tensor  # (B,) int64: index of the question

    @classmethod
    def of(cls, columns: Mapping[str, np.ndarray]) -> "WindowBatch":
        """The columns of WindowArrays as tensors, which share their memory."""
        return cls(**{name: torch.from_numpy(column) for name, column in columns.items()})

    def to(self, device: torch.device) -> "WindowBatch":
        moved = {name: value.to(device, non_blocking=True) for name, value in vars(self).items()}
        return replace(self, **moved)
