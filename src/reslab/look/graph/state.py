"""What a pass may change of a model besides its output, and how it comes back.

Some models count their calls, keep a cache, replace a buffer, clamp a weight, or draw random numbers. A second pass
would then not measure the model that the first one measured, and the user's model would not be the same afterwards.
"""

import contextlib
import functools
import operator
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.overrides import TorchFunctionMode

from reslab.look.graph.copies import SHARED, attributes, parts

# The attributes of every module; what they hold is recorded apart, or set by reslab itself (mode, hooks).
BARE = frozenset(nn.Module().__dict__)
PLACES = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")
# A model may add hooks in a pass and note in an attribute that it has, as transformers does for hidden states: as the
# attribute is put back, hooks that stayed would be added again in each pass. Those of reslab came before, or are gone.
HOOKS = tuple(name for name, value in nn.Module().__dict__.items() if isinstance(value, dict) and name not in PLACES)
PLAIN = frozenset((str, int, float, bool, type(None), torch.device, torch.dtype, torch.Size))
OPAQUE = frozenset(sys.stdlib_module_names) - {"types", "argparse", "builtins", "collections"} | {"torch", "logging"}
HARMLESS = frozenset(("requires_grad_", "detach_", "share_memory_", "retain_grad"))


@contextlib.contextmanager
def kept(model: nn.Module) -> Iterator["State"]:
    """Inside, the model may run; at the end, also after an exception, it is as it was before, to the bit."""
    state = State(model)
    try:
        with state.weights:
            yield state
    finally:
        state.restore()


class State:
    """The buffers, tensors, hooks, counters, lists, caches and generators that a model's modules hold.

    Tensors other than weights are copied; of weights, only those that the model writes into. Objects keep their
    identity: what was changed in them is put back.
    """

    def __init__(self, model: nn.Module) -> None:
        self.undo: list[Callable[[], Any]] = []
        self.hooks: list[tuple[dict[int, Any], set[int]]] = []  # those of a module, and the numbers of those it has now
        self.storages: set[int] = set()
        self.seen: dict[int, Any] = {}  # by id; the values keep the ids from being used again
        self.weights = CopyOnWrite(model)
        waiting: list[Any] = list(model.modules())
        while waiting:
            value = waiting.pop()
            if type(value) not in PLAIN and id(value) not in self.seen:
                self.seen[id(value)] = value
                waiting += self.record(value)

    def record(self, value: Any) -> list[Any]:
        """Note how to put this value back; what it holds is returned, to be noted next."""
        if isinstance(value, nn.Parameter) or (isinstance(value, SHARED) and not isinstance(value, nn.Module)):
            return []
        if isinstance(value, Tensor):
            self.tensor(value)
        elif isinstance(value, nn.Module):
            named = vars(value)
            self.undo += [kept_items(named[place]) for place in PLACES if place in named]
            self.undo.append(kept_items(named, but=BARE))
            self.hooks += [(named[place], set(named[place])) for place in HOOKS if place in named]
            return [*named["_buffers"].values(), *(item for name, item in named.items() if name not in BARE)]
        elif restore := generator(value):
            self.undo.append(restore)
        elif type(value).__module__ == "numpy":
            if isinstance(getattr(value, "shape", None), tuple) and value.shape:
                self.undo.append(functools.partial(value.__setitem__, ..., value.copy()))
        elif type(value).__module__.partition(".")[0] not in OPAQUE:
            if isinstance(value, dict | list | deque | set):
                self.undo.append(kept_items(value))
            if type(value) not in (dict, list, tuple) and attributes(value):
                self.undo.append(kept_attributes(value))
            return parts(value)
        return []

    def tensor(self, value: Tensor) -> None:
        if value.is_meta or hasattr(value, "fake_mode"):
            return
        self.storages.add(storage(value))
        self.undo.append(functools.partial(write, value, value.detach().clone()))

    def restore(self) -> None:
        with torch.no_grad():
            self.weights.restore()
            for restore in self.undo:
                restore()
        for hooks, before in self.hooks:
            for new in hooks.keys() - before if hooks else ():
                del hooks[new]

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor shares its memory with what is put back."""
        return storage(tensor) in self.storages or storage(tensor) in self.weights.known


class CopyOnWrite(TorchFunctionMode):
    """Copies a weight before the model writes into it: copies of all weights would double the memory."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        real = [p for p in model.parameters() if not p.is_meta and not hasattr(p, "fake_mode")]
        self.weights = [(p, p.data) for p in real]
        self.known: dict[int, list[Tensor]] = {}
        for _, data in self.weights:
            self.known.setdefault(storage(data), []).append(data)
        self.before: dict[int, list[Tensor]] = {}

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if "out" in kwargs or name == "__setitem__" or (name.startswith("__i") and name.endswith("__")):
            self.keep([*args[:1], kwargs.get("out")])
        elif name.endswith("_") and not name.endswith("__") and name not in HARMLESS:
            self.keep([*args[:1], *kwargs.values()])
        return func(*args, **kwargs)

    def keep(self, targets: list[Any]) -> None:
        for target in targets:
            for tensor in target if isinstance(target, tuple | list) else [target]:
                key = storage(tensor) if isinstance(tensor, Tensor) else None
                if key is not None and key in self.known and key not in self.before:
                    with unset_fake_temporarily():  # a pass on shapes alone does not change it
                        self.before[key] = [data.clone() for data in self.known[key]]

    def restore(self) -> None:
        for weight, data in self.weights:
            if storage(weight) != storage(data) or weight.shape != data.shape:
                weight.data = data  # the model had replaced it
        for key, before in self.before.items():
            for data, numbers in zip(self.known[key], before, strict=True):
                write(data, numbers)


