"""The value graph of one forward pass: which tensor was computed from which, in which module, at which site.

A value is a tensor at one moment: an in-place result is a new value. The graph is recorded under a TorchDispatchMode,
which also sees what torch.fx cannot trace, including in-place ops. It works on FakeTensors and on the meta device,
without weights.
"""

import contextlib
import functools
import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from reslab.errors import UsageError
from reslab.look.graph.copies import own
from reslab.look.graph.example import Example, arguments, first_of, scores, tensors
from reslab.look.graph.ops import count_macs, has_numbers, told
from reslab.look.graph.passes import forward
from reslab.look.graph.sites import AddingCalls, Modules, Part, Place, Site, operands

INPUT = "(input)"  # the path of the example's own tensors


@dataclass(slots=True)
class Value:
    """One tensor at one moment; sources (parameters, inputs, constants) have no op."""

    op: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    floating: bool  # real, complex or quantized numbers
    data: bool  # whether it depends on the example
    path: str  # the module that was running
    site: Site | None  # the adding call that computed it
    place: Place | None = None  # the op that computed it outside adding calls; of an input: its number, as the count
    weights: tuple[str, ...] = ()  # names of the parameters read, directly or through views
    numbers: Mapping[str, float] = field(default_factory=dict)  # numeric arguments by name, for the ops in ops.NUMBERED
    dims: tuple[int, ...] = ()  # the dimensions that the op is told, as it is told them
    pointwise: bool = False  # whether it acts on each number by itself
    packed: bool = False  # whether it applies weights that are no tensors: those of a quantized layer
    rounds: bool = False  # whether it computes in the few bits of quantized numbers
    within: str = ""  # the function of PyTorch that computed it in several ops, such as gru
    macs: int = 0
    above: int = 0  # the set of its ancestors including itself, as bits


@dataclass
class Graph:
    """All values of a pass in order, the users of each, and the values that each site added."""

    values: list[Value] = field(default_factory=list)
    users: list[list[int]] = field(default_factory=list)
    added: dict[Site, tuple[int | None, ...]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # parameter name -> number of elements
    foreign: set[str] = field(default_factory=set)  # custom ops, with their module
    calls: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)  # module: its input, its output
    times: Counter[str] = field(default_factory=Counter)  # module: how often it was called
    outputs: set[int] = field(default_factory=set)
    scores: int | None = None  # the output that holds the model's scores
    alive: list[weakref.ref[Tensor]] = field(default_factory=list)  # tensors that were alive at the end of the pass

    def put(self, value: Value) -> int:
        index = len(self.values)
        value.above = 1 << index
        for i in value.inputs:
            value.above |= self.values[i].above
            if index not in self.users[i]:
                self.users[i].append(index)
        self.values.append(value)
        self.users.append([])
        return index


def trace(model: nn.Module, example: Example, mode: contextlib.AbstractContextManager | None = None) -> Graph:
    """Run the model once, without gradients, and return its value graph; in `mode`, where fake tensors come from."""
    fakes = (mode for t in model.parameters() if (mode := getattr(t, "fake_mode", None)) is not None)
    # In inference mode PyTorch does not decompose composite functions into the ops that are recorded here.
    with torch.inference_mode(False), torch.no_grad(), mode or next(fakes, contextlib.nullcontext()):
        example = own(example)  # the model may write into it
        recorder = Recorder(model, example)
        with recorder.modules.watched(), recorder, Calls(recorder):
            output = forward(model, example)
    recorder.graph.outputs = {recorder.now[id(t)] for t in tensors(output) if id(t) in recorder.now}
    recorder.graph.scores = recorder.scores(output)
    recorder.graph.alive = list(recorder.alive.values())
    return recorder.graph


class Calls(AddingCalls):
    """Tells the recorder which adding call of the model is running."""

    def __init__(self, recorder: "Recorder") -> None:
        super().__init__()
        self.recorder, self.modules = recorder, recorder.modules

    def other(self, func: Any, name: str, args: tuple, kwargs: dict) -> Any:
        self.recorder.within = name
        try:
            return func(*args, **kwargs)
        finally:
            self.recorder.within = ""

    def adding(self, site: Site, func: Any, name: str, args: tuple, kwargs: dict) -> Any:
        recorder = self.recorder
        recorder.site = site
        recorder.graph.added[site] = tuple(recorder.seen(t) for t in operands(name, args, kwargs))
        try:
            return func(*args, **kwargs)
        finally:
            recorder.site = None


