"""The files of a run folder that say how its table is encoded, and what is predicted. No torch."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
from safetensors.numpy import save

from reslab.errors import ReslabError
from reslab.run import Run, missing
from reslab.stored.digest import sealed_tensors
from reslab.stored.files import MissingFile
from reslab.stored.tensors import read_arrays
from reslab.stored.write import write_aside
from reslab.tables.data.target import Target

ENCODER, ARRAYS, TARGET = "encoder.json", "encoder.safetensors", "target.json"
VECTORS = "vectors.safetensors"  # of an exported folder: the net's vectors of the values in bags
Made = TypeVar("Made")


class Coder(Protocol):
    def to_dict(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]: ...


def write_encoder(run: Run, encoder: Coder, target: Target) -> None:
    """Write how a run folder's table is encoded: JSON, and arrays as safetensors."""
    about, arrays = encoder.to_dict()
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_aside(run.path(ARRAYS), sealed_tensors(save(whole)))
    run.write_json(ENCODER, about)
    run.write_json(TARGET, target.to_dict())


def read_coded(run: Run, made: Callable[[dict[str, Any], Mapping[str, np.ndarray]], Made]) -> tuple[Made, Target]:
    """(what `made` makes of the stored encoder, the target). Raises ReslabError if a file is missing or damaged."""
    about, target = run.read_json(ENCODER), run.read_json(TARGET)
    path = run.path(ARRAYS)
    try:
        encoder, known = made(about, read_arrays(path, what="is damaged")), Target.from_dict(target)
        values = known.mean if known.kind == "numbers" else known.classes
        if values is None or len(values) != known.outputs:
            raise ReslabError(f"a target of {known.kind} with {known.outputs} outputs has other values")
        return encoder, known
    except MissingFile as error:
        raise missing(path) from error
    except (ReslabError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise ReslabError(f"{run.path(ENCODER)}, {ARRAYS} or {TARGET} is damaged ({error}); restore them") from error
