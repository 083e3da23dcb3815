"""reslab doctor, the part about exporting: known pairs, what packages ask for, imports and exports that are tried."""

import json
from importlib import metadata
from pathlib import Path

import pytest

from reslab.cli import doctor_ship, main
from reslab.cli.doctor_ship import imported, numbers, operators, reads_ir_10, same_release, table, tried, unmet


def test_versions_are_numbers() -> None:
    assert numbers("2.13.0+cpu") == (2, 13, 0)
    assert numbers("2026.4") == (2026, 4)
    assert numbers("3") == (3, 0)
    assert numbers("2.14.0.dev20240528") == (2, 14, 0)


@pytest.mark.parametrize(
    ("nncf", "openvino"), [((2, 15), (2025, 0)), ((2, 19), (2025, 4)), ((3, 0), (2026, 0)), ((3, 4, 0), (2026, 4, 1))]
)
def test_an_nncf_belongs_to_the_openvino_of_its_release(nncf: tuple[int, ...], openvino: tuple[int, ...]) -> None:
    assert same_release(nncf, openvino) == ""
    assert same_release(nncf, (2024, 6)) == (
        f"nncf {nncf[0]}.{nncf[1]} was released with openvino {openvino[0]}.{openvino[1]}, not with 2024.6"
    )


def test_pairs_that_cannot_work_are_told() -> None:
    assert operators((2026, 4), (2, 7)) == "torch 2.7 cannot trace a model with any batch size: 2.8 or newer can"
    assert "does not know this torch" in operators((2024, 6), (2, 13))
    assert reads_ir_10((1, 17), (2, 13)) == "onnxruntime 1.17 cannot read what torch writes: 1.18 can"
    assert reads_ir_10((1, 18), (2, 13)) == ""


def test_missing_packages_are_named_with_what_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_ship, "installed", lambda name: {"torch": "2.13.0", "openvino": "2026.4.1"}.get(name))
    monkeypatch.setattr(doctor_ship, "unmet", lambda names: iter(()))
    rows, notes, faults = table()
    assert [row[0] for row in rows] == ["openvino + torch"]
    assert "nncf is missing, which int8 needs: pip install 'reslab[ship]'" in notes
    assert len(notes) == 4
    assert faults == []


def test_what_a_package_asks_for_is_compared_with_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("packaging")
    asked = ["numpy<1.0,>=0.5", "pillow>=1", "no-such-package>=2; python_version >= '3'", "other; extra == 'plots'"]
    monkeypatch.setattr(metadata, "requires", lambda name: asked)
    numpy = metadata.version("numpy")
    found = [line.partition(" wants ")[2] for line in unmet(iter(["torch"]))]
    assert found == [
        f"numpy<1.0,>=0.5, but {numpy} is installed: pip install 'numpy<1.0,>=0.5'",
        "no-such-package, which is not installed: pip install 'no-such-package>=2; python_version >= \"3\"'",
    ]


def test_an_import_that_fails_or_ends_python_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fails_here.py").write_text("raise ImportError('libfoo.so.3: not found')")
    (tmp_path / "ends_here.py").write_text("import os; os._exit(139)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert imported(["fails_here", "ends_here", "json"]) == {
        "fails_here": "libfoo.so.3: not found", "ends_here": "importing it ends Python (exit code 139)", "json": "",
    }  # fmt: skip


def test_doctor_prints_the_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino")
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"pair": "openvino + torch", "verdict": "fits"}.items() <= found["export"][0].items()
    assert found["tried"] == {}


@pytest.mark.slow
def test_a_tiny_net_is_exported_in_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    for name in doctor_ship.PACKAGES:
        pytest.importorskip(name)
    assert main(["doctor", "--export"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for to in ("openvino fp32", "openvino int8", "onnx fp32", "onnx int8"):
        assert f"export a tiny net: {to}: works" in lines


@pytest.mark.slow
def test_an_export_that_fails_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_ship, "EXPORTS", (("openvino", "fp16", ()),))
    monkeypatch.setattr(doctor_ship, "installed", lambda name: None)
    assert list(tried()) == [
        ("export a tiny net: openvino fp16",
         "UsageError: openvino has no fp16 here: precision is auto, fp32 or bf16 or int8"),
    ]  # fmt: skip
