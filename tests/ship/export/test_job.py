"""The whole export of a small net: what is in the folder, what takes whose place, what is left after a failure."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import Digits, Net, trained

from reslab.errors import ReslabError, UsageError
from reslab.ship.engines import engine
from reslab.ship.export import staging
from reslab.ship.export.job import UNKNOWN, export
from reslab.ship.export.results import Exported
from reslab.ship.export.staging import Terminated, staged
from reslab.ship.folder import is_exported, read_config, verify, write_config
from reslab.ship.record import Config
from reslab.stored import ships
from reslab.stored.read import read_json

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def net() -> Net:
    return trained(60)


@pytest.fixture(scope="module")
def made(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(Digits(net=net, random=True), out=tmp_path_factory.mktemp("job") / "out", license="MIT")


def test_the_folder_is_whole(made: Exported) -> None:
    names = {path.name for path in made.folder.iterdir()}
    assert names == {"config.json", "checksums.json", "README.md", "LICENSE", "proof.json", "model.xml", "model.bin",
                     "beside.txt"}  # fmt: skip
    assert is_exported(made.folder)
    version = verify(made.folder)
    assert len(version) == 64
    assert (made.folder / "LICENSE").read_text() == "License of the weights: MIT\n"
    assert read_config(made.folder) == made.config
    assert made.folder.stat().st_mode & 0o777 == 0o777 & ~staging.UMASK


def test_the_config_says_what_goes_in_and_comes_out(made: Exported) -> None:
    config = made.config
    assert [(one.name, one.dtype, one.shape) for one in config.inputs] == [("images", "uint8", (None, 8, 8, 1))]
    assert [(one.name, one.shape) for one in config.outputs] == [("scores", (None, 10)), ("probabilities", (None, 10))]
    assert (config.word, config.license, config.precision) == ("runs/digits", "MIT", "fp32")
    assert {"reslab", "torch", "openvino"} <= set(config.versions)


def test_the_proof_is_stored_with_its_type(made: Exported) -> None:
    found = read_json(made.folder / "proof.json", ships.Proof)
    first = found["proofs"][0]
    assert [one["batch"] for one in first["agreements"]] == [1, 2, 7]
    assert all(one["n"] == 300 and one["share"] == 1 for one in first["agreements"])
    assert first["random"] is True
    assert first["score"] is None
    assert max(one["differences"]["scores"] for one in first["agreements"]) < 1e-3


def test_without_data_it_stays_fp32_and_the_card_says_why(made: Exported) -> None:
    card = (made.folder / "README.md").read_text()
    assert "fp32 was chosen without trying others: there are no labeled data to check them on" in made.notes
    assert "on random inputs, as there were no data: its score is not known" in card
    assert "Not known: there were no labeled data to measure it on." in card
    assert "- pixels are 0 to 16" in card
    assert "License of the weights: MIT" in card


def test_the_card_gives_the_numbers_of_the_proof(made: Exported) -> None:
    card = (made.folder / "README.md").read_text().splitlines()
    for one in made.proof.agreements:
        gaps = ", ".join(f"{name} {gap:.2g}" for name, gap in one.differences.items())
        assert f"| {one.batch} | 300 | {one.same} (100.00 %) | {one.ties} | {gaps} |" in card
    for speed in made.speeds:
        assert any(line.startswith(f"| fp32 | {speed.batch} | {speed.per_second:,.1f} | ") for line in card)


def test_an_export_of_the_same_model_is_replaced_and_a_loaded_one_goes_on(
    made: Exported, net: Net, tmp_path: Path
) -> None:
    """The folder changes place at once: whoever has it open keeps the old files."""
    out = tmp_path / "out"
    with staged(out, kind="images", name="digits") as folder:
        for path in made.folder.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    first, model = verify(out), engine(out, read_config(out))
    images = Digits(net=net).proof(3)[0].inputs
    before = model.run(images)["scores"]
    with staged(out, kind="images", name="digits") as folder:
        for path in made.folder.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / "README.md").write_text("another card")
    assert (out / "README.md").read_text() == "another card"
    assert (model.run(images)["scores"] == before).all()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(ReslabError, match="was changed or damaged"):
        verify(out)
    assert len(first) == 64


@pytest.mark.parametrize("swap", [True, False])
def test_a_folder_takes_the_place_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: bool) -> None:
    """With the system's swap, and without it."""
    if not swap:
        monkeypatch.setattr(staging, "swapped", lambda one, other: False)
    mark(tmp_path / "out", "old")
    with staged(tmp_path / "out", kind="images", name="digits") as folder:
        assert folder.parent == tmp_path
        (folder / "new").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    mark(tmp_path / "v1", "old")
    (tmp_path / "live").symlink_to("v1")
    with staged(tmp_path / "live", kind="images", name="digits") as folder:
        (folder / "new").touch()
    assert (tmp_path / "live").is_symlink()
    assert [path.name for path in (tmp_path / "v1").iterdir()] == ["new"]


