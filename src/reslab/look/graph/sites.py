"""Where a model adds: the calls of PyTorch's adding functions, each identified in the same way in every run.

A site is (module path, how many adding calls that module made earlier in this forward pass). It does not depend on
the batch, the device or the mode, so a site found in one run can be edited in the next.
"""

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

ADDING = frozenset(
    "add add_ sub sub_ subtract subtract_ rsub __rsub__ lerp lerp_ addcmul addcmul_ addcdiv addcdiv_ add_relu "
    "stack cat concat concatenate sum mean einsum tensordot matmul __matmul__".split()
)
JOINING = frozenset("stack cat concat concatenate".split())
CONTRACTING = frozenset("sum mean einsum tensordot matmul __matmul__".split())  # they add what was joined before
EACH = {  # calls that add pairs of tensors, as calls that each add one pair
    "_foreach_add": torch.add,
    "_foreach_add_": Tensor.add_,
    "_foreach_sub": torch.sub,
    "_foreach_sub_": Tensor.sub_,
}


@dataclass(frozen=True)
class Site:
    """One call of an adding function: call number `count` of module `path` in a forward pass."""

    path: str
    count: int


@dataclass(frozen=True)
class Operand:
    """One of the tensors added at a site."""

    site: Site
    position: int
    factor: float | None = 1  # with which it is added; None: the call itself computes it (lerp)


@dataclass(frozen=True)
class Place:
    """Result number `output` of call number `count` of an op in module `path`, not counting those in adding calls."""

    path: str
    op: str
    count: int
    output: int


