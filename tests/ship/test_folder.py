"""What an exported folder may hold beside the files that its checksums list."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from exported import export_colors, finish

from reslab.errors import ReslabError, ReslabWarning
from reslab.ship.folder import verify
from reslab.ship.listed import beside
from reslab.stored import write

pytest.importorskip("openvino")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(write, "WARNED", set())
    return export_colors(tmp_path / "out")


def unlist(folder: Path, name: str) -> None:
    sums = json.loads((folder / "checksums.json").read_text())
    del sums["sha256"][name]
    (folder / "checksums.json").write_text(json.dumps(sums))


@pytest.mark.parametrize("name", ["model.xml", "model.bin", "config.json"])
def test_each_file_that_the_engine_reads_must_be_listed(folder: Path, name: str) -> None:
    assert len(verify(folder)) == 64
    unlist(folder, name)
    with pytest.raises(ReslabError, match=rf"it does not list {name}, which is read"):
        verify(folder)


@pytest.mark.parametrize("name", ["tokenizer/tokenizer.json", "encoder.json", "s1/target.json", "proof.json"])
def test_a_file_that_predicting_reads_is_refused_unless_listed(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    with pytest.raises(ReslabError, match=rf"it does not list {name}, which is read"):
        verify(folder)


def test_another_file_is_named_once_and_not_read(folder: Path) -> None:
    before = verify(folder)
    (folder / "numpy.py").write_text("raise SystemExit")
    (folder / "photo.jpg").touch()  # to be predicted
    with pytest.warns(ReslabWarning, match=r"out holds numpy\.py, which checksums\.json does not list: it is no part"):
        assert verify(folder) == before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert verify(folder) == before


def test_no_link_leads_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    """Its target would match the checksum now and be another file when the engine reads it."""
    (folder / "model.bin").rename(tmp_path / "elsewhere.bin")
    (folder / "model.bin").symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(ReslabError, match=r"model\.bin is a link to a file outside of the folder"):
        verify(folder)
    (folder / "model.bin").unlink()
    (tmp_path / "elsewhere.bin").rename(folder / "model.bin")
    (folder / "inner.bin").symlink_to("model.bin")
    with pytest.warns(ReslabWarning, match=r"inner\.bin"):
        verify(folder)


def test_a_folder_behind_a_link_and_one_of_the_hubs_cache_are_read(folder: Path, tmp_path: Path) -> None:
    before = verify(folder)
    (tmp_path / "live").symlink_to("out")
    assert verify(tmp_path / "live") == before
    cache = tmp_path / "models--a--b"
    (cache / "blobs").mkdir(parents=True)
    (cache / "snapshots" / "1").mkdir(parents=True)
    for path in folder.iterdir():
        (cache / "blobs" / path.name).write_bytes(path.read_bytes())
        (cache / "snapshots" / "1" / path.name).symlink_to(f"../../blobs/{path.name}")
    assert verify(cache / "snapshots" / "1") == before


def test_the_weights_beside_an_onnx_file_must_be_listed(tmp_path: Path) -> None:
    onnx: Any = pytest.importorskip("onnx")
    helper, numpy = onnx.helper, pytest.importorskip("numpy")
    out = tmp_path / "out"
    out.mkdir()
    weight = onnx.numpy_helper.from_array(numpy.ones((64, 64), numpy.float32), "w")
    port = helper.make_tensor_value_info("x", 1, [None, 64])
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    made = helper.make_model(helper.make_graph([node], "g", [port], [helper.make_tensor_value_info("y", 1, None)],
                                               [weight]))  # fmt: skip
    onnx.save(made, out / "model.onnx", save_as_external_data=True, location="model.onnx.data")
    finish(out, "onnx", classes=["a", "b"], shape=(3, 8, 8))
    assert beside(out / "model.onnx") == {"model.onnx.data"}
    assert len(verify(out)) == 64
    unlist(out, "model.onnx.data")
    with pytest.raises(ReslabError, match=r"it does not list model\.onnx\.data, which is read"):
        verify(out)


def test_the_weights_of_a_program_of_torch_must_be_listed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("model.json", "model.safetensors"):
        (out / name).write_text("{}")
    finish(out, "torch", classes=["a", "b"], shape=(3, 8, 8))
    assert len(verify(out)) == 64
    unlist(out, "model.safetensors")
    with pytest.raises(ReslabError, match=r"it does not list model\.safetensors, which is read"):
        verify(out)


def test_a_long_name_beside_an_onnx_file_is_found(tmp_path: Path) -> None:
    """The length of a name of 128 bytes or more takes two bytes."""
    name = "w" * 300
    (tmp_path / "m.onnx").write_bytes(b"..\x0a\x08location\x12" + bytes([300 % 128 + 128, 300 // 128]) + name.encode())
    assert beside(tmp_path / "m.onnx") == {name}
