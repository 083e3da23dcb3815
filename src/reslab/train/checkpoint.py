"""last.pt, everything needed to resume a training exactly, and weights.safetensors, its result.

previous.pt is the last.pt before: it is used if last.pt is damaged or missing, and removed when the training is
finished.
"""

import io
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Required, TypedDict

import torch
from safetensors.torch import save
from torch import Tensor, nn

from reslab.errors import ReslabError, ReslabWarning
from reslab.run import Run
from reslab.stored.digest import sealed_archive, sealed_tensors
from reslab.stored.files import MissingFile
from reslab.stored.folders import Choice
from reslab.stored.numbers import Count, Real
from reslab.stored.tensors import read_saved
from reslab.stored.typed import Mistyped, short, typed
from reslab.stored.write import write_aside

FORMAT = 1
LAST, PREVIOUS = "last.pt", "previous.pt"


class OtherVersion(ReslabError):  # noqa: N818 - what it says
    """The file is whole, and another version of reslab, or something else, wrote it."""


class Optimizer(TypedDict, total=False):
    state: Required[dict[int, dict[str, Any]]]
    param_groups: Required[list[dict[str, Any]]]


class Schedule(TypedDict, total=False):
    warm: Required[bool]
    left_at: Required[Count | None]
    best: Required[float]
    waited: Required[Count]
    plateaus: Required[Count]


class Best(TypedDict, total=False):
    error: float
    balanced: float | None
    loss: float
    iteration: Count
    weights: dict[str, Any]


class Checkpoint(TypedDict, total=False):
    """What last.pt holds besides tensors, which the part that restores them checks itself."""

    format: Required[int]
    iteration: Required[Count]
    seconds: Required[Real]
    epoch_error: Required[float | None]
    net: Required[dict[str, Any]]
    optimizer: Required[Optimizer]
    ema: dict[str, Any] | None
    schedule: Required[Schedule]
    best: Best
    waited: Count
    sums: Required[Any]
    skipped: Required[list[str]]
    choice: Required[Choice]
    generators: Required[dict[str, Any]]
    threads: Count
    of: dict[str, dict[str, Any]]  # what it belongs to; checkpoints of older versions lack it


def write_last(run: Run, state: dict[str, Any]) -> Path:
    """Save the full state of a training with its digest; the one before is kept as previous.pt."""
    buffer = io.BytesIO()  # torch.save to a file would turn a full disk into a RuntimeError about positions
    torch.save({"format": FORMAT, **state}, buffer)
    with buffer.getbuffer() as whole:
        return write_aside(run.path(LAST), sealed_archive(whole), keep=run.path(PREVIOUS))


def read_last(run: Run) -> dict[str, Any] | None:
    """The state to resume from, or None before the first checkpoint. Raises ReslabError for a damaged file.

    If previous.pt is not damaged, it takes the place of a damaged last.pt, with a warning.
    """
    recover(run)
    try:
        return read_checkpoint(run, LAST)
    except MissingFile:
        return None
    except OtherVersion:
        raise
    except ReslabError as error:
        if not run.path(LAST).is_file() or not os.access(run.path(LAST), os.R_OK):
            raise  # it may be as good as it was
        try:
            state = read_checkpoint(run, PREVIOUS)
        except ReslabError:
            raise error from None
        why = str(error).removesuffix(cure(run)).rstrip("; ")
        warnings.warn(ReslabWarning(f"{why}; resuming from {PREVIOUS}, which was saved before it, at iteration "
                                    f"{state['iteration']:,}"), stacklevel=2)  # fmt: skip
        os.replace(run.path(PREVIOUS), run.path(LAST))
        return state


def recover(run: Run) -> None:
    """If last.pt is missing and previous.pt is there, put it in its place, with a warning.

    Raises ReslabError if previous.pt is damaged: whoever wants to train from the start deletes it.
    """
    if os.path.lexists(run.path(LAST)) or not run.has(PREVIOUS):
        return
    state = read_checkpoint(run, PREVIOUS)
    os.replace(run.path(PREVIOUS), run.path(LAST))
    warnings.warn(ReslabWarning(f"{run.path(LAST)} is missing; resuming from {PREVIOUS}, which was saved before it, at "
                                f"iteration {state['iteration']:,}"), stacklevel=2)  # fmt: skip


def read_checkpoint(run: Run, name: str) -> dict[str, Any]:
    """The state in a checkpoint. Raises MissingFile, or ReslabError for a damaged file."""
    path = run.path(name)
    what = f"is damaged (truncated, or not a checkpoint of reslab); {cure(run)}"
    state = read_saved(path, what=what, cure=cure(run))
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise OtherVersion(f"{path} is not a checkpoint of this version of reslab; {cure(run).partition(', or ')[2]}")
    try:
        found: dict[str, Any] = typed(Checkpoint, state)
    except Mistyped as error:
        raise damaged(run, error) from error
    return found


def cure(run: Run) -> str:
    """What to do about a checkpoint that cannot be used: last.pt, or a previous.pt without it."""
    both = f"it and {PREVIOUS}" if run.has(PREVIOUS) and run.has(LAST) else "it"
    return f"restore a copy of it, or delete {both} to train from the start"


def damaged(run: Run, why: object) -> ReslabError:
    """The error for a last.pt of which some part cannot be used."""
    return ReslabError(f"{run.path(LAST)} is damaged: {why}; {cure(run)}")


def odd_tensor(found: Mapping[str, Any], wanted: Mapping[str, Tensor], where: str) -> str:
    """What is wrong with the first of the tensors that has not the wanted shape; "" if all have."""
    for name, tensor in wanted.items():
        one = found.get(name)
        if not isinstance(one, Tensor) or one.shape != tensor.shape:
            got = f"one of {list(one.shape)}" if isinstance(one, Tensor) else short(one)
            return f"{where}.{name} must be a tensor of {list(tensor.shape)}, got {got}"
    return ""


def write_weights(run: Run, net: nn.Module, spec: dict[str, Any]) -> Path:
    """Save a net's weights together with its spec, so that the file describes itself."""
    data = as_file(net.state_dict(), {"reslab": json.dumps(spec)})
    return write_aside(run.path("weights.safetensors"), sealed_tensors(data))


def as_file(state: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Tensors as a .safetensors file; those that share memory, as one layer under two names does, are stored twice."""
    tensors: dict[str, Tensor] = {}
    seen = set[int]()
    for name, tensor in state.items():
        value = tensor.detach().cpu().contiguous()
        place = value.untyped_storage().data_ptr()
        tensors[name] = value.clone() if place in seen else value
        seen.add(place)
    return save(tensors, metadata=metadata)
