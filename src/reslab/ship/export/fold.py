"""Fold BatchNorm into the convolution or linear layer before it: in eval mode both are one affine map.

    BN(W x + b) = (g / s) W x + (g / s) (b - m) + c    with s = sqrt(v + eps), weight g, bias c, mean m, variance v

Pairs are found by watching one run: the output of the layer goes into the norm and nowhere else, each runs once, and
its weight is the module's own (not standardized or parametrized on the way). So it works for any model.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reslab.look.graph.example import scores

NORMS = ("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "miopen_batch_norm")
SAME = 1e-9  # in float64, of the largest output: folding changes the order of sums alone
ROUGH = 1e-4  # likewise where the model computes in float32 alone


@dataclass(frozen=True, kw_only=True)
class Folded:
    """A copy of a model without the norms that were folded."""

    module: nn.Module
    norms: int  # BatchNorm layers of the model
    folded: int
    difference: float  # largest difference of the outputs, as a share of the largest output
    double: bool  # whether it was measured in float64

    @property
    def note(self) -> str:
        """What was done, in one sentence; "" for a model without BatchNorm."""
        if not self.norms:
            return ""
        if not self.folded:
            return (f"{self.norms} BatchNorm layer{'s' * (self.norms > 1)} kept: none follows a layer whose output "
                    "nothing else reads")  # fmt: skip
        kept = self.norms - self.folded
        rest = ", the others do not follow a layer whose output nothing else reads" if kept else ""
        bits = 64 if self.double else 32
        return (f"{self.folded} of {self.norms} BatchNorm layers folded into the layers before them{rest}; largest "
                f"difference {self.difference:.1g} of the largest output, in float{bits}")  # fmt: skip


def fold(model: nn.Module, example: Tensor) -> Folded:
    """A folded copy of a model, in eval mode on the CPU; the model is unchanged.

    `example`: a batch that the model takes. Where outputs differ by more than rounding (a model that computes otherwise
    than its modules say), nothing is folded.
    """
    made = copied(model, torch.float32)
    norms = sum(isinstance(one, _BatchNorm) for one in made.modules())
    pairs = pairs_of(made, example) if norms else []
    difference, double = apart(model, pairs, example) if pairs else (0.0, True)
    if not difference <= (SAME if double else ROUGH):  # also NaN
        pairs, difference = [], 0.0
    for layer, norm in pairs:
        merge(made, layer, norm)
    return Folded(module=made, norms=norms, folded=len(pairs), difference=difference, double=double)


def copied(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    return copy.deepcopy(model).eval().requires_grad_(False).to(dtype)


def pairs_of(model: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """Names of (layer, norm) that can be folded, found by watching one run."""
    seen = Watch(model)
    with torch.no_grad(), seen:
        output = model(example)
    for leaf in tree_leaves(output):
        if isinstance(leaf, Tensor):
            seen.use(leaf)
    return seen.pairs()


class Watch(TorchDispatchMode):
    """Sees which module's weight makes which tensor, which norm takes it, and who else does."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.layers, self.norms = dict[int, str](), dict[int, str]()  # by the storage of the weight
        for name, one in model.named_modules(remove_duplicate=False):
            if one._parameters.get("weight") is None and not isinstance(one, _BatchNorm):
                continue  # none, or one that is computed from others (weight_norm, parametrizations)
            if isinstance(one, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear) or (
                isinstance(one, _ConvTransposeNd) and one.groups == 1
            ):
                self.add(self.layers, one.weight, name)
            elif isinstance(one, _BatchNorm) and one.running_mean is not None and one.running_var is not None:
                self.add(self.norms, one.running_mean, name)
        self.runs = dict[str, int]()  # of a layer or a norm
        self.made = dict[int, tuple[Tensor, str]]()  # by storage: what a layer gave, kept so that it is not reused
        self.taken = dict[str, list[str]]()  # layer: norms that take its output, "" for anything else

    def add(self, known: dict[int, str], tensor: Tensor, name: str) -> None:
        key = place(tensor)
        known[key] = "" if key in known else name  # shared: neither

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        kind = func.overloadpacket.__name__
        if kind in NORMS:
            self.normed(args)
        elif (name := self.layer(kind, args)) is not None:
            self.runs[name] = self.runs.get(name, 0) + 1
            self.others(args, kwargs)
            self.made[place(output)] = output, name
        else:
            self.others(args, kwargs)
        return output

    def layer(self, kind: str, args: Any) -> str | None:
        """The module that computes, if it is a convolution or a matrix product with the module's own weight."""
        if kind == "convolution":
            weight = args[1]
        elif kind in ("addmm", "mm", "linear") and all(isinstance(one, Tensor) for one in args[:2]):
            weight = args[2] if kind == "addmm" else args[1]
        else:
            return None
        return self.layers.get(place(weight)) or None

    def normed(self, args: Any) -> None:
        """A norm runs: args are (x, weight, bias, mean, variance, ...)."""
        name = self.norms.get(place(args[3]), "") if isinstance(args[3], Tensor) else ""
        self.runs[name] = self.runs.get(name, 0) + 1
        x = args[0]
        tensor, layer = self.made.get(place(x), (None, ""))
        if tensor is not None:
            whole = tensor.shape == x.shape and tensor.stride() == x.stride()
            self.taken.setdefault(layer, []).append(name if whole else "")

    def others(self, args: Any, kwargs: Any) -> None:
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor):
                self.use(leaf)

    def use(self, tensor: Tensor) -> None:
        """Something else reads what a layer gave."""
        if (found := self.made.get(place(tensor))) is not None:
            self.taken.setdefault(found[1], []).append("")

    def pairs(self) -> list[tuple[str, str]]:
        return [(layer, by[0]) for layer, by in self.taken.items()
                if len(by) == 1 and by[0] and self.runs.get(layer) == 1 and self.runs.get(by[0]) == 1]  # fmt: skip


