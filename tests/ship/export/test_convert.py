"""A converted graph gives what torch gives, for any batch; images of any size are fitted as Pillow fits them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from reslab.errors import ReslabError
from reslab.images.data.decode import fit
from reslab.ship.engines import Engine, engine
from reslab.ship.export.convert import convert
from reslab.ship.export.convert import onnx as to_onnx
from reslab.ship.export.convert import openvino as to_openvino
from reslab.ship.exportable import Fit, Graph
from reslab.ship.record import Config

H, W = 12, 9
ENGINES = ["openvino", "onnx", "torch"]


class Pooled(nn.Module):
    """Uint8 (N, H, W, 3) -> scores (N, 4) and the pixels as they arrive (N, 3, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.permute(0, 3, 1, 2).float()
        return self.conv(x / 255).relu().mean(dim=(2, 3)), x


def graph(interpolation: str) -> Graph:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Pooled().eval()
    return Graph(
        module=module, example={"images": torch.zeros(2, H, W, 3, dtype=torch.uint8)},
        dynamic={"images": {0: "batch", 1: "height", 2: "width"}}, outputs=("scores", "pixels"),
        fit=Fit(input="images", shape=(3, H, W), interpolation=interpolation),  # type: ignore[arg-type]
    )  # fmt: skip


def loaded(folder: Path, made: Graph, which: str) -> Engine:
    file, inputs, outputs = convert(made, which, folder, "model")  # type: ignore[arg-type]
    config = Config(kind="images", engine=which, precision="fp32", name="toy", word="toy", files=(file,), inputs=inputs,
                    outputs=outputs, license="unknown")  # type: ignore[arg-type]  # fmt: skip
    return engine(folder, config)


@pytest.fixture(scope="module", params=ENGINES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Graph, Engine]:
    folder, made = tmp_path_factory.mktemp(request.param), graph("bilinear")
    return folder, made, loaded(folder, made, request.param)


def noise(n: int, h: int, w: int) -> np.ndarray:
    return np.random.default_rng(h).integers(0, 256, (n, h, w, 3), dtype=np.uint8)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_any_batch_gives_what_torch_gives(exported: tuple[Path, Graph, Engine], batch: int) -> None:
    _, made, model = exported
    images = noise(batch, H, W)
    scores, pixels = made.module(torch.from_numpy(images))
    found = model.run({"images": images})
    assert np.array_equal(found["pixels"], pixels.numpy())  # images of the net's size pass as they are
    assert np.abs(found["scores"] - scores.detach().numpy()).max() < 1e-6


@pytest.mark.parametrize("size", [(24, 18), (50, 13), (7, 40), (3, 2), (13, 9), (400, 1)])
def test_images_of_any_size_are_fitted_as_by_pillow(
    exported: tuple[Path, Graph, Engine], size: tuple[int, int]
) -> None:
    _, _, model = exported
    images = noise(2, *size)
    found = model.run({"images": images})["pixels"].transpose(0, 2, 3, 1)
    wanted = np.stack([np.asarray(fit(Image.fromarray(one), height=H, width=W)) for one in images])
    off = np.abs(found - wanted)
    # Pillow 13 resizes columns first if the image is more than twice as high as wide; a strip is cropped before
    assert off.max() <= (1 if min(size) > 1 else 3)
    assert (off > 0).mean() < (0.03 if size[0] <= 2 * size[1] else 0.3)


def test_bicubic(tmp_path: Path) -> None:
    model = loaded(tmp_path, graph("bicubic"), "openvino")
    images = noise(2, 31, 40)
    found = model.run({"images": images})["pixels"].transpose(0, 2, 3, 1)
    wanted = np.stack([np.asarray(fit(Image.fromarray(one), height=H, width=W, interpolation="bicubic"))
                       for one in images])  # fmt: skip
    assert np.abs(found - wanted).max() <= 1


def test_weights_lie_in_one_file(exported: tuple[Path, Graph, Engine]) -> None:
    names = {path.name for path in exported[0].iterdir()}
    assert names in ({"model.onnx"}, {"model.xml", "model.bin"}, {"model.json", "model.safetensors"})


class Halves(nn.Module):
    """Joins the two halves of a batch, so that a batch of an odd length fails."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (images.view(2, -1).float(),)


class Choosing(nn.Module):
    """Chooses by the values of its input."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        x = images.float()
        return (x if x.sum() > 0 else -x,)


class Fourier(nn.Module):
    """OpenVINO has no complex numbers."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (torch.fft.fft(images.float()).real,)


@pytest.mark.parametrize(("module", "why"), [
    (Halves(), "any length of batch: its code fixes batch to 2, which is that of the example"),
    (Choosing(), "any length of batch: what it computes depends on the values of its input"),
    (Fourier(), "OpenVINO cannot convert the model: no form is known for its operation aten._fft_r2c.default"),
])  # fmt: skip
def test_a_net_that_cannot_be_converted_is_refused(
    module: nn.Module, why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = Graph(module=module, example={"images": torch.zeros(2, 3, dtype=torch.uint8)},
                 dynamic={"images": {0: "batch"}}, outputs=("scores",))  # fmt: skip
    with pytest.raises(ReslabError, match=re.escape(why)):
        convert(made, "openvino", tmp_path, "model")
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_weights_that_one_file_cannot_hold_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_onnx, "MOST", 0)
    (tmp_path / "model.onnx.data").write_bytes(b"of an earlier export")
    made = graph("bilinear")
    made.module.conv = nn.Conv2d(3, 400, 3)  # type: ignore[assignment]  # small tensors stay in the file
    model = loaded(tmp_path, made, "onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "model.onnx.data"}
    images = noise(3, H, W)
    wanted = made.module(torch.from_numpy(images))[0].detach().numpy()
    assert np.abs(model.run({"images": images})["scores"] - wanted).max() < 1e-5


def test_an_engine_that_knows_the_size_leaves_out_what_fits_images_to_it(
    exported: tuple[Path, Graph, Engine], tmp_path: Path
) -> None:
    folder, _, whole = exported
    known = engine(folder, whole.config, shapes={"images": (H, W, 3)})
    images = {"images": noise(3, H, W)}
    assert all(np.array_equal(known.run(images)[name], value) for name, value in whole.run(images).items())


def test_the_file_itself_takes_images_of_any_size(tmp_path: Path) -> None:
    """As others load it: not taken apart by our engine."""
    openvino = pytest.importorskip("openvino")
    convert(graph("bilinear"), "openvino", tmp_path, "model")
    compiled = openvino.Core().compile_model(tmp_path / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    images = noise(2, 30, 20)
    wanted = np.stack([np.asarray(fit(Image.fromarray(one), height=H, width=W)) for one in images])
    assert np.abs(compiled({"images": images})["pixels"].transpose(0, 2, 3, 1) - wanted).max() <= 1
    same = noise(2, H, W)
    assert np.array_equal(compiled({"images": same})["pixels"].transpose(0, 2, 3, 1), same)


def read_names(graph: Any) -> set[str]:
    """What nodes read, those of the graphs inside of them too, and what the graph gives."""
    inner = [one.g for node in graph.node for one in node.attribute if one.HasField("g")]
    own = {name for node in graph.node for name in node.input} | {one.name for one in graph.output}
    return own.union(*map(read_names, inner))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_an_onnx_file_holds_no_number_that_nothing_reads(tmp_path: Path, interpolation: str) -> None:
    onnx = pytest.importorskip("onnx")
    convert(graph(interpolation), "onnx", tmp_path, "model")
    found = onnx.load(tmp_path / "model.onnx").graph
    assert {one.name for one in found.initializer} <= read_names(found)


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """OpenVINO gives an error that does not say why; a limit on the size of files is to it what a full disk is."""
    resource, onnx = pytest.importorskip("resource"), pytest.importorskip("onnx")
    given = graph("bilinear")
    model = to_openvino.model(given)[0]
    other = onnx.ModelProto(doc_string="x" * 200)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(ReslabError, match=r"OpenVINO cannot write model\.xml and model\.bin: .* MB free"):
            to_openvino.save(model, given, tmp_path, "model")
        with pytest.raises(ReslabError, match=r"^cannot write .*model\.onnx: File too large$"):
            to_onnx.save(other, tmp_path / "model.onnx")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
