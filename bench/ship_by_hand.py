"""What one writes by hand to predict JPEG files: torch three ways, ONNX Runtime, OpenVINO in three precisions.

Each side takes the bytes of JPEG files and gives a class of each. Decoding and resizing are Pillow's, by two threads
for several images; OpenVINO normalizes inside its graph (PrePostProcessor), whose shape is fixed to the batch.
"""

import contextlib
import io
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

from reslab.ship.packages import core  # a second Core in a process ends it at the next signal

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
CALIBRATED = 64  # images for int8
Side = Callable[[Sequence[bytes]], list[int]]
Infer = Callable[[np.ndarray], np.ndarray]  # uint8 (B, H, W, 3) to scores (B, K)


class Decoder:
    """JPEG files to uint8 (B, S, S, 3): resized to cover the square, and its middle."""

    def __init__(self, size: int, threads: int) -> None:
        self.size, self.pool = size, ThreadPoolExecutor(threads)

    def one(self, data: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(ImageOps.fit(image.convert("RGB"), (self.size, self.size), Image.Resampling.BILINEAR))

    def __call__(self, files: Sequence[bytes]) -> np.ndarray:
        return np.stack([self.one(files[0])] if len(files) == 1 else list(self.pool.map(self.one, files)))


def side(decode: Decoder, infer: Infer) -> Side:
    return lambda files: infer(decode(files)).argmax(axis=1).tolist()


def in_torch(net: nn.Module, *, dtype: torch.dtype = torch.float32, nhwc: bool = False) -> Infer:
    """Normalized in float32, then through the net."""
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (MEAN, STD))
    form = torch.channels_last if nhwc else torch.contiguous_format

    @torch.inference_mode()
    def infer(pixels: np.ndarray) -> np.ndarray:
        x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std
        return net(x.to(dtype).contiguous(memory_format=form)).float().numpy()

    return infer


def in_onnx(net: nn.Module, size: int, batch: int, threads: int) -> Infer:
    """ONNX Runtime on torch's own export."""
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "net.onnx")
        torch.onnx.export(net, (torch.zeros(batch, 3, size, size),), file, dynamo=True, verbose=False,
                          external_data=False)  # fmt: skip
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    name = session.get_inputs()[0].name

    def infer(pixels: np.ndarray) -> np.ndarray:
        x = (pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255 - mean) / std
        return session.run(None, {name: x})[0]

    return infer


def in_openvino(
    net: nn.Module, size: int, batch: int, threads: int, precision: str, examples: np.ndarray
) -> Infer:  # fmt: skip
    """OpenVINO on its own conversion from torch; int8 by nncf.quantize with `examples`, uint8 (N, S, S, 3)."""
    import openvino as ov
    from openvino.preprocess import PrePostProcessor

    model = ov.convert_model(net, example_input=torch.zeros(2, 3, size, size), input=[-1, 3, size, size])
    prepare = PrePostProcessor(model)
    prepare.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    prepare.input().model().set_layout(ov.Layout("NCHW"))
    steps = prepare.input().preprocess().convert_element_type(ov.Type.f32)
    steps.mean([255 * value for value in MEAN]).scale([255 * value for value in STD])
    model = prepare.build()
    if precision == "int8":
        import nncf

        data = nncf.Dataset([one[None] for one in examples[:CALIBRATED]])
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
            model = nncf.quantize(model, data, subset_size=len(examples[:CALIBRATED]))
    model.reshape([batch, size, size, 3])
    hint = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}  # fmt: skip
    request = core("the benchmark").compile_model(model, "CPU", hint).create_infer_request()

    def infer(pixels: np.ndarray) -> np.ndarray:
        return next(iter(request.infer([pixels], share_inputs=True).values()))

    return infer


def refuse_other(infer: Infer, first: Infer, pixels: np.ndarray, title: str) -> None:
    """A fp32 side must give the scores of the first one."""
    wanted = first(pixels)
    if (far := float(np.abs(infer(pixels) - wanted).max() / np.abs(wanted).max())) > 1e-3:
        raise SystemExit(f"{title} gives other scores: {far:.2g} of the largest apart")


def hand_sides(
    name: str, net: nn.Module, *, size: int, batch: int, threads: int, files: Sequence[bytes], compiled: bool
) -> tuple[dict[str, Side], list[str]]:  # fmt: skip
    """Each side by its name, the eager one first; sentences about those that are missing."""
    import copy
    import shutil

    decode, missing = Decoder(size, threads), list[str]()
    found = {f"{name}, eager, fp32": side(decode, in_torch(net))}
    half = copy.deepcopy(net).to(memory_format=torch.channels_last).bfloat16()  # type: ignore[call-overload]
    found["the same, channels_last, bf16"] = side(decode, in_torch(half, dtype=torch.bfloat16, nhwc=True))
    if not compiled:
        missing.append("torch.compile is left out with --quick: it compiles for minutes")
    elif shutil.which("g++") is None and shutil.which("clang++") is None:
        missing.append("torch.compile is left out: there is no C++ compiler")
    else:
        fused = torch.compile(copy.deepcopy(net).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        found["torch.compile, channels_last, fp32"] = side(decode, in_torch(fused, nhwc=True))
    examples = Decoder(size, threads)(files[:CALIBRATED])
    for title, make in (("ONNX Runtime, fp32", lambda: in_onnx(net, size, batch, threads)),
                        *((f"OpenVINO, {p}", lambda p=p: in_openvino(net, size, batch, threads, p, examples))
                          for p in ("fp32", "bf16", "int8"))):  # fmt: skip
        try:
            infer = make()
            if title.endswith("fp32"):
                refuse_other(infer, in_torch(net), examples[:batch], title)
            found[f"{title}, by hand"] = side(decode, infer)
        except ImportError as error:
            missing.append(f"{title} is left out: {error}")
    return found, missing
