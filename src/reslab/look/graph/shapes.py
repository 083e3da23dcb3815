"""The value graph of a model from shapes alone where that is possible: on fake tensors, without memory or arithmetic.

A fake tensor has a shape, a dtype and a device, but no numbers. A model whose control flow needs numbers, or that calls
code which knows no fake tensors, runs on real ones instead.
"""

import contextlib
import functools
import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any, Literal

from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from reslab.errors import first_line
from reslab.look.graph.copies import each
from reslab.look.graph.example import Example, arguments, tensors
from reslab.look.graph.questions import PRODUCTS, SAME
from reslab.look.graph.settings import not_asked
from reslab.look.graph.state import kept, kept_items
from reslab.look.graph.trace import Graph, trace

FoundOn = Literal["shapes", "values"]
ONE_DTYPE = PRODUCTS - {"embedding", "_grouped_mm", "einsum"}  # products whose tensors must have the same dtype
DEPTH = 3  # containers within containers that a cache may hold


def graph_of(model: nn.Module, example: Example, *, values: bool = False) -> tuple[Graph, FoundOn, str]:
    """The value graph; what it was found on; and why shapes were not enough ("" if they were, or if `values`).

    Raises UsageError if the model does not accept the example.
    """
    args, kwargs = arguments(example)
    given = [*model.parameters(), *tensors([*args, *kwargs.values()])]
    if any(tensor.is_meta or isinstance(tensor, FakeTensor) for tensor in given):
        return trace(model, example), "shapes", ""
    if values:
        return trace(model, example), "values", ""
    try:
        return on_shapes(model, example), "shapes", ""
    except Exception as error:  # whatever a model raises on tensors without numbers
        cause = error.__cause__ or error
        why = f"{type(cause).__name__}: {first_line(cause)}"
    return trace(model, example), "values", why


def on_shapes(model: nn.Module, example: Example) -> Graph:
    """The value graph of a pass on fake tensors. The weights are converted where they are used, and not changed."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    names, strict = Globals(model), Strict(mode)
    fakes = each(example, lambda tensor: strict.knows(mode.from_tensor(tensor), tensor))
    with silent(), not_asked(), kept(model), mode:
        graph = trace(model, fakes, strict)
    strict.known.clear()
    del fakes  # what is alive now is held by something else
    names.forget(graph)
    return graph


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """A pass that fails is repeated on real tensors: then PyTorch's log and the model's warnings have their turn."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before = log.disabled
    log.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = before


class Strict(TorchDispatchMode):
    """Refuses what real tensors would refuse and fake ones do not: other dtypes in a product, ids out of range.

    Of the example's ids the numbers are known, also behind views. Where it refuses, the pass with values decides.
    """

    def __init__(self, mode: FakeTensorMode) -> None:
        super().__init__()
        self.mode = mode
        self.known: dict[int, tuple[Tensor, Tensor]] = {}  # id -> a fake tensor of ids, the real one

    def knows(self, fake: Tensor, real: Tensor) -> Tensor:
        if not real.is_floating_point() and not real.is_complex():
            self.known[id(fake)] = fake, real
        return fake

    def fake(self, tensor: Tensor) -> Tensor:
        return tensor if isinstance(tensor, FakeTensor) else self.mode.from_tensor(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        given = tensors(args)
        if name == "embedding" and id(given[1]) in self.known:
            with unset_fake_temporarily():
                ids = self.known[id(given[1])][1]
                if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < given[0].shape[0]:
                    raise IndexError("index out of range")
        elif name in ONE_DTYPE and len({tensor.dtype for tensor in given}) > 1:
            raise RuntimeError(f"{name} is given tensors of several dtypes")
        # PyTorch remembers the results of ops on fake tensors alone.
        out = func(*tree_map_only(Tensor, self.fake, args), **tree_map_only(Tensor, self.fake, kwargs))
        if name in SAME and isinstance(out, Tensor) and args and id(args[0]) in self.known:
            with unset_fake_temporarily():
                self.knows(out, func(self.known[id(args[0])][1], *args[1:], **kwargs))
        return out


class Globals:
    """What the files of a model's classes hold by name: a pass may leave tensors there."""

    def __init__(self, model: nn.Module) -> None:
        files = {type(module).__module__ for module in model.modules()}
        named = [vars(sys.modules[name]) for name in files if name in sys.modules and not name.startswith("torch.")]
        inside = [item for place in named for item in place.values() if type(item) in (dict, list)]
        self.undo = [kept_items(place) for place in [*inside, *named]]

    def forget(self, graph: Graph) -> None:
        """Remove the fake tensors of the pass from there and from functools' caches, if any are left."""
        if not alive(graph):
            return
        for restore in self.undo:
            restore()
        gc.collect()
        ids = alive(graph)
        for cache in gc.get_objects() if ids else []:
            if type(cache) is functools._lru_cache_wrapper and holds(cache, ids, DEPTH):
                cache.cache_clear()


def alive(graph: Graph) -> set[int]:
    """The ids of the fake tensors of a pass that are still held by something."""
    return {id(tensor) for reference in graph.alive if isinstance(tensor := reference(), FakeTensor)}


def holds(container: Any, ids: set[int], depth: int) -> bool:
    """Whether one of the objects is held by the container, directly or within tuples, lists and dicts."""
    inside = gc.get_referents(container)
    if any(id(item) in ids for item in inside):
        return True
    nested = (item for item in inside if isinstance(item, tuple | list | dict) or "lru" in type(item).__name__)
    return depth > 0 and any(holds(item, ids, depth - 1) for item in nested)
