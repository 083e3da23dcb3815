"""What processes of one training tell each other: plain data as JSON and tensors, over torch.distributed, on the CPU.

Nothing is pickled. Every function is a meeting: all processes must call it, in the same order.
"""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from reslab.errors import ReslabError
from reslab.train.supervised import AGAIN


class Lost(ReslabError):  # noqa: N818 - what it says
    """Another process of the training has ended or cannot be reached."""

    exit_code = AGAIN


@contextlib.contextmanager
def meeting() -> Iterator[None]:
    """Inside, another process that ended or does not answer in time is one sentence: Lost."""
    try:
        yield
    except RuntimeError as error:  # also torch's DistError and all that gloo and NCCL raise
        raise Lost("another process of this training has ended or cannot be reached; run the same command again to "
                   "resume from the last checkpoint") from error  # fmt: skip


def all_json(data: Any) -> list[Any]:
    """The plain data of every process, in order of rank."""
    own = torch.frombuffer(bytearray(json.dumps(data).encode()), dtype=torch.uint8)
    with meeting():
        size = torch.distributed.get_world_size()
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(size)]
        torch.distributed.all_gather(lengths, torch.tensor([len(own)]))
        most = max(int(one) for one in lengths)
        padded = torch.zeros(most, dtype=torch.uint8)
        padded[: len(own)] = own
        found = [torch.zeros(most, dtype=torch.uint8) for _ in range(size)]
        torch.distributed.all_gather(found, padded)
    return [json.loads(bytes(one[: int(n)].numpy())) for one, n in zip(found, lengths, strict=True)]


def joined_rows(own: Tensor) -> Tensor:
    """The tensors (n, ...) of every process one after the other, by rank: (sum of n, ...). n may be 0."""
    return torch.cat(of_each(own))


def of_each(own: Tensor) -> list[Tensor]:
    """The tensors of every process, by rank, on the CPU; of one type, but of any shapes."""
    own = own.detach().cpu().contiguous()
    shapes = [tuple(shape) for shape in all_json(list(own.shape))]
    mine = torch.distributed.get_rank()
    return [spread(own if rank == mine else torch.empty(shape, dtype=own.dtype), rank)
            for rank, shape in enumerate(shapes)]  # fmt: skip


def spread(tensor: Tensor, rank: int = 0) -> Tensor:
    """The tensor of that rank in the place of everyone's own, which has its shape and type and is on the CPU."""
    if tensor.numel():
        with meeting():
            torch.distributed.broadcast(tensor.reshape(-1).view(torch.uint8), src=rank)
    return tensor


def of_all(error: ReslabError) -> ReslabError:
    """The error, marked as one that all processes raise: rank 0 alone prints it."""
    vars(error)["of_all"] = True
    return error


def is_of_all(error: BaseException) -> bool:
    return bool(vars(error).get("of_all"))
