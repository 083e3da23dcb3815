"""Load weights: files of reslab, and other checkpoints matched to reslab's nets. Nothing is ever unpickled."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, Unpack, overload

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, ReslabWarning, UsageError, first_line
from reslab.nets.allowed import refuse_inside
from reslab.nets.catalog import Net, Spec, build, from_dict, to_dict
from reslab.nets.catalog import spec as find_spec
from reslab.nets.checkpoints import read_checkpoint
from reslab.nets.matched import Match
from reslab.nets.matching import match
from reslab.nets.model import ModelSpec
from reslab.nets.options import NetOptions, ResNetName, ResNetOptions, VGGName, VGGOptions
from reslab.nets.resembling import suggested
from reslab.nets.resnet import ResNet, ResNetSpec
from reslab.nets.specs import parse_stored, read_stored
from reslab.nets.vgg import VGG, VGGSpec
from reslab.run import Run, missing
from reslab.stored.files import named
from reslab.stored.tensors import read_inside


def insert(net: nn.Module, state: Mapping[str, Tensor], *, strict: bool = True) -> Match:
    """Load `state` into the net as matched by `match`; returns the match. Raises UsageError as `match` does."""
    found = match(net, state, strict=strict)
    net.load_state_dict({a: state[b] for a, b in found.pairs}, strict=False)
    return found


def match_stored(net: nn.Module, state: Mapping[str, Tensor], file: Path) -> Match:
    """`match`, for weights that a run stored with this net's spec. Raises ReslabError that names the file."""
    try:
        return match(net, state)
    except UsageError as error:
        raise ReslabError(f"{file} is damaged: ", error, "; restore a copy of it") from error


def insert_stored(net: nn.Module, state: Mapping[str, Tensor], file: Path) -> Match:
    """Load the weights that a run stored with this net's spec. Raises ReslabError that names the file if they differ.

    A renamed tensor is no other net, but damage: exit code 1.
    """
    found = match_stored(net, state, file)
    net.load_state_dict({a: state[b] for a, b in found.pairs}, strict=False)
    return found


def refuse_nan(net: nn.Module, name: str, *, infinite: bool = True) -> None:
    """Raise ReslabError if a weight is NaN or `infinite`; the net is `name` in the sentence.

    Buffers may be infinite (masks of attention), but not NaN.
    """
    buffers = {key for key, _ in net.named_buffers()}
    for key, tensor in [*net.named_parameters(), *net.named_buffers()]:
        if not tensor.is_floating_point() or tensor.is_meta:
            continue
        if tensor.isnan().any():
            raise ReslabError(f"{name}: its weights contain NaN ({key}), so nothing can be measured")
        if infinite and key not in buffers and tensor.isinf().any():
            raise ReslabError(f"{name}: its weights are infinite in places ({key}), so nothing can be measured")


def spec_inside(path: Path) -> Spec | None:
    """The spec stored inside a weights.safetensors of reslab; None for any other file. Raises as `read_spec` does."""
    data = read_inside(path, "reslab")
    if data is None:
        return None
    return parse_stored(data, "images", from_dict, where=str(path), file=f"the spec in {named(path)}")


def read_spec(run: Run) -> Spec:
    """The spec of a run folder whose net is for images.

    Raises as `read_stored` does, and UsageError for a net built by a Python file inside the folder.
    """
    spec = read_stored(run, "images", from_dict)
    if isinstance(spec, ModelSpec) and spec.origin == "file":
        refuse_inside(spec.source[0], run.folder)
    return spec


