"""Which failures may be gone at the next try, so that a supervisor starts all processes again: those of the machine.

An error of Python with a message of its own would come again: a bug, a file that cannot be read, a loss that is not
finite. Memory that ran out, a worker that was killed and a device that failed are no fault of the program.
"""

import errno
from collections.abc import Iterator

import torch

from reslab.train.exchange import Lost
from reslab.train.memory import is_full

WORKER = "DataLoader worker"  # how torch's sentence about a worker process that has died begins


def may_pass(error: BaseException) -> bool:
    """Whether the failure, or what it came from, is one of the machine, or the loss of another process."""
    return any(of_machine(one) for one in causes(error))


def of_machine(error: BaseException) -> bool:
    if isinstance(error, Lost | torch.AcceleratorError) or is_full(error):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError) and str(error).startswith(WORKER)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those it was raised from; not what was only being handled."""
    while error is not None:
        yield error
        error = error.__cause__