def place(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def merge(model: nn.Module, layer: str, norm: str) -> None:
    """Fold one norm into one layer, in place; computed in float64."""
    one: Any = model.get_submodule(layer)
    two: Any = model.get_submodule(norm)
    kind, bias = one.weight.dtype, one.bias
    weight: Any = one.weight.double()
    gain, shift = (None if value is None else value.double() for value in (two.weight, two.bias))
    stats = (two.running_mean.double(), two.running_var.double())
    start = None if bias is None else bias.double()
    if isinstance(one, nn.Linear):
        ones = torch.ones_like(stats[0]) if gain is None else gain
        zeros = torch.zeros_like(stats[0]) if shift is None else shift
        made = fuse_linear_bn_weights(weight, start, *stats, two.eps, ones, zeros)
    else:
        made = fuse_conv_bn_weights(weight, start, *stats, two.eps, gain, shift, transpose=one.transposed)
    one.weight, one.bias = (nn.Parameter(value.to(kind), requires_grad=False) for value in made)
    replace(model, norm, two)


def replace(model: nn.Module, name: str, norm: Any) -> None:
    """Take a folded norm out of the model; one that does more (timm's has an activation inside) passes its input on."""
    if type(norm).forward is _BatchNorm.forward:
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, nn.Identity())
        return
    norm.running_mean, norm.running_var = torch.zeros_like(norm.running_mean), torch.ones_like(norm.running_var)
    norm.eps = 0.0
    if norm.affine:
        norm.weight = nn.Parameter(torch.ones_like(norm.weight), requires_grad=False)
        norm.bias = nn.Parameter(torch.zeros_like(norm.bias), requires_grad=False)


def apart(model: nn.Module, pairs: list[tuple[str, str]], example: Tensor) -> tuple[float, bool]:
    """(largest difference of the scores with and without folding, as a share of the largest; whether in float64)."""
    try:
        return measured(model, pairs, example, torch.float64), True
    except RuntimeError:  # a model that makes float32 tensors on its way
        return measured(model, pairs, example, torch.float32), False


def measured(model: nn.Module, pairs: list[tuple[str, str]], example: Tensor, dtype: torch.dtype) -> float:
    one = copied(model, dtype)
    with torch.no_grad():
        before = scores(one(example.to(dtype))).double()
        for layer, norm in pairs:
            merge(one, layer, norm)
        after = scores(one(example.to(dtype))).double()
    return float((before - after).abs().max() / before.abs().max().clamp_min(1e-30))