@overload
def load(source: Path | str, net: ResNetName, *, key: str | None = ..., **options: Unpack[ResNetOptions]) -> ResNet: ...
@overload
def load(source: Path | str, net: VGGName, *, key: str | None = ..., **options: Unpack[VGGOptions]) -> VGG: ...
@overload
def load(source: Path | str, net: ResNetSpec, *, key: str | None = ...) -> ResNet: ...
@overload
def load(source: Path | str, net: VGGSpec, *, key: str | None = ...) -> VGG: ...
@overload
def load(
    source: Path | str, net: str | Spec | None = None, *, key: str | None = ..., **options: Unpack[NetOptions]
) -> Net: ...
def load(source: Path | str, net: str | Spec | None = None, *, key: str | None = None, **options: Any) -> Net:
    """A trained net in eval mode, from a run folder, or from a checkpoint file and the name or spec of its net.

    load("runs/digits-resnet20-digits-s0"); load("resnet20.th", "resnet20", shortcut="A-both"). A run's
    weights.safetensors holds its spec, so that file alone is enough. `key` names one of several sets of weights in a
    file ("teacher", "ema.module"). The net's `match` tells which weights were taken and how they were matched. Warns
    if the net may compute something else than the one that was trained, or if the file holds other weights too.
    Raises UsageError for a missing file or wrong arguments, ReslabError for a damaged file.
    """
    if not isinstance(source, str | Path):
        raise UsageError(f"a run folder or checkpoint file must be a path such as 'runs/cifar', got {source!r}")
    source = Path(source)
    if not source.exists():
        raise UsageError(f"{source}: no such run folder or file")
    if net is not None and not isinstance(net, str | Spec):
        raise UsageError(f"net must be a name such as 'resnet56' or a spec, got {net!r}")
    if source.is_dir():
        if net is not None or options or key is not None:
            raise UsageError(f"{source} is a run folder, which stores its net; leave out the net and its options")
        run = Run(source)
        spec, file = read_spec(run), run.path("weights.safetensors")
        if not file.exists() and run.has("results/train.json"):
            raise missing(file)
        if not file.exists():
            raise UsageError(f"{source} has no weights yet: its training is not finished")
    elif net is None and (inside := spec_inside(source)):
        spec, file = inside, source
    elif net is None:
        raise UsageError(f"{source}: name its net, such as ", *suggested(read_checkpoint(source, key).state))
    elif options and not isinstance(net, str):
        raise UsageError(f"{source}: options {', '.join(options)} need the name of a net; change the spec instead")
    else:
        spec, file = find_spec(net, **options) if isinstance(net, str) else net, source
        if (inside := spec_inside(source)) and to_dict(inside) != to_dict(spec):
            refuse_other(source, inside, spec)
    checkpoint = read_checkpoint(file, key)
    own = net is None  # the spec lies beside the weights, or in their file
    if own and spec.depth > len(checkpoint.state):  # thousands of layers take minutes to build, even without memory
        raise ReslabError(f"{file} is damaged: its spec has {spec.depth:,} layers, and it holds only "
                          f"{len(checkpoint.state):,} tensors; restore a copy of it")  # fmt: skip
    module, found = filled(lambda: build(spec), checkpoint.state, file if own else None,
                           lenient=isinstance(spec, ModelSpec))  # fmt: skip
    sources = [checkpoint.note if key is None else "", found.source]
    found = replace(found, source=checkpoint.note or found.source)
    for doubt in (found.warning, *sources):
        if doubt:
            warnings.warn(ReslabWarning(f"{file}: ", doubt), stacklevel=2)
    module.match = found
    return module.eval()


def refuse_other(source: Path, inside: Spec, asked: Spec) -> None:
    """Raise UsageError if a file's own spec differs from the asked one in anything but its name."""
    a, b = to_dict(inside), to_dict(asked)
    unlike = [
        name for name in a if name not in ("name", "init", "zero_last_norm", "size") and a.get(name) != b.get(name)
    ]
    if unlike:
        told = ", ".join(f"{name} {a[name]!r}, not {b.get(name)!r}" for name in unlike[:3])
        raise UsageError(f"{source} holds its own net, {inside.name} ({told}); leave out the net and its options")


N = TypeVar("N", bound=nn.Module)


def filled(
    make: Callable[[], N], state: Mapping[str, Tensor], file: Path | None, *, lenient: bool = False
) -> tuple[N, Match]:  # fmt: skip
    """The net that `make` builds with the weights `state`, and how they were matched.

    It is first built without memory, and its shapes are compared, so that a few bytes of a spec cannot ask for more
    memory than the weights have. `file`: where the spec and the weights come from, so that a difference is damage.
    `lenient`: a net that cannot be built without memory is only built with it.
    """
    with warnings.catch_warnings(), torch.device("meta"), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # the real net gives the same
        plan: N | None
        try:
            plan = make()
        except (TypeError, RuntimeError, OverflowError) as error:  # sizes that no tensor can have
            where = f"{file}: its net" if file else "the net"
            raise ReslabError(f"{where} cannot be built: {first_line(error)}") from error
        except ReslabError:
            if not lenient:
                raise
            plan = None  # it computes with values, which the meta device has not
    if plan is not None:
        match_stored(plan, state, file) if file else match(plan, state)
    net = make()
    return net, insert_stored(net, state, file) if file else insert(net, state)
