"""A net's head: found by running the net, replaced for another number of classes."""

from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError, first_line
from reslab.look.graph.example import scores
from reslab.nets.modes import evaluating

LINEAR = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


@torch.no_grad()
def answer(net: nn.Module, example: Tensor) -> Any:
    """The net's output in eval mode, which is restored afterwards."""
    with evaluating(net):
        return net(example)


def fits(net: nn.Module, example: Tensor, classes: int) -> bool:
    """Whether the net gives (N, classes) scores for the example (N, C, H, W); False if it does not run."""
    try:
        return tuple(scores(answer(net, example)).shape) == (len(example), classes)
    except Exception:  # of any net; whoever needs it to run reports why it does not
        return False


def last_layer(net: nn.Module, example: Tensor) -> tuple[nn.Module | None, Any]:
    """(the last module with weights of its own that runs on the example, the net's output)."""
    ran: list[nn.Module] = []
    own = [module for module in net.modules() if list(module.parameters(recurse=False))]
    handles = [module.register_forward_hook(lambda module, inputs, output: ran.append(module)) for module in own]
    try:
        output = answer(net, example)
    finally:
        for handle in handles:
            handle.remove()
    return (ran[-1] if ran else None), output


def replaced(net: nn.Module, example: Tensor, classes: int, *, word: str) -> nn.Module:
    """The net with a new head: its last linear layer or convolution, whose outputs must be the scores.

    Which layer that is, running the net shows, not its name; the new net is run, too. Raises UsageError if the net does
    not run on the example or has no such layer.
    """
    try:
        last, output = last_layer(net, example)
        given = scores(output)
    except UsageError:
        raise
    except Exception as error:
        shape = " x ".join(map(str, example.shape[1:]))
        raise UsageError(f"{word} does not run on images of {shape}: {first_line(error)}") from error
    if given.dim() != 2 or not isinstance(last, LINEAR) or width(last) != given.shape[1]:
        what = f"its last layer is {type(last).__name__}" if last is not None else "it has no layer with weights"
        raise UsageError(f"{word} returns {list(given.shape[1:])} per image, not {classes} scores, and {what}, which "
                         "cannot be replaced; let the function take the argument `classes`")  # fmt: skip
    new, path = another(last, classes), next(name for name, module in net.named_modules() if module is last)
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if child is last:
                setattr(module, name, new)
    net = new if last is net else net
    if not fits(net, example, classes):
        raise UsageError(f"{word} does not give {classes} scores with a new last layer; let the function take the "
                         "argument `classes`")  # fmt: skip
    vars(net)["new_head"] = f"{path or type(last).__name__} ({width(last)} outputs)"
    return net


def width(layer: Any) -> int:
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)


def another(layer: Any, classes: int) -> nn.Module:
    """A layer of the same kind with as many outputs as there are classes, with new weights."""
    bias, beside = layer.bias is not None, {"device": layer.weight.device, "dtype": layer.weight.dtype}
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, classes, bias=bias, **beside)
    groups = layer.groups if classes % layer.groups == 0 else 1
    made: nn.Module = type(layer)(
        layer.in_channels, classes, layer.kernel_size, layer.stride, layer.padding, layer.dilation, groups, bias,
        layer.padding_mode, **beside,
    )  # fmt: skip
    return made
