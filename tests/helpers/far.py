"""A stand-in for a GPU: a device whose tensors compute on the CPU, but which refuses what a GPU refuses.

Inside `with stand_in("cuda")`, a tensor made on or moved to that device is a Far. Refused as a GPU does, with its
words: two devices in one operation (but a CPU scalar, a copy and CPU indices of a far tensor), `.numpy()` without
`.cpu()`, a generator of the CPU for numbers of the device; with "mps" also float64 and complex128. Refused by us: an
autocast of the CPU around operations of the device, which on a GPU changes nothing. Nothing is compiled or fast, and
numbers are those of the CPU.
"""

import contextlib
import copy
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from unittest import mock

import torch
import torch._dynamo  # before the functions of torch.cuda are others, which it lists
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

META = torch.device("meta")  # what a far tensor is to C++, which so never takes it for one of the CPU
aten = torch.ops.aten
COPIES = (aten.copy_.default, aten._to_copy.default)  # from one device to another
INDEXING = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default,
            aten._unsafe_index.Tensor, aten._unsafe_index_put.default)  # fmt: skip
HALVED: dict[Any, tuple[int, ...]] = {  # what autocast computes in bf16, and which arguments it converts
    F.linear: (0, 1, 2), F.conv1d: (0, 1, 2), F.conv2d: (0, 1, 2), F.conv3d: (0, 1, 2), torch.matmul: (0, 1),
    Tensor.matmul: (0, 1), Tensor.__matmul__: (0, 1), Tensor.__rmatmul__: (0, 1), torch.mm: (0, 1), torch.bmm: (0, 1),
    Tensor.mm: (0, 1), Tensor.bmm: (0, 1), torch.addmm: (0, 1, 2), torch.baddbmm: (0, 1, 2),
    F.scaled_dot_product_attention: (0, 1, 2),
}  # fmt: skip
SET = Tensor.data.__set__  # type: ignore[attr-defined]
LITERALS = (torch.tensor, torch.as_tensor, torch.asarray)
WIDE = (torch.float64, torch.complex128)


class Far(Tensor):
    """A tensor of the stand-in device; `near` holds its numbers, a tensor of the CPU without gradients."""

    near: Tensor
    kind = "cuda"
    products: ClassVar = {"there": 0, "here": 0}  # convolutions and matrix products on the device, on the CPU
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, near: Tensor) -> "Far":
        if Far.kind == "mps" and near.dtype in WIDE:
            raise TypeError(f"Cannot convert a MPS Tensor to {near.dtype} dtype: MPS does not support it")
        with torch.inference_mode(near.is_inference()):  # a view of a tensor made outside is none of inference mode
            far: Far = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls, near.shape, strides=near.stride(), storage_offset=near.storage_offset(), dtype=near.dtype,
                device=META,
            )  # fmt: skip
        far.near = near
        return far

    def __init__(self, near: Tensor) -> None: ...

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {}, real_meta=False)

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device(self.kind, 0)

    is_cpu = is_meta = property(lambda self: False)  # type: ignore[assignment]
    is_cuda = property(lambda self: self.kind == "cuda")  # type: ignore[assignment]
    is_mps = property(lambda self: self.kind == "mps")  # type: ignore[assignment]

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Far):
            move(self, value)  # as net.cpu() does
            return
        with torch._C._DisableTorchDispatch():
            SET(self, value)
        self.near = value.near

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.detach().cpu().numpy()
        raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor "
                        "to host memory first.")  # fmt: skip

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        return self.near.tolist()

    def untyped_storage(self) -> Any:
        return self.near.untyped_storage()

    def data_ptr(self) -> int:
        return self.near.data_ptr()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            new = Far(copy.deepcopy(self.near)).requires_grad_(self.requires_grad)
            new.__dict__.update({key: copy.deepcopy(one, memo) for key, one in vars(self).items() if key != "near"})
            if self.grad is not None:
                new.grad = copy.deepcopy(self.grad, memo)
            memo[id(self)] = new
        found: Tensor = memo[id(self)]
        return found

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.near.__reduce_ex__(protocol)  # read again on the CPU, as everything of ours reads

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"{self.near!r} on {self.device}"


