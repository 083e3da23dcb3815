"""Start a training from the weights of another run, a checkpoint file or a library, copied into the run folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError, tell
from reslab.nets.checkpoints import read_state
from reslab.nets.published import local
from reslab.nets.weights import insert
from reslab.run import Run, write_aside
from reslab.stored.digest import digest, sealed_tensors
from reslab.stored.files import named
from reslab.stored.tensors import read_tensors
from reslab.train.checkpoint import LAST, PREVIOUS, as_file, read_checkpoint

START = "start.safetensors"  # in the run folder
ABOUT = "start.json"  # what was taken over, and what the weights say of themselves; only for images


@dataclass(frozen=True, kw_only=True)
class Start:
    """The weights that a new run starts from, by its own net's names."""

    tensors: bytes  # a .safetensors file
    mark: str  # what tells them apart, in data.json
    about: dict[str, Any] = field(default_factory=dict)  # for start.json


def start_of(word: Path | str) -> bytes:
    """The weights that a run ended with, or else would keep now, or of a file, as a .safetensors file.

    Raises UsageError if there are none, ReslabError for a damaged file or weights that are not finite.
    """
    run = Run(local(word))
    if not run.folder.is_dir():
        state: Mapping[str, Tensor] = read_state(word)
    elif run.has("weights.safetensors"):
        state = read_state(run.path("weights.safetensors"))
    elif name := next(filter(run.has, (LAST, PREVIOUS)), ""):
        state = kept_in(run, read_checkpoint(run, name))
    else:
        raise UsageError(f"{named(word)} has no weights to start from: neither weights.safetensors nor {LAST}")
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.isnan().any():
            raise ReslabError(f"{named(word)}: its weights contain NaN ({name}), so no training can start from them")
    return as_file(state)


def kept_in(run: Run, saved: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The weights that an unfinished run would keep if it ended now: the best, the averaged, or the last ones."""
    best: Mapping[str, Tensor] = (saved.get("best") or {}).get("weights") or {}
    averaged = {name.removeprefix("module."): tensor for name, tensor in (saved.get("ema") or {}).items()
                if name.startswith("module.")}  # fmt: skip
    what = "best by validation" if best else "averaged" if averaged else "of its last step"
    tell("%s is not finished: its weights are taken as they are at iteration %s, %s", named(run.folder),
         f"{saved['iteration']:,}", what)  # fmt: skip
    kept: Mapping[str, Tensor] = best or averaged or saved["net"]
    return kept


def begun_from(start: "Path | str | Start") -> Start:
    """The weights of a run or file, as they are."""
    if isinstance(start, Start):
        return start
    tensors = start_of(start)
    return Start(tensors=tensors, mark=mark_of(tensors))


def write_start(run: Run, start: Start) -> None:
    """Copy the weights to start from into the run folder."""
    write_aside(run.path(START), sealed_tensors(start.tensors))
    if start.about:
        run.write_json(ABOUT, start.about)


def mark_of(weights: bytes) -> str:
    """What tells weights to start from apart, in data.json."""
    return digest(weights)[:16]


def start_net(run: Run, net: nn.Module, *, resumed: bool = False) -> None:
    """Give a new net the weights to start from, if the run has some and no checkpoint yet.

    `resumed`: also with a checkpoint, where what is found in the net must be found again, as its residual connections.

    Raises UsageError if they are not of this net, ReslabError if the folder's files do not belong together.
    """
    if not run.has(START) or (run.has(LAST) and not resumed):
        return
    state = read_tensors(run.path(START))
    if not run.has(ABOUT):
        insert(net, state)
        return
    new = run.read_json(ABOUT, "new")["new"]
    ours = {name: tensor for name, tensor in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    if {*state, *new} != {*ours} or any(state[name].shape != ours[name].shape for name in state):
        raise ReslabError(f"{run.path(START)} is damaged: its tensors are not those that {ABOUT} names; restore a copy "
                          "of both")  # fmt: skip
    net.load_state_dict(state, strict=False)


def refuse_other_reading(word: Path | str, *, same: bool, what: str) -> None:
    """Raise UsageError if a run reads its inputs in another way: its weights would be given other inputs."""
    if not same:
        raise UsageError(f"the weights of {named(word)} do not fit: its {what} is another one than this run's")


def stored_mark(about: Mapping[str, object]) -> dict[str, object]:
    """The weights that a run started from, for a comparison of runs."""
    return {"start": about.get("start")}