class Recorder(TorchDispatchMode):
    """Records the graph. It holds no tensor, so that the pass needs no more memory than any other."""

    def __init__(self, model: nn.Module, example: Example) -> None:
        super().__init__()
        self.graph, self.modules = Graph(), Modules(model, self.entered, self.left)
        self.site: Site | None = None
        self.within = ""  # the function that is running
        self.now: dict[int, int] = {}  # id of a tensor -> its current value
        self.alive: dict[int, weakref.ref[Tensor]] = {}  # id of a tensor -> the tensor
        self.sharing: dict[int, set[int]] = {}  # storage -> the ids of the tensors that share it
        self.ops: Counter[tuple[str, str]] = Counter()  # how often a module has run an op outside adding calls
        self.names = {id(p): name for name, p in model.named_parameters()}
        self.graph.sizes = {name: p.numel() for name, p in model.named_parameters()}
        args, kwargs = arguments(example)
        for i, tensor in enumerate(tensors([*args, *kwargs.values()])):
            shape, floating = tuple(tensor.shape), has_numbers(tensor)
            self.set(tensor, Value("", (), shape, floating, True, "", None, Place(INPUT, "", i, 0)))

    def scores(self, output: Any) -> int | None:
        """The value of the model's scores; None if its output has none."""
        with contextlib.suppress(UsageError):
            return self.now.get(id(scores(output)))
        return None

    def entered(self, path: str, args: list) -> None:
        self.graph.times[path] += 1
        if path not in self.graph.calls:
            self.graph.calls[path] = (self.seen(first_of(args)), None)

    def left(self, path: str, output: Any) -> None:
        before, after = self.graph.calls[path]
        if after is None:
            self.graph.calls[path] = (before, self.seen(first_of(output)))

    def set(self, tensor: Tensor, value: Value) -> int:
        index = self.graph.put(value)
        if id(tensor) not in self.now:
            number, memory = id(tensor), storage(tensor)
            self.alive[number] = weakref.ref(tensor, functools.partial(self.forget, number, memory))
            self.sharing.setdefault(memory, set()).add(number)
        self.now[id(tensor)] = index
        return index

    def forget(self, number: int, memory: int, _: Any) -> None:
        """A tensor is no more: its id, and its storage's, may be used again."""
        del self.now[number], self.alive[number]
        self.sharing[memory].discard(number)
        if not self.sharing[memory]:
            del self.sharing[memory]

    def value(self, tensor: Tensor) -> int:
        """The current value of a tensor; an unknown tensor is a source."""
        if id(tensor) in self.now:
            return self.now[id(tensor)]
        name = self.names.get(id(tensor))
        source = Value("", (), tuple(tensor.shape), has_numbers(tensor), False, "", None)
        source.weights = (name,) if name else ()
        return self.set(tensor, source)

    def seen(self, item: Any) -> int | None:
        if isinstance(item, Part):  # computed inside the call
            return self.seen(item.source)
        return self.value(item) if isinstance(item, Tensor) else None

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        given = tensors([*args, *kwargs.values()])
        written = written_to(func, args, kwargs)
        fresh = {id(t) for t in written if "out" in kwargs or func.overloadpacket.__name__ == "copy_"}
        inputs = tuple(dict.fromkeys(self.value(t) for t in given if id(t) not in fresh))
        out = func(*args, **kwargs)
        results = list({id(t): t for t in [*tensors(out), *written]}.values())
        self.record(func, args, kwargs, out, inputs, [t for t in results if t_is_new(t, self.now, written)])
        for tensor in written:
            self.spread(tensor)
        return out

    def record(
        self, func: Any, args: tuple, kwargs: dict, out: Any, inputs: tuple[int, ...], results: list[Tensor]
    ) -> None:
        values = self.graph.values
        path = self.modules.stack[-1] if self.modules.stack else ""
        data = any(values[i].data for i in inputs)
        # Each once: a weight divided by its own sums, again and again, would be named 2^n times.
        weights = tuple(dict.fromkeys(name for i in inputs if not values[i].data for name in values[i].weights))
        op = name = func.overloadpacket.__name__
        packed = any(
            isinstance(item, torch.ScriptObject) for arg in args for item in (arg if isinstance(arg, list) else [arg])
        )
        if func.namespace not in ("aten", "prims", "prim", "quantized", "quantized_decomposed") and data:
            self.graph.foreign.add(f"{func.namespace}::{op} in {path or 'the model'}")
        if op == "add" and len(args) > 1 and not isinstance(args[1], Tensor) and args[1] == 0:
            op = "plus_nothing"  # Python's sum() starts with 0
        macs, (numbers, dims) = count_macs(func, args, kwargs, out), told(func, args, kwargs)
        for k, tensor in enumerate(results):
            place = None if self.site else Place(path, name, self.ops[path, name], k)
            value = Value(op, inputs, tuple(tensor.shape), has_numbers(tensor), data, path, self.site, place, weights)
            value.numbers, value.dims, value.packed, value.within = numbers, dims, packed, self.within
            value.pointwise, value.rounds = torch.Tag.pointwise in func.tags, func.namespace == "quantized"
            value.macs, macs = macs, 0  # counted once, even if the op has several outputs
            self.set(tensor, value)
        self.ops[path, name] += self.site is None

    def spread(self, tensor: Tensor) -> None:
        """A write through one tensor changes every other tensor of the same storage."""
        index = self.now[id(tensor)]
        for number in list(self.sharing.get(storage(tensor), ())):
            other = self.alive[number]()
            if other is not None and other is not tensor:
                old = self.graph.values[self.now[id(other)]]
                both = (self.now[id(other)], index)
                data = old.data or self.graph.values[index].data
                self.set(
                    other, Value("written", both, old.shape, old.floating, data, old.path, None, weights=old.weights)
                )


def t_is_new(tensor: Tensor, now: dict[int, int], written: list[Tensor]) -> bool:
    return id(tensor) not in now or any(tensor is w for w in written)


def storage(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):  # sparse tensors, among others, have none
        return id(tensor)


def written_to(func: Any, args: tuple, kwargs: dict) -> list[Tensor]:
    """The tensors into which the op writes."""
    if not func._schema.is_mutable:
        return []
    found: list[Tensor] = []
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found += tensors(args[i] if i < len(args) else kwargs.get(argument.name))
    return found
