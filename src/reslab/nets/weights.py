"""Load weights: files of reslab, and other checkpoints matched to reslab's nets. Nothing is ever unpickled."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack, overload

from torch import Tensor, nn

from reslab.errors import ReslabError, ReslabWarning, Sentence, UsageError, arg
from reslab.nets.catalog import Net, Spec, build, from_dict
from reslab.nets.catalog import spec as find_spec
from reslab.nets.matched import Match
from reslab.nets.options import NetOptions, ResNetName, ResNetOptions, VGGName, VGGOptions
from reslab.nets.resnet import ResNet, ResNetSpec
from reslab.nets.specs import parse_stored, read_stored
from reslab.nets.vgg import VGG, VGGSpec
from reslab.run import Run, missing
from reslab.stored.files import named
from reslab.stored.tensors import read_inside, read_saved, read_tensors

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # keys under which checkpoints of others hold the weights
PREFIXES = ("module.", "_orig_mod.", "model.")  # DataParallel and DDP, compile, Lightning


def read_state(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, from .safetensors or a file of torch.save (weights only).

    Strips the prefixes that DataParallel, DDP and compile add to names.
    Raises UsageError for a missing file, ReslabError for one that is damaged or holds pickled objects.
    """
    path = Path(path)
    state = read_tensors(path) if path.suffix == ".safetensors" else read_saved(path)
    return plain_names(unwrap(state, path))


def unwrap(state: Any, path: Path) -> dict[str, Tensor]:
    """The mapping of names to tensors inside a checkpoint."""
    for key in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
            break
    if not isinstance(state, Mapping) or not any(isinstance(v, Tensor) for v in state.values()):
        raise ReslabError(
            f"{path} holds no weights; expected a mapping of names to tensors, also under {WRAPPERS[0]!r}"
        )
    return {str(key): value for key, value in state.items() if isinstance(value, Tensor)}


