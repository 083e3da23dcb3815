"""Rows of a table by hand, for bench/ship.py: our encoder, then its net in torch or in OpenVINO."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import reslab
from reslab.ship.packages import core

Rows = Mapping[str, list[Any]]
Side = Callable[[Rows], np.ndarray]  # (N, K) probabilities


def rows(n: int, seed: int = 0) -> tuple[dict[str, list[Any]], list[str]]:
    """Ten numbers, six categories, and classes that follow from them.

    No column of several values: with them, a graph has the number of the values as a fixed size, too.
    """
    made = np.random.default_rng(seed)
    numbers = made.normal(size=(n, 10)).round(4)
    kinds = made.integers(0, [3, 5, 8, 12, 20, 40], size=(n, 6))
    found: dict[str, list[Any]] = {f"n{k}": numbers[:, k].tolist() for k in range(10)}
    found |= {f"c{k}": [f"value {one}" for one in kinds[:, k]] for k in range(6)}
    score = numbers[:, 0] + numbers[:, 1] * (kinds[:, 0] - 1) + 0.2 * kinds[:, 2]
    return found, np.where(score > np.median(score), "yes", "no").tolist()


def trained(folder: Path, n: int = 2000) -> Path:
    """A run of a table."""
    given, target = rows(n)
    model = reslab.tables.ResidualClassifier(device="cpu", random_state=0, members=1, recipe={"iterations": 30})
    return model.fit(given, target).model_.save(folder)


def in_openvino(model: Any, threads: int, given: Rows) -> Side:
    """The only member's net, converted by hand for as many rows as are given; encoder and softmax are the model's."""

    (member,) = model.members
    (table,) = model.tables(reslab.tables.data.frame.read_frame(dict(given), how=model.format))
    inputs = table.batch(np.arange(len(table)), torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:  # by ONNX: OpenVINO's reader of torch has no nan_to_num
        file = Path(folder, "net.onnx")
        torch.onnx.export(member.net, (), file, kwargs=dict(inputs), input_names=list(inputs),
                          dynamo=True, verbose=False, external_data=False)  # fmt: skip
        net = core("the benchmark").read_model(file.read_bytes())
    hint = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core("the benchmark").compile_model(net, "CPU", hint).create_infer_request()
    names = [port.get_any_name() for port in net.inputs]

    def side(some: Rows) -> np.ndarray:
        (coded,) = model.tables(reslab.tables.data.frame.read_frame(dict(some), how=model.format))
        batch = coded.batch(np.arange(len(coded)), torch.device("cpu"))
        z = request.infer({name: batch[name].numpy() for name in names}, share_inputs=True)[0].astype(np.float64)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        return p if model.calibration is None else model.calibration.apply(p, model.target)

    return side
