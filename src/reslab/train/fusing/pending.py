"""BatchNorms that wait for what follows: with an addition and a ReLU they become one pass over memory.

Inside `called`, a BatchNorm that normalizes by its batch gives a Pending in the place of its output. An addition
to one gives another, a ReLU ends it, and anything else gets the output itself, computed then. Nets need no change, and
what they are made of does not matter. A BatchNorm is computed as usual for tensors of another type, layout or device.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.overrides import TorchFunctionMode

from reslab.errors import ReslabError
from reslab.train.fusing.function import Normed
from reslab.train.fusing.kernels import moments, takes

NAMES = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")  # of F.batch_norm
DEFAULTS: dict[str, Any] = {"weight": None, "bias": None, "training": False, "momentum": 0.1, "eps": 1e-5}
RELU = (F.relu, torch.relu, Tensor.relu)
RELU_IN_PLACE = (torch.relu_, Tensor.relu_)
ADD = (torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__)
ADD_IN_PLACE = (Tensor.add_, Tensor.__iadd__)
ABOUT = (  # the tensor, not its numbers
    Tensor.shape.__get__, Tensor.dtype.__get__, Tensor.device.__get__, Tensor.ndim.__get__, Tensor.is_cuda.__get__,  # type: ignore[attr-defined]
    Tensor.dim, Tensor.size, Tensor.numel, Tensor.is_floating_point, torch.is_floating_point,
)  # fmt: skip
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Pending(Tensor):
    """BN(x) or BN(x) + skip, not computed yet; `value` once it is."""

    x: Tensor
    skip: Tensor | None
    value: Tensor | None
    settings: tuple[Tensor, Tensor, Tensor, float]  # weight, bias, what `moments` found, eps
    versions: tuple[int, int]

    @staticmethod
    def of(x: Tensor, settings: tuple[Tensor, Tensor, Tensor, float], skip: Tensor | None = None) -> "Pending":
        """One that will be computed from x."""
        made: Any = Tensor._make_wrapper_subclass(Pending, x.shape, strides=x.stride(), dtype=x.dtype, device=x.device)
        made.x, made.settings, made.value = x, settings, None
        made.add(skip)
        return made

    def add(self, skip: Tensor | None) -> None:  # type: ignore[override]
        self.skip, self.versions = skip, (self.x._version, 0 if skip is None else skip._version)

    def finish(self, *, relu: bool = False) -> Tensor:
        """The output, or its ReLU. Raises ReslabError if what it comes from was changed in place meanwhile."""
        if self.versions != (self.x._version, 0 if self.skip is None else self.skip._version):
            raise ReslabError("the net changes a BatchNorm's input, or what is added to its output, in place")
        weight, bias, found, eps = self.settings
        return Normed.apply(self.x, weight, bias, self.skip, found, relu, eps)

    def plain(self) -> Tensor:
        """The output, computed once."""
        if self.value is None:
            self.value = self.finish()
        return self.value

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return followed(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise ReslabError(f"{func} reads a BatchNorm's output from outside of Python")


def followed(func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """What comes of a function of a Pending, or of several."""
    first = args[0] if args else None
    if func in ABOUT and isinstance(first, Pending):
        return func(first.x, *args[1:], **kwargs)
    if isinstance(first, Pending) and first.value is None:
        if func in RELU_IN_PLACE or (func in RELU and (kwargs.get("inplace") or args[1:2] == (True,))):
            first.value = first.finish(relu=True)  # from now on, it is that
            return first.value
        if func in RELU:
            return first.finish(relu=True)
    if (func in ADD or func in ADD_IN_PLACE) and len(args) == 2 and not kwargs:
        found = sum_of(*args, in_place=func in ADD_IN_PLACE)
        if found is not None:
            return found
    return func(*computed(args), **computed(kwargs))


def sum_of(a: Any, b: Any, *, in_place: bool) -> Tensor | None:
    """a + b as a Pending, if it can be one."""
    waits = isinstance(a, Pending) and a.value is None and a.skip is None
    if not waits and not in_place:
        a, b = b, a
        waits = isinstance(a, Pending) and a.value is None and a.skip is None
    if not waits or not isinstance(b, Tensor):
        return None
    b = computed(b)
    if b.dtype != a.x.dtype or b.shape != a.x.shape or b.stride() != a.x.stride() or b.device != a.x.device:
        return None
    if in_place:
        a.add(b)
        return a
    return Pending.of(a.x, a.settings, b)


def computed(given: Any) -> Any:
    """The same, with the output of each Pending, also in tuples, lists and dicts."""
    if isinstance(given, Pending):
        return given.plain()
    if isinstance(given, tuple | list) and type(given) in (tuple, list):
        return type(given)(computed(one) for one in given)
    return {key: computed(one) for key, one in given.items()} if type(given) is dict else given


class Waiting(TorchFunctionMode):
    """Takes the place of F.batch_norm. `fused`: how often."""

    fused = 0

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            given = DEFAULTS | dict(zip(NAMES, args, strict=False)) | kwargs
            given["input"] = computed(given["input"])
            if fits(**given):
                self.fused += 1
                return begun(**given)
        if Pending in types or func is F.batch_norm:
            return followed(func, args, kwargs)
        return func(*args, **kwargs)


def fits(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None, bias: Tensor | None,
    training: bool, momentum: float, eps: float,
) -> bool:  # fmt: skip
    """Whether norms.c computes this BatchNorm."""
    own = [one for one in (running_mean, running_var, weight, bias) if one is not None]
    usual = weight is not None and bias is not None and (running_mean is None) == (running_var is None) and all(
        type(one) in (Tensor, nn.Parameter) and one.dtype == torch.float32 and one.is_contiguous() for one in own
    )  # fmt: skip
    return (
        training and usual and type(input) is Tensor and input.device.type == "cpu" and takes(input)
        and input.is_contiguous(memory_format=torch.channels_last)
        and torch.is_grad_enabled() and torch._C._functorch.peek_interpreter_stack() is None
    )  # fmt: skip


def begun(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor, bias: Tensor,
    training: bool, momentum: float, eps: float,
) -> Pending:  # fmt: skip
    """Mean and variance are computed now, and what is running is moved."""
    found = moments(
        input.detach(), weight.detach(), bias.detach(), (running_mean, running_var), momentum=momentum, eps=eps
    )
    return Pending.of(input, (weight, bias, found, eps))


def stands_alone(net: nn.Module) -> bool:
    """Whether nothing looks into the net: no hook of a module or of all, and no other mode of torch's functions."""
    everywhere = (modules._global_forward_hooks, modules._global_forward_pre_hooks, modules._global_backward_hooks,
                  modules._global_backward_pre_hooks)  # fmt: skip
    if any(everywhere) or torch._C._len_torch_function_stack():
        return False
    return not any(getattr(module, hooks) for module in net.modules() for hooks in HOOKS)


def called(net: Callable[..., Any], x: Tensor) -> Any:
    """net(x), whose BatchNorms wait for what follows; not while hooks look into the net."""
    if not isinstance(net, nn.Module) or not stands_alone(net):
        return net(x)
    with Waiting():
        return computed(net(x))
