"""Run all examples through the original model and through an exported one, in batches of any size."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from reslab.errors import ReslabError, first_line
from reslab.progress import Phase, Progress
from reslab.ship.engines import Engine, engine
from reslab.ship.exportable import Arrays, Examples, Exportable
from reslab.ship.record import Config

Outputs = list[dict[str, np.ndarray]]  # of each graph
CHUNK = 32  # examples that the original model is given at a time
LEAST, SECONDS = 100, 20.0  # of small batches: at least so many examples, then until the time is over


def engines(folder: Path, config: Config, *, threads: int = 0) -> list[Engine]:
    """The graphs of an exported folder, loaded."""
    return [engine(folder, config, k, threads=threads) for k in range(len(config.files))]


def original(subject: Exportable, examples: Sequence[Examples], progress: Progress) -> Outputs:
    """What the original model gives for the examples of each graph."""
    found: Outputs = []
    total, done, note = sum(map(len, examples)), 0, Phase("the original model")
    for which, one in enumerate(examples):
        parts = []
        for part in chunks(one.inputs, CHUNK):
            progress(done, total, note)
            parts.append({name: np.asarray(value) for name, value in subject.reference(which, part).items()})
            done += length(part)
        found.append(joined(parts))
    return found


def run(
    loaded: Sequence[Engine], examples: Sequence[Examples], batch: int, *, progress: Progress, note: str,
    seconds: float | None = None,
) -> Outputs:  # fmt: skip
    """What the exported graphs give, fed exactly `batch` examples at a time: the last batch is filled with the first.

    All examples, or the first that fit into `seconds`, at least LEAST, of every graph as many. Raises ReslabError if a
    graph does not take such a batch.
    """
    limit = total = max(map(len, examples))
    found: Outputs = []
    for model, one in zip(loaded, examples, strict=True):
        parts, began = [], time.perf_counter()
        for start in range(0, min(len(one), limit), batch):
            if seconds and start >= LEAST and time.perf_counter() - began > seconds / len(loaded):
                limit = start
                break
            progress(start, total, Phase(note))
            parts.append(passed(model, taken(one.inputs, start, batch), f"a batch of {batch}"))
        kept = min(len(one), limit)
        found.append({name: value[:kept] for name, value in joined(parts).items()})
    return [{name: value[:limit] for name, value in one.items()} for one in found]


def taken(inputs: Arrays, start: int, batch: int) -> dict[str, np.ndarray]:
    """`batch` examples from `start` on, the first ones again where they end."""
    rows = np.arange(start, start + batch) % length(inputs)
    return {name: value[rows] for name, value in inputs.items()}


def passed(model: Engine, inputs: Arrays, what: str) -> dict[str, np.ndarray]:
    """One pass. Raises ReslabError, which says for which inputs (`what`) the exported model fails."""
    try:
        found = {name: np.asarray(value) for name, value in model.run(inputs).items()}
    except Exception as error:  # RuntimeError of OpenVINO, classes of ONNX Runtime without a common base, torch's
        raise ReslabError(f"the exported model fails for {what}: {first_line(error)}") from error
    for name, value in found.items():
        if value.ndim == 0 or len(value) != length(inputs):
            raise ReslabError(f"the exported model gives {name} of shape {list(value.shape)} for {what}")
    return found


def evenly(count: int, n: int) -> np.ndarray:
    """At most n of `count` rows, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(n, count)).round().astype(np.int64))


def chunks(inputs: Arrays, size: int) -> Iterator[dict[str, np.ndarray]]:
    """The inputs in batches of `size`, the last one smaller."""
    for start in range(0, length(inputs), size):
        yield {name: value[start : start + size] for name, value in inputs.items()}


def length(arrays: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(arrays.values())))


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
