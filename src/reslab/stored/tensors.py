"""Read safetensors and torch.save files, without unpickling objects; every fault is reported in one sentence."""

import os
import pickle
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.errors import ReslabError, tell
from reslab.stored.digest import KEY, Damaged, check_archive, check_tensors
from reslab.stored.files import RESTORE, named, parse_json, present, unreadable
from reslab.stored.pickles import Unbounded, check_bounds

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

REFUSED = re.compile("Unsupported (global|class)|Trying to call reduce")  # torch's words for objects not allowed
ALONE = "save only the weights: torch.save(model.state_dict(), FILE)"
REMAKE = "restore a copy of it, or delete it and train again with the same command, which writes it from last.pt"
NO_CHECKPOINT = "is damaged or not a checkpoint"


def read_tensors(path: Path | str, *, what: str = NO_CHECKPOINT) -> dict[str, "Tensor"]:
    """The tensors of a .safetensors file by name, on the CPU; only here are such files opened for their tensors.

    Raises MissingFile if there is none, ReslabError if it cannot be read, does not match the digest that reslab stored
    in it, or holds tensors that no net has.
    """
    from safetensors.torch import load_file

    found: dict[str, Tensor] = loaded(path, load_file, what)
    refuse_odd(found, path)
    return found


def read_arrays(path: Path | str, *, what: str = NO_CHECKPOINT) -> dict[str, "np.ndarray"]:
    """The same as arrays, without torch."""
    from safetensors.numpy import load_file

    return loaded(path, load_file, what)


def loaded(path: Path | str, load: Callable[[Path | str], dict[str, Any]], what: str) -> dict[str, Any]:
    """What `load` reads from a .safetensors file that matches its digest."""
    own = present(Path(path).with_name("spec.json"))  # a file of a run folder
    again = own and Path(path).name == "weights.safetensors" and present(Path(path).with_name("last.pt"))
    marked = must_match(path, check_tensors, REMAKE if again else RESTORE)
    try:
        found = load(path)
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make it raise nearly anything
        raise ReslabError(f"{named(path)} {what}") from error
    if own and not marked:
        tell("%s has no digest, as files of older versions of reslab: damage may not be "
                                         "noticed", named(path))  # fmt: skip
    return found


def read_saved(path: Path | str, *, what: str = NO_CHECKPOINT, cure: str = ALONE) -> Any:
    """What torch.save wrote, on the CPU; only tensors and plain data are loaded. Raises as `read_tensors` does."""
    import torch

    must_open(path)
    try:
        check_bounds(path)
    except Unbounded as error:
        raise ReslabError(f"{named(path)} {what}: {error}") from error
    except OSError as error:
        unreadable(path, error)
    must_match(path, check_archive, RESTORE if cure == ALONE else cure)
    try:
        with warnings.catch_warnings():  # of storages and layouts that are refused below
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # IndexError, struct.error, ...
        if isinstance(error, pickle.UnpicklingError) and REFUSED.search(str(error)):
            raise ReslabError(
                f"{named(path)} holds pickled Python objects, which can run code and are not loaded; {cure}"
            ) from error
        raise ReslabError(f"{named(path)} {what}") from error
    refuse_odd(found, path)
    return found


def read_metadata(path: Path | str) -> dict[str, str] | None:
    """The metadata of a .safetensors file; None if it is not one. Raises MissingFile, or ReslabError."""
    from safetensors import safe_open

    must_open(path)
    try:
        with safe_open(path, framework="pt") as file:
            found: dict[str, str] = file.metadata() or {}
            return {key: value for key, value in found.items() if key != KEY}
    except Exception:
        return None


def read_inside(path: Path | str, key: str) -> dict[str, Any] | None:
    """The object stored as JSON under `key` in the metadata of a .safetensors file; None if there is none."""
    text = (read_metadata(path) or {}).get(key)
    if not text:
        return None
    where = f"the {key} in the metadata of {named(path)}"
    found = parse_json(text, where)
    if not isinstance(found, dict):
        raise ReslabError(f"{where} is damaged: it is not an object; restore a copy of the file")
    return found


def must_match(path: Path | str, check: Callable[[Path | str], bool], cure: str) -> bool:
    """Whether the file has a digest. Raises as `must_open` does, and ReslabError if its content does not match it."""
    must_open(path)
    try:
        return check(path)
    except Damaged as error:
        raise ReslabError(f"{named(path)} is damaged: its content does not match its {error}; {cure}") from error
    except OSError as error:
        unreadable(path, error)


def must_open(path: Path | str) -> None:
    """Raise MissingFile or ReslabError if the file cannot be opened: the libraries' own messages are often wrong."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        unreadable(path, error)
    if not os.path.isfile(path):
        raise ReslabError(f"cannot read {named(path)}: it is not a regular file")


def refuse_odd(found: Any, path: Path | str) -> None:
    """Raise ReslabError for a tensor that no net here has: sparse, without data, quantized or complex."""
    import torch

    for name, tensor in inside(found, torch.Tensor):
        what = ""
        if tensor.layout != torch.strided:
            what = "sparse"
        elif tensor.device.type == "meta":
            what = "without data (on the meta device)"
        elif tensor.is_quantized:
            what = "quantized"
        elif tensor.is_complex():
            what = "complex"
        if what:
            raise ReslabError(f"{named(path)}: the tensor {named(name)} is {what}; save dense tensors of real numbers")


def inside(value: Any, kind: type, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor within mappings and lists, with its path; anything nested too deep for a checkpoint is ignored."""
    waiting = [(name, value, 0)]
    seen: set[tuple[int, int]] = set()  # a list may hold another a thousand times, and that a third
    while waiting:
        name, value, deep = waiting.pop()
        if isinstance(value, kind):
            yield name, value
            continue
        if (id(value), deep) in seen:
            continue
        seen.add((id(value), deep))
        if deep < 8 and isinstance(value, Mapping):
            waiting += [(f"{name}.{key}".lstrip("."), one, deep + 1) for key, one in value.items()]
        elif deep < 8 and isinstance(value, list | tuple):
            waiting += [(f"{name}[{k}]", one, deep + 1) for k, one in enumerate(value)]
