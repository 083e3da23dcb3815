"""The memory that one pass of a model takes: what lives at once, weights and buffers included."""

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from reslab.look.graph.copies import each
from reslab.look.graph.example import Example, arguments, tensors
from reslab.look.graph.passes import as_it_was


def peak_memory(model: nn.Module, example: Example) -> int:
    """Bytes of all tensors that live at once in a pass in eval mode without gradients, at its peak.

    Weights, buffers and the input count; what a kernel uses inside does not. Counted operation by operation, so it is
    the same on every device.
    """
    held = [*model.parameters(), *model.buffers()]
    args, kwargs = arguments(each(example, Tensor.clone))  # a pass may write into its input
    with as_it_was(model), torch.no_grad(), Living([*held, *tensors([*args, *kwargs.values()])]) as living:
        model(*args, **kwargs)
    return living.peak


class Living(TorchDispatchMode):
    """Counts the bytes of the storages of living tensors: of those given, and of those that operations make."""

    def __init__(self, given: list[Tensor]) -> None:
        super().__init__()
        self.users: dict[int, int] = {}  # by the storage's address: living tensors
        self.bytes = self.peak = 0
        for tensor in given:
            self.add(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tensors(out):
            self.add(tensor)
        return out

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        if not address:
            return
        if not self.users.get(address):
            self.bytes += size
            self.peak = max(self.peak, self.bytes)
        self.users[address] = self.users.get(address, 0) + 1
        weakref.finalize(tensor, self.drop, address, size)

    def drop(self, address: int, size: int) -> None:
        self.users[address] -= 1
        if not self.users[address]:
            self.bytes -= size
