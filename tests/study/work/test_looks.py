"""Works that look inside a net, on nets whose numbers are known beforehand."""

import math
from pathlib import Path
from typing import Any

import pytest

from reslab.images.data import load
from reslab.progress import silent
from reslab.run import Run
from reslab.study.grid import run
from reslab.study.grid.cell import cell
from reslab.study.grid.works import WORKS
from reslab.study.work import paths

DATA = {"word": "digits", "options": {}, "fingerprint": ""}
SMALL = {"widths": [4, 4, 4], "stages": [2, 2, 2]}
LOOKS = ("responses", "gradients", "lesions", "paths", "lengths", "influence", "readout")


def look(work: str, **settings: Any) -> dict[str, Any]:
    """What a work finds in a new net, without residual branches if `still`."""
    options = {**SMALL, **settings.pop("options", {})}
    asked = {"net": "resnet20", "data": DATA, "seed": 900, "samples": 10, **settings, "options": options}
    found: dict[str, Any] = WORKS[work].load().work(Path(), asked, [], device="cpu", progress=silent)
    return found


STILL = {"zero_last_norm": True}  # every block begins as its shortcut


def test_blocks_that_do_nothing_can_be_disabled_and_reordered():
    found = look("lesions", options=STILL, most=3, repeats=2, swaps=[1])
    assert found["rises"] == [0] * 6
    assert found["same"] == found["changing"] == 0
    assert found["harmless"] == 100
    assert found["ks"] == [0, 1, 2, 3]
    assert found["errors"] == [found["intact"]] * 4
    assert found["swapped"] == [found["intact"]] * 2
    # A stage has two blocks, so that a swap reverses one of the 15 pairs of six blocks.
    assert found["shuffles"] == pytest.approx([1 / 15] * 2)
    assert found["chance_gap"] == pytest.approx(90 - found["intact"])


def test_layers_of_a_plain_net_are_skipped_instead():
    found = look("lesions", net="plain20", most=2, repeats=1)
    # Of 13 layers the stem changes the channels, and the first of two stages the size.
    assert len(found["rises"]) == 10
    assert found["changing"] is None
    # All keep the shape: the one that is missed least leaves the least error.
    assert found["chance_gap"] == pytest.approx(90 - found["intact"] - min(found["rises"]))
    assert found["harmless"] == pytest.approx(10 * sum(rise < 2 for rise in found["rises"]))
    assert found["ks"] == [0, 1, 2]


def test_blocks_that_do_nothing_read_out_alike():
    found = look("readout", options=STILL)
    assert found["errors"] == [found["errors"][0]] * 7
    assert found["last_blocks"] == [5, 6]


def test_stages_of_a_net():
    found = look("influence")
    assert len(found["influence"]) == 6
    assert found["first"] == [found["influence"][i] for i in (0, 2, 4)]
    assert found["later"] == [found["influence"][i] for i in (1, 3, 5)]
    ratios = [math.log10(a / b) for a, b in zip(found["later"], found["first"], strict=True)]
    assert found["refining"] == pytest.approx(sum(ratios) / 3)
    assert found["last_third"] == pytest.approx(sum(found["descent"][4:]) / 2)


def test_paths_of_a_net_that_can_do_nothing():
    found = look("paths", options=STILL, samples=2, paths=1)
    assert found["known"] == [0]  # only the path around all blocks has a gradient
    assert found["exact"][1:] == [0] * 6
    assert found["reach_estimate"] == found["reach_exact"] == 0


def test_reach_of_lengths():
    assert paths.reach([0, 1, 0, 0]) == pytest.approx(0.95)  # the whole weight fills the unit up to length 1
    assert paths.reach([1, 1, 1, 1]) == pytest.approx(
        3 - 0.2
    )  # 3.8 of 4 weights: three whole, 0.8 of the unit before 3
    assert paths.reach([0, 0]) == 0


def test_path_lengths_are_binomial():
    found = look("lengths", options={"stages": [3, 3, 3]})
    assert found["off"] == 0
    assert found["share"][:3] == [1 / 512, 9 / 512, 36 / 512]
    plain = look("lengths", net="plain20", options={"stages": [1, 1, 1]})
    assert plain["share"] == [0, 0, 0, 1]
    assert plain["off"] == 1 - 1 / 8


def test_batch_norm_hides_the_scale_of_the_weights():
    one, two = (look("gradients", net="plain20", gain=gain, wide=True) for gain in (1.0, 2.0))
    assert two["activation_change"] == pytest.approx(one["activation_change"], abs=1e-3)
    bare, doubled = (
        look("gradients", net="plain20", gain=gain, wide=True, options={"norm": False}) for gain in (1.0, 2.0)
    )
    # Of 13 convolutions, 12 lie between the first signal and the last, and each is doubled.
    assert doubled["signal_change"] - bare["signal_change"] == pytest.approx(12 * math.log10(2))
    assert len(bare["layers"]) == 13


def test_enlarged_images_give_larger_maps():
    assert look("gradients", side=16)["layers"] == look("gradients")["layers"]


def test_norms_along_a_training(tmp_path):
    folder = Run(tmp_path / "run")
    folder.make()
    layers = ["stem.conv", "stages.0.0.branch.conv1", "stages.1.0.shortcut.conv", "head"]
    for iteration, norms in ((1, [100.0, 1.0, 7.0, 5.0]), (100, [10.0, 1.0, 7.0, 5.0]), (200, [1.0, 10.0, 7.0, 5.0])):
        folder.log(event="gradients", iteration=iteration, gradients=norms, weights=norms,
                   **({"layers": layers} if iteration == 1 else {}))  # fmt: skip
    found = WORKS["norms"].load().work(tmp_path, {}, [tmp_path], device="cpu", progress=silent)
    assert found["iterations"] == [1, 100, 200]
    assert found["decades"] == pytest.approx([2, 1, -1])  # the first convolution over the last before the head
    assert found["worst"] == pytest.approx(1)  # of those after the first iteration; signs do not cancel


def test_a_look_at_a_trained_net_sees_what_was_trained(tmp_path):
    data = {**DATA, "fingerprint": load("digits").fingerprint}
    made = {"net": "resnet20", "options": SMALL}
    trained = cell("train", {**made, "recipe": "digits", "changes": {"iterations": 2}, "data": data, "seed": 900})
    seen = cell("lesions", {**made, "data": data, "seed": 900, "samples": 1000}, trained)
    found = run([seen], tmp_path, device="cpu")
    assert found[seen].values["intact"] == pytest.approx(found[trained].values["test_error"])


def test_a_training_that_diverges_counts_as_guessing(tmp_path):
    data = {**DATA, "fingerprint": load("digits").fingerprint}
    settings = {"net": "plain20", "options": {**SMALL, "norm": False}, "recipe": "digits",
                "changes": {"iterations": 4, "lr": 1e30}, "data": data, "seed": 900}  # fmt: skip
    found = WORKS["train"].load().work(tmp_path, settings, [], device="cpu", progress=silent)
    assert found["diverged"]
    assert found["train_error"] == found["test_error"] == 90  # ten classes
    assert found["test_loss"] == pytest.approx(math.log(10))


@pytest.mark.parametrize("name", LOOKS)
def test_costs(name: str):
    settings = {"net": "resnet20", "options": SMALL, "data": DATA, "seed": 900}
    few, many = (WORKS[name].load().cost({**settings, "samples": n}) for n in (10, 1000))
    assert 0 < few <= many
