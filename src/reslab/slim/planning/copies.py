"""Copies of a model that share its weights: each can lose blocks of its own, and takes no memory worth naming."""

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from reslab.errors import UsageError, first_line
from reslab.slim.block import Block
from reslab.slim.surgery import bypass


def shortened(model: nn.Module, blocks: Sequence[Block] = ()) -> nn.Module:
    """A copy of the modules, with the model's own parameters and buffers, without these blocks.

    Raises UsageError if the model cannot be copied.
    """
    tensors: list[Tensor] = [*model.parameters(), *model.buffers()]
    tensors += [value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    try:
        made: nn.Module = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    except Exception as error:
        raise UsageError(f"{type(model).__name__} cannot be copied, and a plan needs a copy to shorten: "
                         f"{first_line(error)}") from error  # fmt: skip
    bypass(made, blocks)
    return made
