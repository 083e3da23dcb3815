"""PyTorch runs a stored program on any of its devices: NAME.json and NAME.safetensors, written by export/convert/eager.

Nothing is unpickled, and no code is taken from the files: they name operators, which are checked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reslab.errors import ReslabError, first_line
from reslab.images.pixels import fitted
from reslab.ship.engines.checks import checked
from reslab.ship.engines.operators import operator_of
from reslab.ship.record import Config
from reslab.stored import ships
from reslab.stored.files import named
from reslab.stored.read import read_json
from reslab.stored.tensors import read_tensors
from reslab.stored.typed import brief
from reslab.train.folder import pick_device

FORMAT = 1  # of the program
BF16 = {"conv1d", "conv2d", "conv3d", "linear"}  # operators whose weights autocast makes bf16: once, not at every call
CONSTANTS = {"dtype": torch.dtype, "memory_format": torch.memory_format, "layout": torch.layout}


@dataclass(frozen=True, slots=True)
class Step:
    """One operator. Its arguments are made of what is known; then `last` are let go, which nothing else reads."""

    run: Callable[..., Any] | None  # None: only `autocast` changes
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    autocast: bool = True
    last: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Ref:
    """What stands for a value that is known when the program runs: a node's, a tensor's or an input's."""

    kind: str  # "node", "tensor", "input"
    key: Any


