"""The engines: what they take, from several threads, damaged files, missing packages."""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exported import FILES, export_colors
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError
from reslab.ship.engines import engine
from reslab.ship.engines import openvino as module
from reslab.ship.export.convert import convert
from reslab.ship.exportable import Graph
from reslab.ship.folder import read_config
from reslab.ship.record import Config

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")
SIZE = {"images": (6, 8, 3)}


class Mean(nn.Module):
    """As `exported.export_colors`: the mean of each channel divided by 10."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        scores = images.float().mean(dim=(1, 2)) * 0.1
        return scores, scores.softmax(dim=1)


@pytest.fixture(scope="module", params=["openvino", "onnx", "torch"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config]:
    """Scores of three classes: the mean of red, green and blue, divided by 10; any size."""
    path = tmp_path_factory.mktemp("engine") / "model"
    if request.param != "torch":
        export_colors(path, engine=request.param, ports=(None, None, None, 3))
        return path, read_config(path)
    path.mkdir()
    graph = Graph(module=Mean().eval(), example={"images": torch.zeros(2, 6, 8, 3, dtype=torch.uint8)},
                  dynamic={"images": {0: "batch", 1: "height", 2: "width"}},
                  outputs=("scores", "probabilities"))  # fmt: skip
    file, inputs, outputs = convert(graph, "torch", path, "model")
    return path, Config(kind="images", engine="torch", precision="fp32", name="m", word="m", files=(file,),
                        inputs=inputs, outputs=outputs, license="none")  # fmt: skip


def plain(n: int, red: int, size: tuple[int, int] = (6, 8)) -> dict[str, np.ndarray]:
    images = np.zeros((n, *size, 3), np.uint8)
    images[..., 0] = red
    return {"images": images}


def test_any_batch_and_any_size(folder: tuple[Path, Config]) -> None:
    made = engine(*folder)
    for n, size in ((1, (6, 8)), (7, (3, 30)), (2, (6, 8)), (1, (1, 1))):
        found = made.run(plain(n, 100, size))
        assert found["scores"].shape == (n, 3)
        assert found["scores"].dtype == np.float32
        assert np.allclose(found["scores"], [10, 0, 0])
        assert np.allclose(found["probabilities"].sum(axis=1), 1)


def test_arrays_of_any_memory_are_taken_and_left_as_they_are(folder: tuple[Path, Config]) -> None:
    made, images = engine(*folder), np.random.default_rng(0).integers(0, 256, (4, 8, 12, 3), dtype=np.uint8)
    given = images[::2, 1:7, ::-1][:, :, :8]
    given.flags.writeable = False
    assert np.allclose(made.run({"images": given})["scores"], given.mean(axis=(1, 2)) / 10, rtol=1e-5)
    alone = images[:1, :6, :8].copy()
    alone.flags.writeable = False
    assert np.allclose(made.run({"images": alone})["scores"], alone.mean(axis=(1, 2)) / 10, rtol=1e-5)


def test_outputs_stay_what_they_were(folder: tuple[Path, Config]) -> None:
    """A later call does not write into the arrays of an earlier one."""
    made = engine(*folder)
    first = made.run(plain(2, 50))["scores"]
    made.run(plain(2, 200))
    assert np.allclose(first, [5, 0, 0])


@pytest.mark.parametrize(("inputs", "sentence"), [
    ({}, "the graph takes images, got nothing"),
    ({"image": plain(1, 0)["images"]}, "the graph takes images, got image"),
    ({**plain(1, 0), "size": np.ones(1)}, "the graph takes images, got images, size"),
    ({"images": plain(1, 0)["images"].astype(np.float32)}, "input images must be uint8, got float32"),
    ({"images": plain(1, 0)["images"].tolist()}, "input images must be an array, got list"),
    ({"images": plain(1, 0)["images"][0]}, "input images must have the shape (any, any, any, 3), got (6, 8, 3)"),
    ({"images": plain(0, 0)["images"]}, "input images must have the shape (any, any, any, 3), got (0, 6, 8, 3)"),
    ({"images": plain(1, 0)["images"][..., :1]}, "input images must have the shape (any, any, any, 3), got "
                                                 "(1, 6, 8, 1)"),
])  # fmt: skip
def test_inputs_that_are_not_the_graphs(folder: tuple[Path, Config], inputs: Any, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        engine(*folder).run(inputs)
    assert str(error.value) == sentence


def test_a_graph_of_a_known_size_takes_no_other(folder: tuple[Path, Config]) -> None:
    path, config = folder
    made = engine(path, config, shapes=SIZE)
    assert np.allclose(made.run(plain(3, 100))["scores"], [10, 0, 0])
    if config.engine != "torch":
        with pytest.raises(UsageError, match=r"must have the shape \(any, 6, 8, 3\), got \(1, 9, 9, 3\)"):
            made.run(plain(1, 100, (9, 9)))


def test_four_threads_at_once(folder: tuple[Path, Config]) -> None:
    made = engine(folder[0], folder[1], threads=1, shapes=SIZE)

    def one(k: int) -> bool:
        found = made.run(plain(1 + k % 3, k))["scores"]
        return found.shape == (1 + k % 3, 3) and np.allclose(found, [k / 10, 0, 0], atol=1e-4)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(one, range(200)))


def test_batches_of_one_get_a_model_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fourth starts its compilation; until it is there, and for other batches, the model for any batch runs."""
    path = export_colors(tmp_path / "model")
    made: Any = engine(path, read_config(path), shapes=SIZE)
    whole = made.whole
    for k in range(module.SINGLES):
        assert made.single is whole
        assert np.allclose(made.run(plain(1, 10 * k))["scores"], [k, 0, 0])
    until = time.monotonic() + 30
    while made.single is whole and time.monotonic() < until:
        time.sleep(0.01)
    assert [tuple(port.shape) for port in made.single.compiled.inputs] == [(1, 6, 8, 3)]
    assert np.allclose(made.run(plain(1, 200))["scores"], [20, 0, 0])
    assert np.allclose(made.run(plain(5, 200))["scores"], [20, 0, 0])


