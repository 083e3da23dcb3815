"""Proof or no file: what agrees, what does not, and which layer it is; a small net for digits."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from exports import Digits, Net, trained

from reslab.errors import ReslabError
from reslab.ship.export import job
from reslab.ship.export.compared import agreeing, agreement, apart, scored
from reslab.ship.export.job import export
from reslab.ship.export.passes import run, taken
from reslab.ship.export.proof import NotEqual, alone, equal
from reslab.ship.export.results import Agreement
from reslab.ship.record import Config

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def net() -> Net:
    return trained(60)


@pytest.fixture
def planted(net: Net, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """planted("second"): the file that is written has another bias in that layer than the model."""

    def plant(layer: str) -> None:
        bad, convert = copy.deepcopy(net), job.convert
        with torch.no_grad():
            getattr(bad, layer).bias[3] += 3
        monkeypatch.setattr(job, "convert", lambda graph, *rest: convert(replace(graph, module=bad), *rest))

    return plant


@pytest.mark.parametrize(
    ("to", "layer", "kind"),
    [
        ("openvino", "second", "Conv2d"),
        ("torch", "second", "Conv2d"),
        pytest.param("openvino", "last", "Linear", marks=pytest.mark.slow),
        pytest.param("onnx", "second", "Conv2d", marks=pytest.mark.slow),
        pytest.param("onnx", "last", "Linear", marks=pytest.mark.slow),
    ],
)
def test_a_wrong_bias_in_the_file_is_found_and_no_file_is_left(
    net: Net, planted: Callable[[str], None], tmp_path: Path, to: str, layer: str, kind: str
) -> None:
    planted(layer)
    with pytest.raises(NotEqual) as caught:
        export(Digits(net=net), out=tmp_path / "out", to=to, precision="fp32")
    found = caught.value
    assert found.layers[0].name == layer
    assert found.layers[0].difference == pytest.approx(3, abs=1e-3)  # the bias that was planted
    assert f"the first layer that differs is {layer} ({kind}): by 3" in str(found)
    assert "of 597 decisions differ" in str(found)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_wrong_folding_is_not_blamed_on_the_file(net: Net, tmp_path: Path) -> None:
    bad = copy.deepcopy(net)
    with torch.no_grad():
        bad.last.bias[0] += 5
    with pytest.raises(NotEqual, match="no layer of the file differs from the folded model"):
        export(Digits(net=net, exported=bad), out=tmp_path / "out", precision="fp32")
    assert list(tmp_path.iterdir()) == []


class Fixed:
    """An engine that gives what it is told, and notes how many examples it was given at a time."""

    device = "CPU"

    def __init__(self, scores: np.ndarray) -> None:
        self.scores, self.sizes = scores, list[int]()

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.sizes.append(len(inputs["images"]))
        return {"scores": self.scores[inputs["images"][:, 0, 0, 0].astype(int)]}


def test_batches_have_exactly_the_size_and_outputs_their_order() -> None:
    engine = Fixed(np.arange(20.0).reshape(10, 2))
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    examples = Digits(net=Net()).proof(1)[0]
    found = run([engine], [replace(examples, inputs={"images": images})], 7, progress=lambda *_: None, note="")
    assert engine.sizes == [7, 7]
    assert (found[0]["scores"] == engine.scores).all()
    assert taken({"images": images}, 7, 7)["images"].ravel().tolist() == [7, 8, 9, 0, 1, 2, 3]


def test_a_tie_is_no_disagreement_and_anything_larger_is_one() -> None:
    subject = Digits(net=Net())
    before = [{"scores": np.array([[1.0, 1.00001], [1.0, 1.1], [3.0, 0.0]])}]
    after = [{"scores": np.array([[1.00001, 1.0], [1.1, 1.0], [3.0, 0.0]])}]
    found = agreement(subject, before, after, 1)
    assert (found.n, found.same, found.ties) == (3, 1, 1)
    assert found.differences["scores"] == pytest.approx(0.1)
    assert found.share == pytest.approx(2 / 3)


def test_what_was_not_run_is_not_counted() -> None:
    before = [{"scores": np.eye(4)}]
    found = agreement(Digits(net=Net()), before, [{"scores": np.eye(4)[:3][:, [1, 0, 2, 3]]}], 1)
    assert (found.n, found.same) == (3, 1)


def test_numbers_agree_within_a_thousandth() -> None:
    said = np.array([[100.0], [0.0], [50.0]])
    now = np.array([[100.09], [0.01], [50.2]])  # 0.09 of 100; 0.01 of the spread of 41; 0.2 of 50
    assert agreeing(said, now).tolist() == [True, True, False]


def test_an_infinity_on_one_side_alone_is_an_infinite_difference() -> None:
    one, other = np.array([np.inf, np.nan, np.inf, 1.0]), np.array([np.inf, np.nan, 2.0, np.nan])
    assert apart(one, other).tolist() == [0, 0, np.inf, np.inf]


def test_the_drop_is_that_of_the_same_examples() -> None:
    """100 examples: 90 right before; afterwards 3 of them wrong and 1 of the others right."""
    subject, examples = Digits(net=Net()), Digits(net=Net()).proof(100)
    right = np.array(examples[0].targets)
    said = np.where(np.arange(100) < 90, right, (right + 1) % 10)
    now = np.where(np.arange(100) < 87, right, (right + 1) % 10)
    now[95] = right[95]
    before, after = ([{"scores": np.eye(10)[one]}] for one in (said, now))
    score = scored(subject, examples, before, after)
    assert score is not None
    assert (score.before, score.after, score.drop) == pytest.approx((90, 88, 2))
    assert score.drop_low < 0 < 2 < score.drop_high  # 3 against 1: the sign test shows nothing


@pytest.mark.slow
def test_a_file_that_fails_for_a_batch_is_no_export(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example of one would be specialized to one: here the file takes two at a time alone."""
    convert = job.convert
    fixed = lambda graph, *rest: convert(replace(graph, dynamic={}), *rest)  # noqa: E731
    monkeypatch.setattr(job, "convert", fixed)
    with pytest.raises(ReslabError, match="the exported model fails for a batch of 7"):
        export(Digits(net=net), out=tmp_path / "out", precision="fp32")
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_depends_on_the_rest_of_the_batch_is_refused(net: Net, tmp_path: Path) -> None:
    """All decisions agree, as the net adds the same to each class; but who else asks changes the scores."""

    class Mixing(Net):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            scores, _ = super().forward(images)
            scores = scores + images.float().mean() / 5
            return scores, scores.softmax(1)

    mixing = Mixing()
    mixing.load_state_dict(net.state_dict())
    with pytest.raises(
        NotEqual, match=r"changes with the others in its batch, or by chance: scores differ by up to"
    ) as found:
        export(Digits(net=mixing.eval()), out=tmp_path / "out", to="torch", precision="fp32")
    assert str(found.value).endswith("are of this kind")  # no layer of the file is to blame
    assert list(tmp_path.iterdir()) == []


def test_rounding_between_batches_is_no_dependence() -> None:
    scores = np.array([[100.0, 0.0], [-3.0, 2.0]])
    alone(2, [{"scores": scores}], [{"scores": scores[:1] + 0.05}])  # a thousandth of 100 is allowed
    with pytest.raises(NotEqual, match=r"differ by up to 0\.2 \(of 100\) between batches of 7 and 2"):
        alone(2, [{"scores": scores}], [{"scores": scores + np.array([[0.0, 0.2]])}])


def test_outputs_that_are_not_finite_are_named_as_such() -> None:
    before, after = ([{"scores": np.array([[2.0, one], [0.0, 1.0]])}] for one in (np.inf, -np.inf))
    found = Agreement(batch=7, n=2, same=2, ties=0, differences={"scores": np.inf})
    with pytest.raises(NotEqual, match="are not finite numbers for 1 of 2 examples"):
        equal(Config.__new__(Config), "digits", found, before, after)
