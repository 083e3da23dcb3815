"""The data as people have them, as a list of (input, labels or None)."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.graph.example import batch_size, rows, tensors
from reslab.look.graph.passes import as_it_was, call
from reslab.look.graph.state import Draws
from reslab.look.measure import Batch

FORM = "pass [(input, labels), ...], with None where there are no labels; several inputs stand in a tuple or dict"


def as_batches(given: Any) -> list[Batch]:
    """[(input, labels or None), ...] from a list of such pairs, one pair, a DataLoader or another iterable of batches.

    A batch without labels may be the input alone. Of a dict, "labels" are the labels. Arrays become tensors, and labels
    int64 on the input's device. An iterable is read once, so all its batches are in memory; random generators are
    restored. Raises UsageError for anything else.
    """
    if isinstance(given, Tensor | Mapping) or is_array(given) or is_pair(given):
        given = [given]
    if isinstance(given, str | bytes | nn.Module) or not isinstance(given, Iterable):
        raise UsageError(f"the batches are of type {type(given).__name__}: {FORM}")
    draws = Draws(nn.Module())
    found = [as_batch(item) for item in given]
    draws.restore()
    return found


def is_pair(given: Any) -> bool:
    """Whether (x, y) is one batch: y is None, or labels, and not the next batch."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        return False
    x, y = given
    if y is None:
        return True
    if isinstance(y, Tensor) or is_array(y):
        alike = isinstance(x, Tensor) and isinstance(y, Tensor) and (x.shape[1:], x.dtype) == (y.shape[1:], y.dtype)
        return isinstance(given, tuple) or not alike  # [x1, x2] are two batches without labels
    return isinstance(y, list | tuple) and bool(y) and all(isinstance(each, int) for each in y)


def as_batch(item: Any) -> Batch:
    if isinstance(item, Mapping):
        labels = item.get("labels")
        example: Any = {key: value for key, value in item.items() if key != "labels"} if labels is not None else item
    elif isinstance(item, tuple | list) and len(item) in (1, 2):
        example, labels = item if len(item) == 2 else (item[0], None)
    elif isinstance(item, Tensor) or is_array(item):
        example, labels = item, None
    else:
        what = f"has {len(item)} items" if isinstance(item, tuple | list) else f"is of type {type(item).__name__}"
        raise UsageError(f"a batch {what}: {FORM}")
    example = torch.as_tensor(example) if is_array(example) else example
    return example, None if labels is None else as_labels(labels, example)


def as_labels(labels: Any, example: Any) -> Tensor:
    """Labels as a tensor on the example's device; whole numbers as int64."""
    try:
        found = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:  # texts, lists of different lengths
        raise UsageError(f"the labels must be whole numbers, one per sample, got {type(labels).__name__}") from error
    known = tensors(list(example.values()) if isinstance(example, Mapping) else example)
    found = found.to(known[0].device) if known else found
    found = found if found.dim() else found.reshape(1)
    return found if found.is_floating_point() or found.is_complex() else found.long()


def is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and hasattr(value, "shape")


def few(model: nn.Module, example: Any) -> Any:
    """Two samples of the example, or all if the model does not accept two: nodes of a graph, for instance."""
    if batch_size(example) <= 2:
        return example
    try:
        with torch.no_grad(), as_it_was(model):
            call(model, rows(example, 0, 2))
    except UsageError:
        return example
    return rows(example, 0, 2)


def batch_first_advice(model: nn.Module) -> str:
    """What may help a model whose samples are in the second dimension, if one of its modules has the choice."""
    choice = any(getattr(module, "batch_first", None) is False for module in model.modules())
    return "; build the model with batch_first=True" if choice else "; lesions and readout can measure it"