class Modules:
    """Tracks by forward hooks which module is running.

    A module with several names is called by its name within its caller, or by its first name. `entered(path,
    arguments)` and `left(path, output)` are called if given.
    """

    def __init__(
        self,
        model: nn.Module,
        entered: Callable[[str, list], None] | None = None,
        left: Callable[[str, Any], None] | None = None,
    ) -> None:
        self.model, self.entered, self.left = model, entered, left
        self.stack: list[str] = []
        self.counts: Counter[str] = Counter()
        self.passes = 0  # completed forward passes of the model

    def enter(self, names: list[str], _module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if not self.stack:  # a new forward pass
            self.counts.clear()
        path = names[0]
        if len(names) > 1 and self.stack:
            path = next((name for name in names if name.startswith(f"{self.stack[-1]}.")), path)
        self.stack.append(path)
        if self.entered:
            self.entered(path, [*args, *kwargs.values()])

    def leave(self, _module: nn.Module, _args: tuple, output: Any = None) -> None:
        path = self.stack.pop() if self.stack else None
        if output is None or path is None:  # also called after an exception: always_call
            return
        self.passes += path == "" and not self.stack
        if self.left:
            self.left(path, output)

    def site(self) -> Site:
        path = self.stack[-1]
        self.counts[path] += 1
        return Site(path, self.counts[path] - 1)

    @contextlib.contextmanager
    def watched(self) -> Iterator["Modules"]:
        handles = []
        try:
            names: dict[nn.Module, list[str]] = {}
            for name, module in self.model.named_modules(remove_duplicate=False):
                names.setdefault(module, []).append(name)
            for module, known in names.items():
                enter = functools.partial(self.enter, known)
                handles.append(module.register_forward_pre_hook(enter, prepend=True, with_kwargs=True))
                handles.append(module.register_forward_hook(self.leave, always_call=True))
            yield self
        finally:
            for handle in handles:
                handle.remove()
            self.stack.clear()


class AddingCalls(TorchFunctionMode):
    """Sees the calls of PyTorch's adding functions inside a pass of the model, each with its site.

    A subclass has `modules` and says in `adding` what becomes of such a call. A call that adds several pairs comes as
    calls that each add one; any other call goes to `other`.
    """

    modules: Modules

    def adding(self, site: Site, func: Any, name: str, args: tuple, kwargs: dict) -> Any:
        """The result of an adding call."""
        raise NotImplementedError

    def other(self, func: Any, name: str, args: tuple, kwargs: dict) -> Any:
        """The result of any other call."""
        return func(*args, **kwargs)

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs, name = kwargs or {}, name_of(func)
        if name in EACH and (pairs := pairs_of(args, kwargs)):
            return [self.__torch_function__(EACH[name], types, pair, kwargs) for pair in pairs]
        if name not in ADDING or not self.modules.stack:
            return self.other(func, name, args, kwargs)
        return self.adding(self.modules.site(), func, name, args, kwargs)


def operands(name: str, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
    """The operands of an adding call in order: two tensors, or the joined list; none for the call that then adds it."""
    if name in CONTRACTING:
        return []
    if name in JOINING:
        return joined(name, args, kwargs)
    given = list(args) + [kwargs[key] for key in ("input", "other", "end", "tensor1", "tensor2") if key in kwargs]
    if name.startswith(("addcmul", "addcdiv")) and len(given) >= 3:
        return [given[0], Product(given[1], given[2], kwargs.get("value", 1), divide=name.startswith("addcdiv"))]
    return given[:2]


def joined(name: str, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
    """The tensors that a call joins along a new dimension, or along one in which each of them has length 1."""
    parts = list(args[0] if args else kwargs["tensors"])
    if name == "stack":
        return parts
    dim = dim_of(args, kwargs)
    if any(part.dim() <= 1 or part.shape[dim] != 1 for part in parts):
        return []
    return [Slice(part, dim) for part in parts]


def dim_of(args: tuple, kwargs: dict[str, Any]) -> int:
    return kwargs.get("dim", args[1] if len(args) > 1 else 0)


def pairs_of(args: tuple, kwargs: dict[str, Any]) -> list[tuple]:
    """The pairs that a call in EACH adds; none if it adds one number to all."""
    given = [*args, *(kwargs.pop(key) for key in ("self", "other") if key in kwargs)]
    lists = all(isinstance(item, tuple | list) for item in given[:2]) and len(given) == 2
    return list(zip(*given, strict=True)) if lists else []


class Part:
    """A summand that the model's own call computes before it adds it; `source` stands for it in the value graph."""

    source: Tensor

    def compute(self) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class Product(Part):
    """The second summand of addcmul and addcdiv, not yet multiplied or divided."""

    source: Tensor
    second: Tensor
    value: float
    divide: bool = False

    def compute(self) -> Tensor:
        return self.value * (self.source / self.second if self.divide else self.source * self.second)


@dataclass(frozen=True)
class Slice(Part):
    """One tensor of a concatenation, without the dimension along which it is concatenated."""

    source: Tensor
    dim: int

    def compute(self) -> Tensor:
        return self.source.squeeze(self.dim)


def combine(
    func: Callable, summands: list[Tensor], args: tuple, kwargs: dict[str, Any], out: Tensor | None = None
) -> Tensor:
    """The call's result for other summands, not in place; written into `out` if given."""
    name = name_of(func)
    if name in JOINING:  # a Slice has lost the dimension along which it is concatenated
        return torch.stack(summands, dim=dim_of(args, kwargs), out=out)
    a, b = summands
    if a.is_quantized:  # its kernel is told the scale of the result
        return func(a, b, *args[2:], **kwargs)
    if name.startswith("lerp"):
        return torch.lerp(a, b, kwargs["weight"] if "weight" in kwargs else args[-1], out=out)
    alpha = kwargs.get("alpha", 1) if not name.startswith("addc") else 1
    if "rsub" in name:  # the second minus the first
        return torch.sub(b, a, alpha=alpha, out=out)
    return torch.sub(a, b, alpha=alpha, out=out) if name.startswith("sub") else torch.add(a, b, alpha=alpha, out=out)


def share(name: str, operand: Operand, part: Any, args: tuple, kwargs: dict[str, Any]) -> Tensor:
    """What the call adds of one of its operands: with its sign and factor."""
    value = part.compute() if isinstance(part, Part) else part
    if operand.factor is not None:
        return value if operand.factor == 1 else value * operand.factor
    weight = kwargs["weight"] if "weight" in kwargs else args[-1]  # lerp's
    return value * (weight if operand.position else 1 - weight)


def name_of(func: Callable) -> str:
    """The name of a call: torch.ops.aten.add.Tensor is an add, too."""
    return getattr(func, "__name__", "").partition(".")[0]


def target_of(name: str, args: tuple, kwargs: dict[str, Any]) -> Tensor | None:
    """The tensor into which the call writes its result, if any."""
    in_place = name.endswith("_") and not name.endswith("__") and args
    return kwargs.get("out", args[0] if in_place else None)
