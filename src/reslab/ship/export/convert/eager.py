"""Store a graph for torch itself: NAME.json, the operators that torch.export has traced, and NAME.safetensors.

Not torch's own .pt2: see engines/operators.py. What the model is made of need not be installed to run it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, fx
from torch.export.graph_signature import InputKind

from reslab.errors import ReslabError
from reslab.ship.engines.eager import CONSTANTS, FORMAT
from reslab.ship.engines.operators import name_of
from reslab.ship.export.convert import ports
from reslab.ship.export.convert.program import exported
from reslab.ship.exportable import Graph
from reslab.ship.record import Port
from reslab.stored.digest import sealed_tensors
from reslab.stored.write import write_aside

CHECKS = ("_assert", "sym_constrain_range")  # begin the names of nodes that compute nothing


def write(graph: Graph, folder: Path, name: str) -> tuple[str, tuple[Port, ...], tuple[Port, ...]]:
    """See `convert`. Raises ReslabError for a model that uses operators of a library of its own."""
    program = exported(graph)
    outputs = ports.outputs(graph, program)
    tensors = {f"{k}": value for k, value in enumerate(held(program))}
    inputs = {spec.arg.name: k for k, spec in enumerate(stored(program))}
    given = iter(graph.example)
    names = {spec.arg.name: next(given) for spec in program.graph_signature.input_specs
             if spec.kind == InputKind.USER_INPUT}  # fmt: skip
    values: dict[str, Any] = {key: {"tensor": f"{k}"} for key, k in inputs.items()}
    values |= {key: {"input": one} for key, one in names.items()}
    nodes: list[Any] = []
    results = body(program.graph_module, nodes, values)
    fit = graph.fit
    found = {
        "reslab_program": FORMAT, "nodes": nodes, "results": dict(zip(graph.outputs, results, strict=True)),
        "fit": fit and {"input": fit.input, "size": list(fit.shape[1:]), "interpolation": fit.interpolation},
    }  # fmt: skip
    write_aside(folder / f"{name}.safetensors", sealed_tensors(save(tensors)))
    text = json.dumps(found, separators=(",", ":"), allow_nan=False)
    write_aside(folder / f"{name}.json", lambda file: file.write(text.encode()))
    return f"{name}.json", ports.inputs(graph), outputs


def stored(program: torch.export.ExportedProgram) -> list[Any]:
    """The inputs of the program that are weights, buffers or constants, and that something reads."""
    kept = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
    read = {node.name for node in program.graph.nodes if node.users}
    return [spec for spec in program.graph_signature.input_specs if spec.kind in kept and spec.arg.name in read]


def held(program: torch.export.ExportedProgram) -> Iterator[Tensor]:
    for spec in stored(program):
        assert spec.target is not None
        found = program.state_dict.get(spec.target, program.constants.get(spec.target))
        assert isinstance(found, Tensor)
        yield found.detach().clone(memory_format=torch.contiguous_format)


def body(module: fx.GraphModule, nodes: list[Any], values: dict[str, Any]) -> list[Any]:
    """The results of a traced module, whose nodes are appended; `values`: what its inputs stand for, by their names."""
    results: list[Any] = []
    for node in module.graph.nodes:
        if node.op == "output":
            results = [coded(one, values) for one in node.args[0]]
        elif node.op == "get_attr":
            values[node.name] = getattr(module, node.target)
        elif node.op == "call_function":
            call(node, nodes, values)
    return results


def call(node: fx.Node, nodes: list[Any], values: dict[str, Any]) -> None:
    """Append a node; one that runs a part of the model under other settings is taken apart."""
    target: Any = node.target
    kind = getattr(target, "__name__", str(target))
    if kind.startswith(CHECKS):
        return
    if kind == "wrap_with_set_grad_enabled":
        values[node.name] = inlined(node.args[1], node.args[2:], nodes, values)
    elif kind == "wrap_with_autocast":
        device, dtype, enabled, _, part, *given = node.args
        if enabled:
            raise ReslabError(f"the model switches autocast ({device}, {dtype}) on by itself, which a stored program "
                              "cannot")  # fmt: skip
        nodes.append({"autocast": False})
        values[node.name] = inlined(part, tuple(given), nodes, values)
        nodes.append({"autocast": True})
    elif kind == "getitem" and isinstance(values.get(getattr(node.args[0], "name", "")), list):
        values[node.name] = values[node.args[0].name][node.args[1]]  # type: ignore[union-attr, index]
    else:
        args = [coded(one, values) for one in node.args]
        options = {key: coded(one, values) for key, one in node.kwargs.items()}
        nodes.append({"op": name_of(target), "args": args, **({"kwargs": options} if options else {})})
        values[node.name] = {"node": len(nodes) - 1}


def inlined(part: Any, given: tuple[Any, ...], nodes: list[Any], values: Mapping[str, Any]) -> list[Any]:
    """The results of a part of the model, run with what it is given."""
    module = values[part.name]
    names = [node.name for node in module.graph.nodes if node.op == "placeholder"]
    return body(module, nodes, {name: coded(one, values) for name, one in zip(names, given, strict=True)})


def coded(value: Any, values: Mapping[str, Any]) -> Any:
    """An argument of a node for JSON."""
    if isinstance(value, fx.Node):
        return values[value.name]
    if isinstance(value, list | tuple):
        return [coded(one, values) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    for key, kind in CONSTANTS.items():
        if isinstance(value, kind):
            return {key: str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"device": "here"}
    raise ReslabError(f"a stored program cannot hold a {type(value).__name__}")