def test_threads_are_those_that_were_asked_for(tmp_path: Path) -> None:
    for which, threads_of in {
        "openvino": lambda made: made.whole.compiled.get_property("INFERENCE_NUM_THREADS"),
        "onnx": lambda made: made.session.session.get_session_options().intra_op_num_threads,
    }.items():
        path = export_colors(tmp_path / which, engine=which)  # type: ignore[arg-type]
        for threads in (1, 2):
            assert threads_of(engine(path, read_config(path), threads=threads)) == threads


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"", "cut": lambda data: data[: len(data) // 2], "text": lambda data: b"no graph\n",
    "zeros": lambda data: bytes(len(data)),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("which", ["openvino", "onnx"])
def test_a_damaged_graph_is_one_sentence(tmp_path: Path, which: Any, damage: str) -> None:
    path = export_colors(tmp_path / "model", engine=which)
    config, file = read_config(path), path / FILES[which]
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.raises(ReslabError) as error:
        engine(path, config)
    said = str(error.value)
    assert said.startswith(f"{file} cannot be loaded by ")
    assert "\n" not in said
    assert ".cpp" not in said


@pytest.mark.parametrize(("which", "package"), [("openvino", "openvino"), ("onnx", "onnxruntime")])
def test_a_missing_package_is_named(tmp_path: Path, which: Any, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export_colors(tmp_path / "model", engine=which)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as error:
        engine(path, read_config(path))
    assert str(error.value) == f"{path / FILES[which]} needs the package {package}: pip install 'reslab[ship]'"


@pytest.mark.skipif(sys.platform != "linux", reason="the stack for signals is Linux's")
def test_signals_arrive_after_models_were_let_go_in_any_order(tmp_path: Path) -> None:
    """OpenVINO gives the thread a stack for signals, and must not take away one that is in use."""
    path = export_colors(tmp_path / "model")
    code = f"""
import gc, os, signal, reslab
signal.signal(signal.SIGUSR1, lambda *given: print("handled", flush=True))
one, other = reslab.predict({str(path)!r}), reslab.predict({str(path)!r})
del one; gc.collect(); del other; gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
"""
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n")
