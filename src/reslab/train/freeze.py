"""Freeze the first layers of a net: neither their weights nor their BatchNorm statistics change in training."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from types import MethodType

from torch import nn

from reslab.errors import UsageError, arg, tell
from reslab.train.layers import NetLayers


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """What of a net is frozen."""

    layers: tuple[str, ...]  # names of the frozen layers
    of: int  # layers of the net
    tensors: int  # parameters that are frozen
    all_tensors: int
    trained: int  # numbers that are trained
    numbers: int  # in all parameters

    @property
    def backbone(self) -> bool:
        """Whether all but the head is frozen."""
        return len(self.layers) == self.of - 1

    def tell(self) -> None:
        """Report it."""
        ends = self.layers[0] if len(self.layers) == 1 else f"{self.layers[0]} to {self.layers[-1]}"
        tell("frozen: %s of %s layers (%s), %s of %s tensors; %s of %s parameters are trained", f"{len(self.layers):,}",
             f"{self.of:,}", ends, f"{self.tensors:,}", f"{self.all_tensors:,}", f"{self.trained:,}",
             f"{self.numbers:,}")  # fmt: skip


def freeze(net: nn.Module, layers: NetLayers, what: str) -> Frozen:
    """Freeze "backbone", all but the head, or the first layers, "4": their parameters get no gradient.

    Modules of frozen layers stay in eval mode whatever calls `train()` of the net or of a copy: BatchNorm does not move
    its statistics, dropout and random depth are off. With the whole backbone frozen, so is everything before the head.
    Raises UsageError if no layer, or every layer, would be frozen.
    """
    count = len(layers) - 1 if what == "backbone" else int(what)
    if not 0 < count < len(layers):
        most = len(layers) - 1
        if not most:
            raise UsageError(f"{type(net).__name__} is a single layer, its head: nothing else can be frozen; leave ",
                             arg("freeze"), " out")  # fmt: skip
        raise UsageError(f"freeze must be from 1 to {most}, or backbone: the net has {len(layers)} layers with the "
                         f"head ({names_of(layers)}), got {count}")  # fmt: skip
    named = dict(net.named_parameters())
    frozen = {named[name] for layer in layers.layers[:count] for name in layer.parameters}
    for parameter in frozen:
        parameter.requires_grad_(False)
    held = all_but(net, layers.head) if count == len(layers) - 1 and layers.head else within(net, frozen, layers.order)
    for module in list(held):
        module.train = MethodType(stay, module)  # type: ignore[method-assign]  # a deepcopy is bound to the copy
        module.training = False
    return Frozen(
        layers=tuple(layer.name for layer in layers.layers[:count]), of=len(layers), tensors=len(frozen),
        all_tensors=len(named), trained=sum(p.numel() for p in named.values() if p not in frozen),
        numbers=sum(p.numel() for p in named.values()),
    )  # fmt: skip


def names_of(layers: NetLayers) -> str:
    """The first, second and last layers' names."""
    names = [layer.name for layer in layers.layers]
    return ", ".join(names if len(names) < 5 else [*names[:2], "...", names[-1]])


def stay(self: nn.Module, mode: bool = True) -> nn.Module:
    """A frozen module's `train`: it stays in eval mode; modules in it that are not frozen follow."""
    self.training = False
    for child in self.children():
        child.train(mode)
    return self


def all_but(net: nn.Module, head: tuple[str, ...]) -> Iterator[nn.Module]:
    """Every module but the head's."""
    trained = {module for path in head for module in net.get_submodule(path).modules()}
    return (module for module in net.modules() if module not in trained)


def within(net: nn.Module, frozen: set[nn.Parameter], order: tuple[str, ...]) -> Iterator[nn.Module]:
    """The modules all of whose parameters are frozen, what is in them, and what runs before any trained parameter."""
    trained = {name for name, parameter in net.named_parameters() if parameter not in frozen}
    early = set(itertools.takewhile(lambda name: name not in trained, order))
    whole: list[str] = []
    for path, module in net.named_modules():
        parameters = set(module.parameters())
        if (parameters and parameters <= frozen) or path in early or any(path.startswith(f"{one}.") for one in whole):
            whole.append(path)
            yield module