def plain_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefixes, in any order, that wrappers add to all of them."""
    while prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def match(net: nn.Module, state: Mapping[str, Tensor], *, strict: bool = True) -> Match:
    """Match the tensors of `state` to those of the net and verify every shape; loads nothing.

    By name if the names are the net's; otherwise by order, if kind (weight, bias, running_mean, ...) and shape
    agree at every position. With strict=False by name only, without the tensors that differ.

    Raises UsageError with the first names and shapes that disagree, or if nothing agrees.
    """
    ours = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    theirs = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    same = [k for k in ours if k in theirs and theirs[k].shape == ours[k].shape]
    if len(same) == len(ours) == len(theirs):
        return Match(how="by name", pairs=tuple((k, k) for k in same))
    if not strict and same:
        missing, unused = tuple(k for k in ours if k not in same), tuple(k for k in theirs if k not in same)
        return Match(how="by name", pairs=tuple((k, k) for k in same), missing=missing, unused=unused)
    pairs = tuple(zip(ours, theirs, strict=False))
    agree = strict and all(kind(a) == kind(b) and ours[a].shape == theirs[b].shape for a, b in pairs)
    if len(ours) == len(theirs) and agree:
        return Match(how="by order and shape", pairs=pairs, warning=name_warning(net, theirs))
    raise UsageError(disagreement(ours, theirs))


def kind(name: str) -> str:
    """The role of a tensor in its layer: weight, bias, running_mean, running_var."""
    return name.rpartition(".")[2]


def name_warning(net: nn.Module, theirs: Mapping[str, Tensor]) -> Sentence | None:
    """A warning if names show what shapes cannot: where a bottleneck has its stride, or shortcut A its zeros."""
    spec = getattr(net, "spec", None)
    v1 = getattr(spec, "block", "") == "bottleneck" and getattr(spec, "stride_on", "") == "1x1"
    if v1 and any(k.startswith("layer1.0.conv3") for k in theirs):
        return Sentence("the names are torchvision's or timm's, whose stride is on the 3x3; build the net with ",
                        arg("stride_on", "3x3"), " (resnet50_v1.5), or its outputs will differ")  # fmt: skip
    if getattr(spec, "shortcut", "") == "A" and {"layer1.0.conv1.weight", "linear.weight"} <= theirs.keys():
        return Sentence("the names are akamaster's, whose shortcut A pads on both sides; build the net with ",
                        arg("shortcut", "A-both"), ", or its outputs will differ")  # fmt: skip
    return None


def disagreement(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], show: int = 3) -> str:
    """A sentence with the first few names and shapes that disagree."""
    by_name = [k for k in ours if k in theirs]
    if by_name:
        unlike = [k for k in by_name if theirs[k].shape != ours[k].shape]
        wrong = [f"{k} is {shape(theirs[k])}, but {shape(ours[k])} in the net" for k in unlike]
        wrong += [f"{k} {shape(ours[k])} is missing" for k in ours if k not in theirs]
        wrong += [f"{k} {shape(theirs[k])} is not in the net" for k in theirs if k not in ours]
    else:
        wrong = [
            f"{b} {shape(theirs[b])} is in the place of the net's {a} {shape(ours[a])}"
            for a, b in zip(ours, theirs, strict=False)
            if kind(a) != kind(b) or ours[a].shape != theirs[b].shape
        ]
    more = f"; and {len(wrong) - show} more" if len(wrong) > show else ""
    counts = f"{len(theirs)} tensors in the checkpoint, {len(ours)} in the net"
    return (
        f"the checkpoint is not of this net ({counts}): {'; '.join(wrong[:show])}{more}"
        if wrong
        else (f"the checkpoint is not of this net ({counts})")
    )


def shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def insert(net: nn.Module, state: Mapping[str, Tensor], *, strict: bool = True) -> Match:
    """Load `state` into the net as matched by `match`; returns the match. Raises UsageError as `match` does."""
    found = match(net, state, strict=strict)
    net.load_state_dict({a: state[b] for a, b in found.pairs}, strict=False)
    return found


def insert_stored(net: nn.Module, state: Mapping[str, Tensor], file: Path) -> Match:
    """Load the weights that a run stored with this net's spec. Raises ReslabError that names the file if they differ.

    A renamed tensor is no other net, but damage: exit code 1.
    """
    try:
        return insert(net, state)
    except UsageError as error:
        raise ReslabError(f"{file} is damaged: ", error, "; restore a copy of it") from error


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
    """The spec of a run folder whose net is for images. Raises as `read_stored` does."""
    return read_stored(run, "images", from_dict)


@overload
def load(source: Path | str, net: ResNetName, **options: Unpack[ResNetOptions]) -> ResNet: ...
@overload
def load(source: Path | str, net: VGGName, **options: Unpack[VGGOptions]) -> VGG: ...
@overload
def load(source: Path | str, net: ResNetSpec) -> ResNet: ...
@overload
def load(source: Path | str, net: VGGSpec) -> VGG: ...
@overload
def load(source: Path | str, net: str | Spec | None = None, **options: Unpack[NetOptions]) -> Net: ...
def load(source: Path | str, net: str | Spec | None = None, **options: Any) -> Net:
    """A trained net in eval mode, from a run folder, or from a checkpoint file and the name or spec of its net.

    load("runs/digits-resnet20-digits-s0"); load("resnet20.th", "resnet20", shortcut="A-both"). A run's
    weights.safetensors holds its spec, so that file alone is enough. The net's `match` tells
    how the tensors were matched. Warns if they fit but were trained in a net that computes something else.
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
        if net is not None or options:
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
        raise UsageError(f"{source}: name its net, such as ", arg("net", "resnet56"))
    elif options and not isinstance(net, str):
        raise UsageError(f"{source}: options {', '.join(options)} need the name of a net; change the spec instead")
    else:
        spec, file = find_spec(net, **options) if isinstance(net, str) else net, source
    state = read_state(file)
    module = build(spec)
    own = net is None  # the spec lies beside the weights, or in their file
    found = insert_stored(module, state, file) if own else insert(module, state)
    if found.warning:
        warnings.warn(ReslabWarning(f"{file}: ", found.warning), stacklevel=2)
    module.match = found
    return module.eval()