def storage(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):  # sparse tensors, among others, have none
        return id(tensor)


def write(tensor: Tensor, before: Tensor) -> None:
    """Give the tensor its earlier numbers, if it has others now."""
    try:
        if tensor.shape == before.shape and torch.equal(tensor.detach(), before):
            return
    except (NotImplementedError, RuntimeError):
        pass  # a kind that cannot be compared
    with torch.inference_mode(tensor.is_inference()), torch.no_grad():
        plain = tensor.detach()
        if plain.shape == before.shape:
            plain.copy_(before)
        else:
            tensor.set_(before)  # type: ignore[call-overload]


def kept_items(value: Any, *, but: frozenset[str] = frozenset()) -> Callable[[], None]:
    """How to give a dict (except some keys), list, deque or set its present items, if it has others then."""
    if not isinstance(value, dict):
        items = list(value)

        def refill() -> None:
            if len(value) != len(items) or not all(map(operator.is_, value, items)):
                value.clear()
                (value.update if isinstance(value, set) else value.extend)(items)

        return refill
    before = dict(value)

    def restore() -> None:
        if len(value) == len(before) and all(map(operator.is_, value.values(), before.values())):
            return
        rest = {key: value.get(key, item) for key, item in before.items() if key in but}
        value.clear()
        value.update(before | rest)

    return restore


def kept_attributes(value: Any) -> Callable[[], None]:
    """How to give an object its present attributes."""
    before = attributes(value)

    def restore() -> None:
        now = attributes(value)
        for name in now.keys() - before.keys():
            object.__delattr__(value, name)
        for name, item in before.items():
            if now.get(name, restore) is not item:
                object.__setattr__(value, name, item)

    return restore


def generator(value: Any) -> Callable[[], Any] | None:
    """How to put a random generator back, of PyTorch, Python or NumPy; None for all other values."""
    numpy = sys.modules.get("numpy")
    if isinstance(value, torch.Generator) or (numpy and isinstance(value, numpy.random.RandomState)):
        return functools.partial(value.set_state, value.get_state())
    if isinstance(value, random.Random):
        return functools.partial(value.setstate, value.getstate())
    if numpy and isinstance(value, numpy.random.Generator):
        return functools.partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    return None


class Draws:
    """The state of the random generators that a model may use: those of its devices, of Python and of NumPy."""

    def __init__(self, model: nn.Module) -> None:
        self.cpu, self.python = torch.get_rng_state(), random.getstate()
        devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
        self.cuda = [(device, torch.cuda.get_rng_state(device)) for device in devices]
        numpy = sys.modules.get("numpy")
        self.numpy = (numpy.random, numpy.random.get_state()) if numpy else None

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        random.setstate(self.python)
        for device, state in self.cuda:
            torch.cuda.set_rng_state(state, device)
        if self.numpy:
            self.numpy[0].set_state(self.numpy[1])
