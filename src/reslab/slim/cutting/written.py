"""Write a cut model's folder whole: aside first, loaded again, compared, then renamed. No half folder stays."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, first_line
from reslab.look.graph.example import Example
from reslab.slim.cutting.forms import apart, run
from reslab.stored.write import explained
from reslab.train.checkpoint import as_file


def write_checked(
    model: nn.Module,
    folder: Path,
    *,
    write: Callable[[nn.Module, Path], None],
    read: Callable[[Path], nn.Module],
    example: Example,
) -> tuple[str, ...]:
    """Write the model with `write`, load it with `read`, and keep the folder if the outputs are equal: 0.0 apart.

    Other files of a folder that exists stay. Raises ReslabError, and leaves no file, if they differ.
    """
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as aside:
            part = Path(aside) / folder.name
            part.mkdir()
            write(model, part)
            difference = reloaded(model, part, read, example)
            if difference:
                raise ReslabError(f"{folder} was not saved: after loading it, the outputs differ by {difference:.2g}")
            folder.mkdir(exist_ok=True)
            for file in part.iterdir():
                shutil.move(file, folder / file.name)
    return ("loaded again: the outputs differ by 0.0",)


def reloaded(model: nn.Module, folder: Path, read: Callable[[Path], nn.Module], example: Example) -> float:
    """How far the outputs of the loaded model are from those of the saved one."""
    try:
        with torch.random.fork_rng(devices=[]):
            again = read(folder)
    except ReslabError:
        raise
    except Exception as error:  # libraries and users' files raise nearly anything
        raise ReslabError(f"{type(model).__name__} was not saved: what was written cannot be loaded: "
                          f"{first_line(error)}") from error  # fmt: skip
    weight = next(iter(model.state_dict().values()), None)
    if isinstance(weight, Tensor):
        again = again.to(weight.device)
    return apart(run(again, example), run(model, example))


def write_tensors(model: nn.Module, file: Path) -> None:
    """The state of a model as a .safetensors file. Raises ReslabError for a state that is not tensors alone."""
    state = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            raise ReslabError(
                f"{name} of {type(model).__name__} is no plain tensor, so it cannot be saved as safetensors"
            )
    file.write_bytes(as_file(state))
