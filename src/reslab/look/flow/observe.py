"""Observe the output of every layer while the model runs, before an in-place op can change it."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.batches import few
from reslab.look.graph.example import tensors
from reslab.look.graph.layers import Layer, find_layers
from reslab.look.graph.merges import Merge, find, plain
from reslab.look.graph.ops import has_numbers
from reslab.look.measure import Batch

See = Callable[[Layer, int, Tensor], Tensor]  # see(layer, its earlier calls in this pass, its response)


def subjects(
    model: nn.Module, batches: Sequence[Batch], merges: Sequence[Merge] | None
) -> tuple[nn.Module, Sequence[Merge], tuple[Layer, ...]]:
    """The model that can be traced, its merges, and its layers with the indices of these merges.

    Raises UsageError if there are no batches.
    """
    if not batches:
        raise UsageError("there are no batches to measure on; at least one (example, labels) is needed")
    model, inputs = plain(model), batches[0][0]
    example = few(model, inputs)
    layers = find_layers(model, example)
    if merges is None:
        merges = find(model, example)
    # Merges named by the user have indices too, but the layers do not count them.
    named = [merge.index for merge in merges if merge.named]
    number = {merge.index - sum(i < merge.index for i in named): merge.index for merge in merges if not merge.named}
    given = (replace(each, merge=number.get(each.merge)) if each.merge is not None else each for each in layers)
    return model, merges, tuple(given)


@contextlib.contextmanager
def observe(model: nn.Module, layers: Sequence[Layer], see: See) -> Iterator[None]:
    """Inside, `see` is called with every layer's response (Layer.output) at every call, in the order in which they run.

    Forward hooks run before the next module, so an in-place ReLU has not written yet. The model continues with the
    tensor that `see` returns. Calls are counted from 0 in every pass of the model.
    """
    waiting: dict[str, Layer] = {}  # the module that will give a response -> the layer whose response it is
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
            if not (layer and found and has_numbers(found[0]) and found[0].numel()):
                return output
            calls[layer.module] += 1
            value = see(layer, calls[layer.module] - 1, found[0])
            return value if output is found[0] else output  # a rare layer returns more than one tensor

        return hook

    handles = [model.register_forward_pre_hook(begin)]
    try:
        handles += [modules[layer.module].register_forward_hook(ran(layer)) for layer in layers]
        # Registered last: a layer that is its own output is in `waiting` by now. A norm may serve several layers.
        for path in dict.fromkeys(layer.output for layer in layers):
            handles.append(modules[path].register_forward_hook(came(path)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def head_of(layers: Sequence[Layer], scores: Tensor) -> str | None:
    """The module that computes the model's output: the last layer, if no norm follows and its shape is the output's."""
    last = layers[-1] if layers else None
    if last is None or last.norm or last.merge is not None or last.shape[1:] != scores.shape[1:]:
        return None
    return last.module


def sum_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype for sums: float64 if the device supports it."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def numbers(values: Sequence[Tensor]) -> list[float]:
    """Tensors of one number each as floats, with a single synchronization of the device."""
    if not values:
        return []
    return torch.stack([value.to(values[0].device) for value in values]).tolist()
