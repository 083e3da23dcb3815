"""Start a training from the weights of another run or of a checkpoint file, which are copied into the run folder."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import nn

from reslab.errors import UsageError
from reslab.nets.checkpoints import read_state
from reslab.nets.weights import insert
from reslab.run import Run, write_aside
from reslab.stored.digest import digest, sealed_tensors
from reslab.stored.files import named
from reslab.stored.tensors import read_tensors
from reslab.train.checkpoint import LAST, PREVIOUS, read_checkpoint

START = "start.safetensors"  # in the run folder


def start_of(word: Path | str) -> bytes:
    """The weights that a run ended with, or else those in its last checkpoint, or of a file, as a .safetensors file.

    Raises UsageError if there are none, ReslabError for a damaged file.
    """
    run = Run(word)
    if not run.folder.is_dir():
        state = read_state(word)
    elif run.has("weights.safetensors"):
        state = read_state(run.path("weights.safetensors"))
    elif name := next(filter(run.has, (LAST, PREVIOUS)), ""):
        state = read_checkpoint(run, name)["net"]
    else:
        raise UsageError(f"{named(word)} has no weights to start from: neither weights.safetensors nor {LAST}")
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})


def write_start(run: Run, weights: bytes) -> None:
    """Copy the weights to start from into the run folder."""
    write_aside(run.path(START), sealed_tensors(weights))


def mark_of(weights: bytes) -> str:
    """What tells weights to start from apart, in data.json."""
    return digest(weights)[:16]


def start_net(run: Run, net: nn.Module) -> None:
    """Give a new net the weights to start from, if the run has some and no checkpoint yet.

    Raises UsageError if they are not of this net.
    """
    if run.has(START) and not run.has(LAST):
        insert(net, read_tensors(run.path(START)))


def refuse_other_reading(word: Path | str, *, same: bool, what: str) -> None:
    """Raise UsageError if a run reads its inputs in another way: its weights would be given other inputs."""
    if not same:
        raise UsageError(f"the weights of {named(word)} do not fit: its {what} is another one than this run's")


def stored_mark(about: Mapping[str, object]) -> dict[str, object]:
    """The weights that a run started from, for a comparison of runs."""
    return {"start": about.get("start")}
