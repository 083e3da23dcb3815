"""See what comes out of every layer while the model runs, before anything can write into it."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.graph.example import batch_size, rows, tensors
from reslab.look.graph.layers import Layer, find_layers
from reslab.look.graph.merges import Merge, find, plain
from reslab.look.measure import Batch

See = Callable[[Layer, int, Tensor], Tensor]  # the layer, how often it ran before in this pass, its response


def subjects(
    model: nn.Module, batches: Sequence[Batch], merges: Sequence[Merge] | None
) -> tuple[nn.Module, Sequence[Merge], tuple[Layer, ...]]:
    """The model that can be watched, its merges and its layers, these with the merges' own numbers.

    Raises UsageError where there are no batches.
    """
    if not batches:
        raise UsageError("there are no batches to measure on: give at least one (example, labels)")
    model, inputs = plain(model), batches[0][0]
    example = rows(inputs, 0, min(2, batch_size(inputs)))
    layers = find_layers(model, example)
    if merges is None:
        merges = find(model, example)
    named = [merge.index for merge in merges if merge.named]  # these are numbered too; the layers know nothing of them
    number = {merge.index - sum(i < merge.index for i in named): merge.index for merge in merges if not merge.named}
    given = (replace(each, merge=number.get(each.merge)) if each.merge is not None else each for each in layers)
    return model, merges, tuple(given)


@contextlib.contextmanager
def observe(model: nn.Module, layers: Sequence[Layer], see: See) -> Iterator[None]:
    """Inside, `see` is given every layer's response (Layer.output) at every call, in the order in which they run.

    Forward hooks run before the next module does, so a ReLU in place has not written yet. The model goes on with what
    `see` returns. Calls count from 0 in every pass of the model.
    """
    waiting: dict[str, Layer] = {}  # the module whose output comes next: whose response that is
    calls: Counter[str] = Counter()
    modules = dict(model.named_modules(remove_duplicate=False))

    def begin(module: nn.Module, args: Any) -> None:
        waiting.clear()
        calls.clear()

    def ran(layer: Layer) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            waiting[layer.output] = layer

        return hook

    def came(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            layer, found = waiting.pop(path, None), tensors(output)
            if not (layer and found and found[0].is_floating_point() and found[0].numel()):
                return output
            calls[layer.module] += 1
            value = see(layer, calls[layer.module] - 1, found[0])
            return value if output is found[0] else output  # few layers give more than one tensor

        return hook

    handles = [model.register_forward_pre_hook(begin)]
    try:
        handles += [modules[layer.module].register_forward_hook(ran(layer)) for layer in layers]
        # A norm may serve several layers, and a layer may be its own output: then it was just noted as waiting.
        for path in dict.fromkeys(layer.output for layer in layers):
            handles.append(modules[path].register_forward_hook(came(path)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def head_of(layers: Sequence[Layer], scores: Tensor) -> str | None:
    """The module that gives the model's answer: the last layer, with no norm behind it, of the answer's size."""
    last = layers[-1] if layers else None
    if last is None or last.norm or last.merge is not None or last.shape[1:] != scores.shape[1:]:
        return None
    return last.module


def sum_dtype(tensor: Tensor) -> torch.dtype:
    """The type to sum up in: float64 wherever the device has it."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def numbers(values: Sequence[Tensor]) -> list[float]:
    """Tensors of one number each as floats, waiting for the device once."""
    if not values:
        return []
    return torch.stack([value.to(values[0].device) for value in values]).tolist()
