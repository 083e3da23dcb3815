"""An exported folder: every file that is altered or removed is noticed; added ones are in test_folder.py."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exported import export_colors

from reslab.errors import ReslabError, UsageError
from reslab.ship.folder import is_exported, read_config, seal, sum_of, verify, write_config
from reslab.ship.record import Config, Port

pytest.importorskip("openvino")
FILES = ("config.json", "model.xml", "model.bin", "README.md", "tokenizer/tokenizer.json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = export_colors(tmp_path_factory.mktemp("folder") / "model")
    (folder / "README.md").write_text("a card")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")
    seal(folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def said(folder: Path) -> str:
    with pytest.raises(ReslabError) as error:
        verify(folder)
    return str(error.value)


def test_the_version_changes_with_any_file(folder: Path) -> None:
    first = verify(folder)
    assert len(first) == 64
    assert verify(folder) == first
    (folder / "README.md").write_text("another card")
    seal(folder)
    assert verify(folder) != first


def test_a_checksum_is_that_of_the_bytes(folder: Path) -> None:
    """SHA-256 of "a card"."""
    assert sum_of(folder / "README.md") == "da0d4b103341f3e6b5a9e1ee3ee34a2088e6db1b6d67613db33cd3eeefd2744b"
    sums = json.loads((folder / "checksums.json").read_text())["sha256"]
    assert sorted(sums) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("harm", "sentence"), [
    (lambda path: path.write_bytes(path.read_bytes() + b" "), "was changed or damaged after the export"),
    (lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]), "was changed"),
    (lambda path: path.write_bytes(b""), "was changed or damaged after the export"),
    (lambda path: path.unlink(), "is missing; restore a copy of it, or export the model again"),
    (lambda path: (path.unlink(), path.mkdir()), "is missing"),
])  # fmt: skip
def test_a_file_that_was_altered_or_removed(
    folder: Path, name: str, harm: Callable[[Path], Any], sentence: str
) -> None:
    harm(folder / name)
    assert said(folder).startswith(f"{folder / name} {sentence}")


@pytest.mark.parametrize("name", ["../other", "/etc/passwd", "a/../../b", "a\\b", "", "a\0b"])
def test_names_that_leave_the_folder(folder: Path, name: str) -> None:
    sums = json.loads((folder / "checksums.json").read_text())
    sums["sha256"][name] = "0" * 64
    (folder / "checksums.json").write_text(json.dumps(sums))
    assert f"{name!r} does not lie in the folder" in said(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "files": [name]}))
    with pytest.raises(ReslabError, match="does not lie in the folder"):
        read_config(folder)


@pytest.mark.parametrize("name", ["config.json", "model.xml", "model.bin"])
def test_a_file_that_is_read_must_be_listed(folder: Path, name: str) -> None:
    sums = json.loads((folder / "checksums.json").read_text())
    del sums["sha256"][name]
    (folder / "checksums.json").write_text(json.dumps(sums))
    assert said(folder) == (
        f"{folder / 'checksums.json'} is damaged: it does not list {name}, which is read; export the model again"
    )


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "is damaged"), ("[]", "is damaged"), ("{}", "lacks"), ('{"sha256": []}', "must be an object"),
    ('{"sha256": {"model.xml": 1}}', "must be a text"), ("[" * 100_000, "is damaged"), ("\udcff", "is not UTF-8"),
])  # fmt: skip
def test_checksums_that_cannot_be_read(folder: Path, text: str, sentence: str) -> None:
    (folder / "checksums.json").write_bytes(text.encode(errors="surrogateescape"))
    assert sentence in said(folder)
    assert is_exported(folder)


def test_a_folder_without_checksums_was_not_finished(folder: Path) -> None:
    (folder / "checksums.json").unlink()
    assert "is missing: the export was not finished, or files were removed" in said(folder)
    assert is_exported(folder)  # its config says so
    (folder / "config.json").write_text('{"model_type": "bert"}')
    assert not is_exported(folder)
    (folder / "config.json").write_text("[" * 100_000)
    assert not is_exported(folder)
    assert not is_exported(folder / "gone")


@pytest.mark.parametrize(("change", "sentence"), [
    ({"reslab_export": 2}, "has format 2: this reslab reads 1; export the model again"),
    ({"kind": "sounds"}, "kind must be one of images, questions, tables, got 'sounds'"),
    ({"engine": "tensorrt"}, "engine must be one of openvino, onnx, torch"),
    ({"files": "model.xml"}, "files must be a list"),
    ({"inputs": [{"name": "images"}]}, "lacks"),
    ({"inputs": [{"name": "images", "dtype": "uint8", "shape": [-1]}]}, "must be a whole number of at least 0"),
    ({"about": []}, "about must be an object"),
])  # fmt: skip
def test_a_config_that_cannot_be(folder: Path, change: dict[str, Any], sentence: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ReslabError) as error:
        read_config(folder)
    assert str(error.value).startswith(str(folder / "config.json"))
    assert sentence in str(error.value)


def test_a_config_is_read_as_it_was_written(tmp_path: Path) -> None:
    port = Port(name="images", dtype="uint8", shape=(None, 4, 4, 3))
    config = Config(kind="images", engine="onnx", precision="int8", name="é", word="timm:x", files=("model.onnx",),
                    inputs=(port,), outputs=(), license="MIT", about={"classes": ["a"]},
                    versions={"onnx": "1"})  # fmt: skip
    write_config(tmp_path, config)
    assert read_config(tmp_path) == config
    with pytest.raises(UsageError, match=r"gone is no exported folder: it has no config\.json"):
        read_config(tmp_path / "gone")