def compute(func: Any, args: Any, kwargs: dict[str, Any], *, real_meta: bool) -> Any:
    """One operation: what a GPU would refuse is refused, and the rest is computed by the CPU."""
    leaves = tree_leaves((args, kwargs))
    far = [one for one in leaves if isinstance(one, Far)]
    near = [one for one in leaves if isinstance(one, Tensor) and not isinstance(one, Far) and one.is_cpu]
    asked = kwargs.get("device")
    there = bool(far) if asked is None else asked.type == Far.kind or (asked.type == "meta" and not real_meta)
    if not there and not far:
        return func(*args, **kwargs)
    refuse_two_devices(func, args, far, near)
    generator = next((one for one in leaves if isinstance(one, torch.Generator)), None)
    if there and generator is not None:
        raise RuntimeError(f"Expected a '{Far.kind}' device type for generator but found '{generator.device.type}'")
    inner = {id(one.near): one for one in far}
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu") if there else asked}
    if kwargs.get("pin_memory"):
        kwargs = {**kwargs, "pin_memory": False}
    args, kwargs = tree_map(lambda one: one.near if isinstance(one, Far) else one, (args, kwargs))
    out = func(*args, **kwargs)

    def placed(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        if id(one) in inner:  # changed in place
            return inner[id(one)]
        return Far(one) if there and one.is_cpu else one

    for one in far:
        if one.shape != one.near.shape or one.stride() != one.near.stride():
            with torch._C._DisableTorchDispatch():
                SET(one, Far(one.near))  # as resize_ and transpose_ do
    return tree_map(placed, out)


def refuse_two_devices(func: Any, args: Any, far: list[Any], near: list[Tensor]) -> None:
    """Raise RuntimeError as a GPU does for tensors of two devices, scalars of the CPU in a pointwise one excepted."""
    if not far or not near or func in COPIES:
        return
    changed = func._schema.arguments and func._schema.arguments[0].is_write and not isinstance(args[0], Far)
    if func in INDEXING and isinstance(args[0], Far):
        near = [one for one in tree_leaves(args[2:]) if isinstance(one, Tensor) and one.is_cpu and one.dim()]
    elif not changed and torch.Tag.pointwise in func.tags:
        near = [one for one in near if one.dim()]
    if near:
        raise RuntimeError("Expected all tensors to be on the same device, but found at least two devices, "
                           f"{far[0].device} and cpu! ({func}, shapes {[list(one.shape) for one in far]} and "
                           f"{[list(one.shape) for one in near]})")  # fmt: skip


class Below(TorchDispatchMode):
    """Every operation below autograd. `real_meta`: the caller itself asked for the device "meta"."""

    real_meta = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # in inference mode these arrive whole
                found = func.decompose(*args, **(kwargs or {}))
            if found is not NotImplemented:
                return found
        return compute(func, args, kwargs or {}, real_meta=self.real_meta)


class Above(TorchFunctionMode):
    """Every call of torch: the device's name becomes one that C++ can carry; autocast is that of the device."""

    def __init__(self, below: Below) -> None:
        super().__init__()
        self.below = below

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.device, torch._C._nn._parse_to):
            return func(*args, **kwargs)
        if func is torch._has_compatible_shallow_copy_type:
            return True  # net.to(device) then keeps each parameter's object, as with a GPU
        if func == SET and isinstance(args[1], Far) and not isinstance(args[0], Far):
            return move(*args)  # as net.to(device) does with a parameter, which stays the same object
        named = [one for one in (*args, *kwargs.values()) if isinstance(one, str | torch.device)]
        if any(str(one).partition(":")[0] == Far.kind for one in named):
            args, kwargs = tree_map(self.carried, args), {key: self.carried(one) for key, one in kwargs.items()}
        if func in LITERALS and kwargs.get("device") == META and not any(str(one) == "meta" for one in named):
            return func(*args, **{**kwargs, "device": "cpu"}).to(META)  # C++ would make an empty one
        if func is Tensor.new_tensor and isinstance(args[0], Far) and "device" not in kwargs:
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype, **kwargs}).to(META)
        if func in HALVED:
            there = any(isinstance(one, Far) for one in args)
            if there or not (isinstance(args[0], Tensor) and args[0].dtype in WIDE):  # in float64 on purpose
                Far.products["there" if there else "here"] += 1
            args = halved(func, args) if there else args
        before, self.below.real_meta = self.below.real_meta, any(str(one) == "meta" for one in named)
        try:
            return func(*args, **kwargs)
        finally:
            self.below.real_meta = before

    @staticmethod
    def carried(one: Any) -> Any:
        known = isinstance(one, str | torch.device) and str(one).partition(":")[0] == Far.kind
        return META if known else one


