"""Numbers that all processes of a training sum up."""

from typing import Any

import torch
from torch import Tensor

from reslab.train.exchange import meeting


class Message:
    """A tensor that is being summed over all processes, in its place; or `how` else it is joined."""

    def __init__(self, tensor: Tensor, how: Any = torch.distributed.ReduceOp.SUM) -> None:
        self.tensor = tensor
        self.sent = tensor if tensor.device.type in ("cpu", "cuda") else tensor.cpu()  # gloo and NCCL know no others
        with meeting():
            self.work = torch.distributed.all_reduce(self.sent, op=how, async_op=True)

    def received(self) -> Tensor:
        """The sum. On CUDA only the device waits."""
        with meeting():
            self.work.wait()
        if self.sent is not self.tensor:
            self.tensor.copy_(self.sent)
        return self.tensor
