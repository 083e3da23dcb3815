"""Small exported folders for images, made by hand: a graph, its config, its seal.

`export_colors` needs no torch and takes milliseconds: its scores are the mean of each channel, over 10. `export_net`
exports a net as a real export does, with torch.export and the engine's own converter; that takes seconds.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from reslab.ship.folder import seal, write_config
from reslab.ship.record import Config, EngineName, Port

COLORS = ["red", "green", "blue"]
FILES = {"openvino": "model.xml", "onnx": "model.onnx", "torch": "model.json"}
TENTH = 0.1


def export_colors(
    folder: Path, *, size: tuple[int, int] = (6, 8), engine: EngineName = "openvino", **about: Any
) -> Path:
    """Scores of the classes red, green and blue: the mean of that channel divided by 10. Any size, in truth."""
    folder.mkdir(parents=True)
    (onnx_colors if engine == "onnx" else openvino_colors)(folder / FILES[engine])
    return finish(folder, engine, classes=COLORS, shape=(3, *size), **about)


def openvino_colors(file: Path) -> None:
    from reslab.ship.packages import openvino

    ov = openvino(why="this test")
    from openvino import opset13 as ops  # type: ignore

    x = ops.parameter([-1, -1, -1, 3], np.uint8, name="images")
    mean = ops.reduce_mean(ops.convert(x, "f32"), np.array([1, 2]), keep_dims=False)
    scores = ops.multiply(mean, np.float32(TENTH))
    model = ov.Model([scores, ops.softmax(scores, 1)], [x], "colors")
    name_ports(model)
    ov.save_model(model, file, compress_to_fp16=False)


def name_ports(model: Any) -> None:
    for port, name in zip((*model.inputs, *model.outputs), ("images", "scores", "probabilities"), strict=True):
        port.get_tensor().set_names({name})


def onnx_colors(file: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "tenth"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])
    found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("scores", "probabilities")]
    held = [numpy_helper.from_array(np.array([1, 2]), "axes"), numpy_helper.from_array(np.float32(TENTH), "tenth")]
    graph = helper.make_graph(nodes, "colors", [images], found, held)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), file)


def finish(
    folder: Path, engine: EngineName, *, classes: list[str], shape: tuple[int, int, int],
    ports: tuple[int | None, ...] | None = None, **about: Any,
) -> Path:  # fmt: skip
    """Write config.json and checksums.json beside the graph; `ports`: the shape that it says its input has."""
    C, H, W = shape
    whole: dict[str, Any] = {
        "classes": classes, "shape": [C, H, W], "reading": {"options": {}}, "temperature": 1.0,
        "calibration": "calibrated by hand", "several": False, "any_size": False, **about,
    }  # fmt: skip
    write_config(folder, Config(
        kind="images", engine=engine, precision="fp32", name="small", word="small", license="none", about=whole,
        files=(FILES[engine],), inputs=(Port(name="images", dtype="uint8", shape=ports or (None, H, W, C)),),
        outputs=tuple(Port(name=name, dtype="float32", shape=(None, len(classes)))
                      for name in ("scores", "probabilities")),
    ))  # fmt: skip
    seal(folder)
    return folder


def export_net(folders: dict[EngineName, Path], net: Any, preprocess: Any, **about: Any) -> None:
    """Export a net with its normalization, for the engines in `folders`; `preprocess`: an images.preprocess."""
    import torch
    from torch import nn

    class Graph(nn.Module):
        """uint8 (N, H, W, C) -> scores and probabilities (N, K)."""

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            scores = self.net(preprocess.normalize(images.permute(0, 3, 1, 2)))
            return scores, scores.softmax(dim=1)

    graph = Graph()
    graph.net = net.eval()
    C, H, W = preprocess.shape
    example = (torch.zeros((2, H, W, C), dtype=torch.uint8),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(graph, example, dynamic_shapes=({0: torch.export.Dim("N", min=1, max=4096)},))
        for engine, folder in folders.items():
            folder.mkdir(parents=True)
            if engine == "onnx":
                torch.onnx.export(program, example, folder / "model.onnx", input_names=["images"], dynamo=True,
                                  output_names=["scores", "probabilities"], external_data=False,
                                  verbose=False)  # fmt: skip
            else:
                from reslab.ship.packages import openvino

                ov = openvino(why="this test")
                model = ov.convert_model(program)
                name_ports(model)
                ov.save_model(model, folder / "model.xml", compress_to_fp16=False)
            finish(folder, engine, shape=preprocess.shape, **about)
