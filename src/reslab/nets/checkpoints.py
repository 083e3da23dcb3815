"""Find the weights inside a checkpoint file of any training program. Nothing is ever unpickled."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from torch import Tensor

from reslab.errors import ReslabError, Sentence, UsageError, arg
from reslab.stored.files import named
from reslab.stored.tensors import read_saved, read_tensors

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "module")
PREFIXES = ("module.", "_orig_mod.", "model.")  # DataParallel and DDP, compile, Lightning
AVERAGED = re.compile(r"(^|[._])(ema|swa|averaged?|avg|shadow)([._]|$)|ema$|^ema", re.IGNORECASE)  # copies of weights
OTHERS = re.compile(r"optim|sched|scaler|(^|_)lr($|_)|(^|_)amp($|_)|loop|callback|hyper|config|args|rng|random")
SHOWN = 8  # names in a sentence
DEEPEST = 4  # levels of mappings around the weights


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The weights of a file by name, and which of several sets of weights they are ("" if there is one)."""

    state: dict[str, Tensor]
    note: str = ""


def read_state(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, from .safetensors or a file of torch.save (weights only).

    Strips the prefixes that DataParallel, DDP and compile add to names. Raises as `read_checkpoint` does.
    """
    return read_checkpoint(path).state


def read_checkpoint(path: Path | str, key: str | None = None) -> Checkpoint:
    """The weights of a checkpoint; `key` names one of several sets, such as "teacher" or "ema.module".

    Without a key, the set under a usual name ("state_dict", "model", ...) is taken, and the weights themselves rather
    than an averaged copy (EMA); `note` names what else there is. Raises UsageError for a missing file, a key that is
    not there or several sets among which nothing decides, ReslabError for a file that is damaged or holds pickled
    objects.
    """
    path = Path(path)
    state = read_tensors(path) if path.suffix == ".safetensors" else read_saved(path)
    found = dict(sets(state))
    if not found:
        raise ReslabError(
            f"{named(path)} holds no weights; expected a mapping of names to tensors, also under {WRAPPERS[0]!r}"
        )
    nets = [name for name in found if of_layers(found[name])]
    found = {name: found[name] for name in sorted(nets or found, key=usual)}
    if key is not None:
        return Checkpoint(state=plain_names(under(found, key, path)), note=f"the weights under {key!r}")
    if len(found) == 1:
        (only,) = found.items()
        note = f"the averaged weights under {only[0]!r}, the only ones" if AVERAGED.search(only[0]) else ""
        return Checkpoint(state=plain_names(only[1]), note=note)
    own = [name for name in found if not AVERAGED.search(name)]
    if len(own) != 1 and not (own and usual(own[0])[0] < len(WRAPPERS)):
        first = next(iter(found))
        raise UsageError(f"{named(path)} holds several sets of weights, {listed(found)}; name one, such as ",
                         arg("key", first))  # fmt: skip
    chosen = own[0]
    rest = {name: tensors for name, tensors in found.items() if name != chosen}
    note = Sentence(f"the weights under {chosen!r}; the file also holds {listed(rest)}, which ", arg("key"), " takes")
    return Checkpoint(state=plain_names(found[chosen]), note=note)


def sets(state: Any, where: str = "", deep: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """(path of keys, tensors by name) of each mapping of names to tensors; those of optimizers are left out."""
    if not isinstance(state, Mapping):
        return
    tensors = {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    if tensors:
        yield where, tensors
    for key, value in state.items():
        if isinstance(key, str) and deep < DEEPEST and not OTHERS.search(key.lower()):
            yield from sets(value, f"{where}.{key}".removeprefix("."), deep + 1)


def of_layers(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are a net's, not numbers beside one (the best accuracy, the images' mean)."""
    return any(name.rpartition(".")[2] == "weight" for name in tensors)


def under(found: Mapping[str, dict[str, Tensor]], key: str, path: Path) -> dict[str, Tensor]:
    """The set of this name, or the tensors of the only set whose names begin with it. Raises UsageError for neither."""
    if key in found:
        return found[key]
    (whole, *more) = found.values()
    inner: dict[str, Tensor] = {}
    for names in (whole, plain_names(whole)):  # sentences about a net name its parts without the wrappers' prefix
        inner = inner or {k.removeprefix(f"{key}."): tensor for k, tensor in names.items() if k.startswith(f"{key}.")}
    if more or not inner:
        words = list(found) if more else [word.rstrip(".") for word in beginnings(list(whole))]
        raise UsageError(f"{named(path)} has no weights under {key!r}; it has {', '.join(map(repr, words[:SHOWN]))}"
                         + ", ..." * (len(words) > SHOWN))  # fmt: skip
    return inner


def usual(name: str) -> tuple[int, str]:
    """For sorting: the place of a path's first key among WRAPPERS; unknown ones come last."""
    first = name.partition(".")[0]
    return (WRAPPERS.index(first) if first in WRAPPERS and not AVERAGED.search(name) else len(WRAPPERS), name)


def listed(found: Mapping[str, Mapping[str, Tensor]]) -> str:
    return ", ".join(f"{name!r} ({len(tensors)} tensors)" for name, tensors in found.items())


def sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Channels and classes of the net whose tensors these are, whatever their order (safetensors sorts them).

    The stem is the filter with the fewest input channels; the head is the last matrix with a bias beside it.
    """
    filters = [tensor for tensor in state.values() if tensor.dim() == 4]
    matrices = {name: tensor for name, tensor in state.items() if tensor.dim() == 2}
    if not filters or not matrices:
        return {}
    biases = {name.removesuffix("bias") for name in state if name.endswith("bias")}
    heads = [tensor for name, tensor in matrices.items() if name.removesuffix("weight") in biases]
    head = (heads or list(matrices.values()))[-1]
    return {"channels": min(one.shape[1] for one in filters), "classes": head.shape[0]}


def plain_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefixes, in any order, that wrappers add to all of them."""
    found = dict(state)
    while prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in found)), None):
        found = {key.removeprefix(prefix): value for key, value in found.items()}
    return found


def common_prefix(names: list[str]) -> str:
    """What all dotted names begin with, up to a dot: "net." of net.conv.weight and net.fc.bias."""
    words = [name.split(".")[:-1] for name in names]
    shared = takewhile(lambda some: len(set(some)) == 1, zip(*words, strict=False))
    return "".join(f"{some[0]}." for some in shared)


def beginnings(names: list[str]) -> list[str]:
    """The words after the common prefix of dotted names, in order: parts of a larger module that may be the net.

    Each is given with the prefix and a dot.
    """
    shared = common_prefix(names)
    rest = [name.removeprefix(shared) for name in names]
    return list(dict.fromkeys(f"{shared}{name.partition('.')[0]}." for name in rest if "." in name))
