"""What a graph is given, compared with what it takes. No torch."""

from collections.abc import Mapping, Sequence

import numpy as np

from reslab.errors import UsageError
from reslab.ship.record import Port


def checked(
    inputs: Mapping[str, np.ndarray], ports: Sequence[Port], shapes: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, np.ndarray]:
    """The inputs, contiguous. `shapes`: lengths without the batch, where they are fixed though the port has them free.

    Raises UsageError that names the input for one that is missing or unknown, and for another type or shape.
    """
    known = {one.name: one for one in ports}
    if set(inputs) != set(known):
        raise UsageError(f"the graph takes {', '.join(known)}, got {', '.join(map(str, inputs)) or 'nothing'}")
    found, batch = {}, 0
    for name, port in known.items():
        value = inputs[name]
        if not isinstance(value, np.ndarray):
            raise UsageError(f"input {name} must be an array, got {type(value).__name__}")
        if value.dtype != np.dtype(port.dtype):
            raise UsageError(f"input {name} must be {port.dtype}, got {value.dtype}")
        wanted = port.shape if shapes is None or name not in shapes else (None, *shapes[name])
        same = len(value.shape) == len(wanted) and all(
            n == w or (w is None and n > 0) for n, w in zip(value.shape, wanted, strict=True)
        )
        if not same:
            raise UsageError(f"input {name} must have the shape ({', '.join(map(length, wanted))}), got {value.shape}")
        batch = batch or len(value)
        if len(value) != batch:
            raise UsageError(f"input {name} holds {len(value):,} examples, and {next(iter(known))} {batch:,}")
        found[name] = np.ascontiguousarray(value)
    return found


def length(n: int | None) -> str:
    return "any" if n is None else str(n)
