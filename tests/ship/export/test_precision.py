"""int8 and bf16 of a small net for digits: really quantized, its score measured, refused if it costs too much."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from exports import Digits, Net, trained

from reslab.errors import ReslabError, UsageError
from reslab.ship.engines import engine
from reslab.ship.export.int8 import failing
from reslab.ship.export.job import export
from reslab.ship.export.proof import NotEqual, within
from reslab.ship.export.results import Exported, Score, Speed
from reslab.ship.export.speed import fastest
from reslab.ship.folder import read_config

ov = pytest.importorskip("openvino")
pytest.importorskip("nncf")


@pytest.fixture(scope="module")
def net() -> Net:
    return trained()


@pytest.fixture(scope="module")
def int8(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """What `auto` makes if int8 is the fastest, whatever this machine says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reslab.ship.export.job.fastest", lambda speeds, among: "int8")
        return export(Digits(net=net), out=tmp_path_factory.mktemp("int8") / "out", max_drop=2)


def operations(folder: Path) -> list[str]:
    return [op.get_type_name() for op in ov.Core().read_model(folder / "model.xml").get_ordered_ops()]


def test_auto_measures_all_three_at_both_batches(int8: Exported) -> None:
    assert {one.precision for one in (int8.proof, *int8.tried)} | set(int8.refused) == {"fp32", "bf16", "int8"}
    timed = {(one.precision, one.batch) for one in int8.speeds}
    assert timed >= {("fp32", 1), ("fp32", 8), ("int8", 1), ("int8", 8)}
    assert all(one.low <= one.per_second <= one.high and one.n >= 7 for one in int8.speeds)


def test_int8_is_in_the_file(int8: Exported) -> None:
    kinds = operations(int8.folder)
    model = ov.Core().read_model(int8.folder / "model.xml")
    weights = {tuple(op.get_output_shape(0)): op.get_element_type().get_type_name() for op in model.get_ordered_ops()
               if op.get_type_name() == "Constant"}  # fmt: skip
    assert weights[12, 12, 3, 3] == "i8"
    assert kinds.count("FakeQuantize") >= 2
    assert (int8.proof.int8_layers, int8.proof.put_back) == (2, 0)  # the first takes one channel: left by NNCF
    assert not (int8.folder / ".int8").exists()


def test_the_score_of_int8_is_what_its_file_gives(int8: Exported, net: Net) -> None:
    """Counted again by hand from the folder."""
    subject = Digits(net=net)
    examples = subject.proof(1000)
    model = engine(int8.folder, read_config(int8.folder))
    said = model.run(examples[0].inputs)["scores"].argmax(1)
    assert int8.proof.score is not None
    assert int8.proof.score.after == pytest.approx(100 * (said == examples[0].targets).mean())
    with torch.no_grad():
        first = net(torch.from_numpy(examples[0].inputs["images"]))[0].argmax(1).numpy()
    assert int8.proof.score.before == pytest.approx(100 * (first == examples[0].targets).mean())
    assert int8.proof.agreements[0].same == (said == first).sum()


def clipped(net: Net) -> Net:
    """The same function, hard to quantize: one channel is a thousand times as large as the others."""
    found = copy.deepcopy(net)
    with torch.no_grad():
        found.first.weight[0] *= 1000
        found.first.bias[0] *= 1000
        found.second.weight[:, 0] /= 1000
        found.second.weight[0] *= 1000  # the branch joins the shortcut in this channel
        found.second.bias[0] *= 1000
        found.last.weight.view(10, 12, 16)[:, 0] /= 1000
    return found


@pytest.mark.slow
@pytest.mark.parametrize("to", ["openvino", "onnx"])
def test_layers_that_int8_hurts_are_put_back(net: Net, tmp_path: Path, to: str) -> None:
    found = export(Digits(net=clipped(net)), out=tmp_path / "out", precision="int8", max_drop=0.5, to=to)
    assert found.proof.score is not None
    assert found.proof.put_back >= 1
    assert found.proof.score.drop <= 0.5
    assert "were put back" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.slow
def test_what_costs_too_much_is_refused(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a way back, the drop is above what is allowed: no folder, and the layers are named."""
    monkeypatch.setattr("reslab.ship.export.precision.Maker.put_back", lambda *rest: None)
    said = r"int8 costs .* points of accuracy .*more than the 0 points of max_drop; the layer that differs most is"
    with pytest.raises(NotEqual, match=said) as caught:
        export(Digits(net=clipped(net)), out=tmp_path / "out", precision="int8", max_drop=0)
    assert caught.value.layers
    assert list(tmp_path.iterdir()) == []


def test_the_measured_drop_decides_and_not_its_interval() -> None:
    """2 points lost of 100 examples, interval -3 to 7: allowed for 2, refused for 1.9."""
    score = Score(unit="accuracy", n=100, before=90, before_low=82, before_high=95, after=88, after_low=80,
                  after_high=93, drop=2, drop_low=-3, drop_high=7)  # fmt: skip
    outputs = [{"scores": np.zeros((1, 2))}]
    within("int8", score, 2, outputs, outputs)
    said = r"int8 costs 2\.00 points of accuracy \(90\.00 % -> 88\.00 %, n = 100; 95 % interval .* -3\.00 to 7\.00\)"
    with pytest.raises(NotEqual, match=said):
        within("int8", score, 1.9, outputs, outputs)


@pytest.mark.slow
def test_int8_without_data_says_that_it_was_not_checked(net: Net, tmp_path: Path) -> None:
    asked = export(Digits(net=net, random=True), out=tmp_path / "int8", precision="int8")
    assert asked.proof.score is None
    assert "what int8 costs was not checked: there are no labeled data" in asked.notes
    assert "was not checked" in (asked.folder / "README.md").read_text()


def test_bf16_is_the_same_file_computed_otherwise(int8: Exported) -> None:
    if "bf16" in int8.refused:
        pytest.skip("this processor does not compute in bf16")
    found = {one.precision: one for one in (int8.proof, *int8.tried)}
    assert 0 < found["fp32"].agreements[0].differences["scores"] < 1e-3
    assert found["bf16"].agreements[0].differences["scores"] > 1e-3


@pytest.mark.parametrize(("to", "precision"), [("onnx", "bf16"), ("torch", "int8")])
def test_an_engine_without_a_precision_says_so(net: Net, tmp_path: Path, to: str, precision: str) -> None:
    with pytest.raises(UsageError, match=f"{to} has no {precision} here"):
        export(Digits(net=net), out=tmp_path / "out", to=to, precision=precision)


def test_the_fastest_must_be_clearly_faster() -> None:
    def speed(precision: str, one: float, eight: float) -> list[Speed]:
        return [Speed(precision=precision, batch=batch, per_second=rate, low=rate, high=rate, n=7)
                for batch, rate in ((1, one), (8, eight))]  # fmt: skip

    order = ["fp32", "bf16", "int8"]
    assert fastest([*speed("fp32", 100, 100), *speed("bf16", 104, 104), *speed("int8", 90, 90)], order) == "fp32"
    assert fastest([*speed("fp32", 100, 100), *speed("bf16", 100, 150), *speed("int8", 90, 90)], order) == "bf16"
    assert fastest([*speed("fp32", 100, 100), *speed("bf16", 120, 120), *speed("int8", 160, 160)], order) == "int8"


def test_nncf_cannot_fail_without_a_sentence() -> None:
    with pytest.raises(ReslabError, match=r"^NNCF cannot quantize this model: no such node$"), failing():
        raise RuntimeError("no such node\nmore lines")
