"""Works that measure what the first paper and the notes claim: on toys whose answers are known."""

import json
import math
from pathlib import Path

import pytest
import torch

from reslab.errors import UsageError
from reslab.progress import silent
from reslab.study.claims.experiments import by_depth
from reslab.study.grid import Found
from reslab.study.work import drops, field, identity, jacobian, opened, padded

DATA = {"word": "digits", "options": {}, "fingerprint": "f"}
SMALL = {"options": {"widths": [4, 8, 16]}, "data": DATA, "seed": 900}


def logged(folder: Path, losses: list[float]) -> list[Path]:
    """The folder of a training whose log has a line every 10 iterations."""
    (folder / "run").mkdir()
    lines = [json.dumps({"event": "train", "iteration": 10 * i, "loss": loss}) for i, loss in enumerate(losses, 1)]
    (folder / "run" / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return [folder]


def test_a_drop_is_found_where_it_is_and_a_bend_is_none(tmp_path):
    wobble = [0.01 * (-1) ** i for i in range(40)]
    heights = [1 / (1 + i) + w - (0.5 if i >= 20 else 0) for i, w in enumerate(wobble)]  # bends, then drops at line 20
    needs = logged(tmp_path, [10**h for h in heights])
    found = drops.work(tmp_path, {"places": [0.5, 0.75]}, needs, device="cpu", progress=silent)
    assert found["drops"] == [200]  # the end of line 19, after which the loss is lower
    assert (found["share"], found["found"]) == (1.0, 0.5)
    assert (
        found["chance"] == 6 / 35
    )  # of the places with three lines on each side, three are near each drop of the rate
    assert found["lead"] > 5
    assert found["first"] == found["down"][0] > 5
    assert found["down"][1] < 1  # nothing happens at the second place
    missed = drops.work(tmp_path, {"places": [0.3]}, needs, device="cpu", progress=silent)
    assert (missed["share"], missed["found"]) == (0.0, 0.0)
    assert missed["lead"] < -5


def test_a_curve_without_drops_has_none(tmp_path):
    needs = logged(tmp_path, [math.exp(-0.1 * i) * (1 + 0.02 * (-1) ** i) for i in range(40)])
    found = drops.work(tmp_path, {"places": [0.5]}, needs, device="cpu", progress=silent)
    assert found["drops"] == []
    assert found["share"] == 0


def test_zero_padded_channels_are_those_without_a_skip():
    zeros = padded.work(Path(), {**SMALL, "net": "resnet8"}, [], device="cpu", progress=silent)
    assert zeros["zeros"]
    assert len(zeros["new"]) == len(zeros["carried"]) == 2
    projected = padded.work(Path(), {**SMALL, "net": "resnet8", "options": {"widths": [4, 8, 16], "shortcut": "B"}},
                            [], device="cpu", progress=silent)  # fmt: skip
    assert not projected["zeros"]
    with pytest.raises(UsageError, match="no residual block that doubles"):
        padded.work(Path(), {**SMALL, "net": "plain8"}, [], device="cpu", progress=silent)


def test_a_blocks_derivative_is_its_branchs_plus_one():
    settings = {**SMALL, "net": "resnet8"}
    found = jacobian.work(Path(), settings, [], device="cpu", progress=silent)
    assert len(found["differences"]) == 1  # the other two blocks change the shape
    assert found["difference"] < 1e-12
    without = jacobian.work(Path(), {**settings, "net": "plain8"}, [], device="cpu", progress=silent)
    assert without["difference"] == pytest.approx(1, abs=1e-12)  # the identity that is not there


def test_the_square_that_holds_a_share():
    squares = torch.zeros(9, 9)
    squares[4, 4], squares[4, 2], squares[4, 6] = 6.0, 2.0, 2.0
    held = field.within(squares.double())
    assert held[:3] == pytest.approx([0.6, 0.6, 1.0])
    assert field.width_of(held, 0.6) == 1.0
    assert field.width_of(held, 0.8) == pytest.approx(4.0)  # half way from radius 1 to 2


def test_the_effective_field_lies_in_the_theoretical_one():
    found = field.work(Path(), {**SMALL, "net": "resnet8", "canvases": 1}, [], device="cpu", progress=silent)
    assert found["theoretical"] == 3 + 2 * 2 + (2 + 4) + (4 + 8)
    assert 1 < found["side"] < found["theoretical"]
    assert found["profile"][-1] == pytest.approx(1)


def test_a_mosaic_is_made_of_the_images():
    images = torch.arange(2)[:, None, None, None].expand(2, 1, 2, 2).float()
    made = field.mosaic(images, 5, random=torch.Generator().manual_seed(0))
    assert made.shape == (1, 1, 5, 5)
    assert (made[0, 0, 0:2, 2:4] == made[0, 0, 0, 2]).all()  # one image, whole


def test_both_stacks_hold_the_identity():
    """W = I in the plain stack, W2 = 0 in the residual one: no error for inputs that are not negative."""
    random = torch.Generator().manual_seed(0)
    x = identity.samples("linear", 5, random=random)
    plain, residual = (identity.stack("linear", 4, residual=one, norm=False, random=random) for one in (False, True))
    assert identity.relative(residual(x), x) > 0.01
    with torch.no_grad():
        for name, weight in plain.named_parameters():
            if "weight" in name:
                weight.copy_(torch.eye(len(weight)))
        for name, weight in residual.named_parameters():
            if "branch.2" in name:
                weight.zero_()
        assert identity.relative(plain(x), x) == identity.relative(residual(x), x) == 0


def test_a_fit_of_the_identity_takes_the_best_rate():
    settings = {"kind": "linear", "depth": 2, "residual": True, "steps": 20, "rates": [1e-4, 0.1], "seed": 900}
    found = identity.work(Path(), settings, [], device="cpu", progress=silent)
    assert found["rate"] == 0.1
    assert found["loss"] == min(found["losses"])
    plain = identity.work(Path(), {**settings, "residual": False}, [], device="cpu", progress=silent)
    assert found["loss"] < plain["loss"] < 1.0
    assert found == identity.work(Path(), settings, [], device="cpu", progress=silent)
    with pytest.raises(UsageError, match="even number from 2"):
        identity.work(Path(), {**settings, "depth": 3}, [], device="cpu", progress=silent)


def test_a_fit_that_diverges_has_no_loss():
    settings = {"kind": "conv", "depth": 2, "residual": True, "norm": False, "steps": 20, "rates": [1e30], "seed": 900}
    found = identity.work(Path(), settings, [], device="cpu", progress=silent)
    assert found["losses"] == [None]
    assert found["loss"] == 1.0
    assert found["diverged"] == 1


def test_by_depth_takes_the_depth_that_speaks_least_for_the_claim():
    settings = {
        "model": {"work": "identity", "data": "none"}, "depths": [2, 4], "metric": "loss", "scale": "decades",
        "a": {"residual": False, "label": "plain"}, "b": {"residual": True, "label": "residual"}, "axis": "loss",
    }  # fmt: skip
    cells = by_depth.cells(settings, [0])
    assert [one.settings["depth"] for arm in cells.values() for one in arm] == [2, 4, 2, 4]
    losses = {"plain, 2 layers": 1.0, "plain, 4 layers": 0.1, "residual, 2 layers": 0.01, "residual, 4 layers": 0.01}
    found = {name: [Found(folder=Path(), values={"loss": losses[name]}, seconds=0)] for name in cells}
    for effect, value in (("least", 1.0), ("greatest", 2.0), ("growth", -1.0)):
        measured = by_depth.measure({**settings, "effect": effect}, [0], found)
        assert measured.effects == pytest.approx([value])
    assert measured.figure.series[1].y == [0.01, 0.01]
    alone = by_depth.measure({**settings, "effect": "greatest of a", "scale": "difference"}, [0], found)
    assert alone.effects == [1.0]


def test_images_of_a_new_net_are_those_of_the_cell():
    subject = opened.opened({**SMALL, "net": "resnet8", "samples": 3}, [], device="cpu")
    assert subject.batches[0][0].shape == (3, 1, 8, 8)