def move(tensor: Tensor, to: Tensor) -> None:
    """Make a tensor of one device one of the other, as tensor.data = to does: it stays the same object."""
    kept = {key: one for key, one in vars(tensor).items() if key not in ("near", "_is_param")}
    new = torch.nn.Parameter(to.detach()) if isinstance(tensor, torch.nn.Parameter) else to.detach()
    new.requires_grad_(tensor.requires_grad)
    new.__dict__.update(kept)
    torch.utils.swap_tensors(tensor, new)


def halved(func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments as the device's autocast converts them. Raises RuntimeError inside an autocast of the CPU."""
    if torch.is_autocast_enabled("cpu"):
        raise RuntimeError(
            f"autocast of the CPU around {func.__name__} of tensors on {Far.kind}: it does nothing there"
        )
    if not torch.is_autocast_enabled(Far.kind):
        return args
    dtype = torch.get_autocast_dtype(Far.kind)

    def cast(k: int, one: Any) -> Any:
        wanted = k in HALVED[func] and isinstance(one, Tensor) and one.is_floating_point()
        return one.to(dtype) if wanted and one.dtype != torch.float64 else one

    return tuple(cast(k, one) for k, one in enumerate(args))


class Event:
    """torch.cuda.Event, by the clock."""

    def __init__(self, **_: Any) -> None: ...

    def record(self) -> None:
        self.at = time.perf_counter()

    def elapsed_time(self, end: "Event") -> float:
        return 1000 * (end.at - self.at)


@contextlib.contextmanager
def stand_in(kind: str = "cuda") -> Iterator[torch.device]:
    """Inside, this machine has one GPU of that kind, "cuda" or "mps"."""
    Far.kind, Far.products, below = kind, {"there": 0, "here": 0}, Below()
    state = torch.zeros(16, dtype=torch.uint8)
    nothing: Callable[..., None] = lambda *args, **kwargs: None  # noqa: E731
    ours = {
        "cuda": {"is_available": lambda: kind == "cuda", "device_count": lambda: int(kind == "cuda"),
                 "current_device": lambda: 0, "get_device_name": lambda *_: "a stand-in", "synchronize": nothing,
                 "is_bf16_supported": lambda **_: True, "get_rng_state": lambda *_: state.clone(),
                 "set_rng_state": nothing, "empty_cache": nothing, "_lazy_init": nothing, "manual_seed_all": nothing,
                 "Event": Event},
        "mps": {"synchronize": nothing, "get_rng_state": lambda: state.clone(), "set_rng_state": nothing,
                "empty_cache": nothing, "manual_seed": nothing},
        "backends.mps": {"is_available": lambda: kind == "mps", "is_macos_or_newer": lambda *_: True},
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        for module, functions in ours.items():
            place = torch.backends.mps if "." in module else getattr(torch, module)
            for name, function in functions.items():
                stack.enter_context(mock.patch.object(place, name, function))
        engine = torch.autograd._engine_run_backward  # type: ignore[attr-defined]

        def backward(*args: Any, **kwargs: Any) -> Any:
            with Above(below):  # it is off inside a call of torch, but a backward pass may compute layers again
                return engine(*args, **kwargs)

        stack.enter_context(mock.patch.object(torch.autograd, "_engine_run_backward", backward))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message=".*pin_memory")  # PyTorch's own look for a GPU finds none
        stack.enter_context(below)
        stack.enter_context(Above(below))
        yield torch.device(kind)