def mark(folder: Path, license: str, *, name: str = "digits") -> None:
    """A folder that says that it is an export."""
    folder.mkdir(parents=True)
    write_config(folder, Config(kind="images", engine="openvino", precision="fp32", name=name, word=name, files=("m",),
                                inputs=(), outputs=(), license=license))  # fmt: skip


def other_model(out: Path) -> None:
    mark(out, "MIT", name="cats")


def other_files(out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")


def one_file(out: Path) -> None:
    out.write_text("years of work")


@pytest.mark.parametrize(
    ("there", "said"),
    [(other_model, r"holds another model, cats \(images\); choose another folder"),
     (other_files, r"is not empty and no exported folder; choose another folder"),
     (one_file, r"is a file; choose another folder")],
)  # fmt: skip
def test_what_is_no_export_of_this_model_is_not_touched(net: Net, tmp_path: Path, there: Any, said: str) -> None:
    there(tmp_path / "out")
    before = sorted((path, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file())
    with pytest.raises(UsageError, match=said):
        export(Digits(net=net), out=tmp_path / "out")
    assert sorted((path, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()) == before


class Stopping(Digits):
    """Something happens in the middle of the work."""

    happens: Any = None

    def reference(self, which: int, inputs: Any) -> dict[str, np.ndarray]:
        self.happens()
        return super().reference(which, inputs)


def ctrl_c() -> None:
    raise KeyboardInterrupt


def sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_is_not_taken_for_a_precision_that_failed(
    net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`auto` goes on without a precision that cannot be made, but not after it was asked to stop."""
    monkeypatch.setattr("reslab.ship.export.precision.Maker.made", lambda *rest: sigterm())
    with pytest.raises(Terminated) as caught:
        export(Digits(net=net), out=tmp_path / "out")
    assert caught.value.exit_code == 143
    assert list(tmp_path.iterdir()) == []


def broken() -> None:
    raise RuntimeError("a family's mistake")


@pytest.mark.parametrize(
    ("happens", "error"), [(ctrl_c, KeyboardInterrupt), (sigterm, Terminated), (broken, RuntimeError)]
)
def test_whatever_happens_nothing_half_made_stays(net: Net, tmp_path: Path, happens: Any, error: Any) -> None:
    mark(tmp_path / "out", "MIT")
    subject, before = Stopping(net=net), signal.getsignal(signal.SIGTERM)
    subject.happens = happens
    with pytest.raises(error):
        export(subject, out=tmp_path / "out", precision="fp32")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["license"] == "MIT"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"to": "tflite"}, "models are exported to openvino, onnx, torch, not to 'tflite'"),
     ({"precision": "fp16"}, "openvino has no fp16 here"),
     ({"max_drop": -1}, "max_drop must be between 0 and 100 percentage points, got -1"),
     ({"samples": 0}, "samples must be 1 or more, got 0"),
     ({"threads": -2}, "threads must be 0 or more, got -2")],
)  # fmt: skip
def test_a_wrong_request_is_refused_at_once(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        export("no/such/model", out=tmp_path / "out", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_license_that_nobody_gave_is_not_made_up() -> None:
    assert "not stated" in UNKNOWN