class Eager:
    """See `engines.Engine`. `steps` run one after another, on `device`."""

    def __init__(
        self, path: Path, config: Config, steps: Sequence[Step], results: Mapping[str, Ref],
        tensors: Mapping[str, Tensor], fit: ships.ProgramFit | None, device: torch.device,
    ) -> None:  # fmt: skip
        self.path, self.config, self.steps, self.results = path, config, steps, results
        self.tensors, self.fit, self.place, self.device = tensors, fit, device, str(device)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = checked(inputs, self.config.inputs)
        if self.fit is not None and (name := self.fit["input"]) in given:
            H, W = self.fit["size"]
            given[name] = fitted(given[name], (H, W), self.fit["interpolation"])
        try:
            with torch.inference_mode():
                placed = {name: torch.from_numpy(np.array(one)).to(self.place) for name, one in given.items()}
                return {name: array(one) for name, one in self.computed(placed).items()}
        except (RuntimeError, TypeError, IndexError, KeyError, AttributeError, ValueError) as error:
            raise ReslabError(f"{named(self.path)} cannot be run: {first_line(error)}") from error

    def computed(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        known: dict[int, Any] = {}

        def value(one: Any) -> Any:
            if isinstance(one, Ref):
                return known[one.key] if one.kind == "node" else self.tensors[one.key] if one.kind == "tensor" else (
                    inputs[one.key])  # fmt: skip
            return [value(inner) for inner in one] if isinstance(one, list) else one

        half = self.config.precision == "bf16"
        with ExitStack() as outer:
            if half:
                outer.enter_context(torch.autocast(self.place.type, torch.bfloat16))
            inner = ExitStack()
            outer.callback(lambda: inner.close())
            for k, step in enumerate(self.steps):
                if step.run is None:
                    inner.close()
                    if half and not step.autocast:
                        inner.enter_context(torch.autocast(self.place.type, enabled=False))
                    continue
                known[k] = step.run(*map(value, step.args), **{key: value(one) for key, one in step.kwargs.items()})
                for done in step.last:
                    known.pop(done, None)
            return {name: value(one) for name, one in self.results.items()}


def array(tensor: Tensor) -> np.ndarray:
    """The tensor as an array of its own; bf16 as float32."""
    return np.array((tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy())


def load(
    path: Path, config: Config, *, threads: int = 0, shapes: Mapping[str, tuple[int, ...]] | None = None,
    device: str = "auto",
) -> Eager:  # fmt: skip
    """See `engines.engine`. `threads` are those of torch, in the whole process."""
    if threads:
        torch.set_num_threads(threads)
    found: ships.Program = read_json(path, ships.Program)
    if found["reslab_program"] != FORMAT:
        raise ReslabError(f"{named(path)} has format {found['reslab_program']}: this reslab reads {FORMAT}; export the "
                          "model again")  # fmt: skip
    tensors, place = read_tensors(path.with_suffix(".safetensors")), pick_device(device)
    names = {"tensor": set(tensors), "input": {one.name for one in config.inputs}}
    try:
        steps = made(found["nodes"], names, place)
        results = {name: part(one, names, len(steps), place) for name, one in found["results"].items()}
        wanted = {one.name for one in config.outputs}
        if set(results) != wanted or not all(isinstance(one, Ref) for one in results.values()):
            raise ReslabError(f"it does not give {', '.join(sorted(wanted))}")
    except ReslabError as error:
        raise ReslabError(f"{named(path)} is damaged: ", error, "; export the model again") from error
    if config.precision == "bf16":
        tensors = lowered(tensors, steps)
    kept = ends(steps, results.values())
    return Eager(path, config, kept, results, arranged(tensors, place), found["fit"], place)


def made(nodes: Sequence[ships.ProgramNode], names: Mapping[str, set[str]], place: torch.device) -> list[Step]:
    """The nodes as steps. Raises ReslabError for one that cannot be."""
    steps = []
    for k, node in enumerate(nodes):
        if "op" not in node:
            steps.append(Step(None, autocast=node.get("autocast", True)))
            continue
        args = tuple(part(one, names, k, place) for one in node.get("args", []))
        options = {key: part(one, names, k, place) for key, one in node.get("kwargs", {}).items()}
        steps.append(Step(operator_of(node["op"]), args, options))
    return steps


def part(value: Any, names: Mapping[str, set[str]], before: int, place: torch.device) -> Any:
    """An argument as it was stored. Raises ReslabError for what is not known `before` this node."""
    if isinstance(value, list):
        return [part(one, names, before, place) for one in value]
    if not isinstance(value, dict):
        return value
    key, one = next(iter(value.items()), ("", None))
    if len(value) == 1 and key == "node" and type(one) is int and 0 <= one < before:
        return Ref("node", one)
    if len(value) == 1 and key in names and isinstance(one, str) and one in names[key]:
        return Ref(key, one)
    if len(value) == 1 and key == "device":
        return place
    if len(value) == 1 and key == "float" and one in ("inf", "-inf", "nan"):
        return float(one)
    if len(value) == 1 and key in CONSTANTS and isinstance(one, str):
        found = getattr(torch, one, None)
        if isinstance(found, CONSTANTS[key]):
            return found
    raise ReslabError(f"a node is given {brief(value)}")


def refs(values: Iterable[Any]) -> Iterable[Ref]:
    for one in values:
        if isinstance(one, Ref):
            yield one
        elif isinstance(one, list):
            yield from refs(one)


def read_by(step: Step) -> list[Ref]:
    return list(refs([*step.args, *step.kwargs.values()]))


def ends(steps: Sequence[Step], results: Iterable[Ref]) -> list[Step]:
    """The steps with what may be let go after each."""
    last = {k: k for k, step in enumerate(steps) if step.run is not None}  # of what nobody reads
    last |= {ref.key: k for k, step in enumerate(steps) for ref in read_by(step) if ref.kind == "node"}
    for ref in results:
        last.pop(ref.key, None)
    after: dict[int, list[int]] = {}
    for node, k in last.items():
        after.setdefault(k, []).append(node)
    return [Step(one.run, one.args, one.kwargs, one.autocast, tuple(after.get(k, ()))) for k, one in enumerate(steps)]


def lowered(tensors: Mapping[str, Tensor], steps: Sequence[Step]) -> dict[str, Tensor]:
    """Weights as bf16 that autocast would make so at every call, and that nothing else reads."""
    half, whole, on = set[str](), set[str](), True
    for step in steps:
        on = step.autocast if step.run is None else on
        base = getattr(getattr(step.run, "overloadpacket", None), "__name__", "")
        weights = set(refs(step.args[1:3])) if on and base in BF16 else set()
        for ref in read_by(step):
            if ref.kind == "tensor":
                (half if ref in weights else whole).add(ref.key)
    return {name: one.bfloat16() if name in half - whole and one.is_floating_point() else one
            for name, one in tensors.items()}  # fmt: skip


def arranged(tensors: Mapping[str, Tensor], place: torch.device) -> dict[str, Tensor]:
    """The tensors on the device; weights of convolutions of images as NHWC, which is no slower."""
    return {name: one.to(place, memory_format=torch.channels_last) if one.dim() == 4 else one.to(place)
            for name, one in tensors.items()}  # fmt: skip
