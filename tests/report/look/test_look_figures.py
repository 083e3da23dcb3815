"""Facts about the figures, and about the sentences beside them, that can be checked by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reslab.report.look import charts, depth, lesions, many, paths, signal
from reslab.report.look.folder import read_look

Facts = dict[str, Any]
MakeLook = Callable[..., Path]


def told(section: Facts | None) -> str:
    assert section is not None
    return " ".join(str(sentence) for sentence in section["found"]).replace("\u00a0", " ")


def plots(section: Facts | None) -> dict[str, list[Facts]]:
    assert section is not None
    return {figure["id"]: figure["plots"] for figure in section["figures"]}


def test_lesions_are_bars_by_stage_with_the_blocks_that_change_the_shape_marked(make_look: MakeLook) -> None:
    section = lesions.lesions([read_look(make_look())])
    plot = plots(section)["lesions-blocks"][0]
    bars, marks = plot["data"]
    assert len(bars["y"]) == 27
    assert [bars["marker"]["color"][i] for i in (0, 8, 9, 26)] == [
        "@residual0",
        "@residual0",
        "@residual2",
        "@residual4",
    ]
    assert marks["x"] == [9, 18]
    assert plot["layout"]["shapes"][0]["y0"] == pytest.approx(16.8)
    assert plot["rows"][1][:3] == [0, "stages.0.0", "identity"]
    assert "The blocks that change the shape hurt most, as in the paper: block" in told(section)


def test_a_projection_that_keeps_the_shape_is_not_marked(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((2, 2))
    for each in results["merges"]["merges"]:
        each["kind"] = "projection"  # option C: every shortcut has weights
    plot = plots(lesions.lesions([read_look(make_look("option-c", results))]))["lesions-blocks"][0]
    assert plot["data"][1]["x"] == [2]


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ((0.17, 0.2, 0.3, 0.4), "hurt more than most: block 2 (stages.1.0, 30.0 %). Ranked by harm it is 2nd of 4."),
        ((0.5, 0.4, 0.2, 0.3), "Unlike in the paper, the blocks that change the shape do not stand out: block 2"),
        ((0.2, 0.25, 0.9, 0.2), "For 1 of the 4 blocks, disabling it changes the error by at most 5 points."),
    ],
)
def test_lesions_are_told_as_they_are(
    errors: tuple[float, ...], said: str, make_look: MakeLook, net: Callable[..., Facts]
) -> None:
    results = net((2, 2))
    results["lesions"]["whole"]["error"] = 0.28
    for each, error in zip(results["lesions"]["single"], errors, strict=True):
        each["values"]["error"] = error
    assert said in told(lesions.lesions([read_look(make_look("four", results))]))


def test_a_model_that_only_guesses_has_nothing_to_lose(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((2, 2))
    results["lesions"]["whole"]["error"] = 0.87  # of ten classes
    text = told(lesions.lesions([read_look(make_look("guesses", results))]))
    assert "hardly better than chance" in text
    assert "as in the paper" not in text


def test_layers_left_out_are_the_contrast(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((2, 2))
    results["lesions"]["layers"] = [{"layer": 3, "module": "a", "kind": "Conv2d", "values": {"error": 0.668}}]
    for each in results["lesions"]["single"]:
        each["values"]["error"] = 0.178
    text = told(lesions.lesions([read_look(make_look("both", results))]))
    assert "Disabling a single layer costs +50.0 points (median of 1), disabling a block +1.0 points." in text


def test_random_lesions_start_at_the_whole_model(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((4,))
    results["lesions"]["random"] = [
        {"k": 2, "values": {"error": [0.5, 0.3, 0.4]}},
        {"k": 4, "values": {"error": [0.9]}},
    ]
    section = many.many([read_look(make_look("four", results))])
    left, right = plots(section)["many"]
    line = next(trace for trace in left["data"] if trace["name"] == "four")
    assert (line["x"], line["y"]) == ([0, 2, 4], pytest.approx([16.8, 40, 90]))
    assert left["rows"][2] == [2, 40, 30, 50]
    assert left["layout"]["shapes"][0]["y0"] == pytest.approx(90)  # guessing among ten classes
    assert right["layout"]["xaxis"]["range"][0] > right["layout"]["xaxis"]["range"][1]  # disorder grows to the right
    assert (
        "With blocks disabled at random, the median error is 40.0 % with 2 and 90.0 % with 4. It rises in 2 of 2 steps."
        in told(section)
    )


def test_paths_are_shares_and_the_effective_range_is_shaded(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((4,))
    results["paths"] |= {"counts": [1, 4, 6, 4, 1], "product": [2.0, 6.0, 8.0, 3.0, 1.0], "effective": [1, 3],
                         "effective_share": 0.875, "sampled": [1.0, 0.1, 0.01, 0.001, 0.0001],
                         "share": [0.1, 0.6, 0.5, -0.2, 0.0], "deviation": 5e-16}  # fmt: skip
    section = paths.paths([read_look(make_look("four", results))])
    count, norm, product = plots(section)["paths-published"]
    assert count["data"][0]["y"] == [6.25, 25, 37.5, 25, 6.25]
    assert norm["layout"]["yaxis"]["type"] == "log"
    assert product["data"][0]["y"] == [10, 30, 40, 15, 5]
    assert (product["layout"]["shapes"][0]["x0"], product["layout"]["shapes"][0]["x1"]) == (0.5, 3.5)
    assert plots(section)["paths-exact"][1]["data"][0]["y"] == [10, 60, 50, -20, 0]
    text = told(section)
    assert "16 paths of 0 to 4 blocks; 95 % of them have 0 to 4 blocks." in text
    assert "falls by a factor of 10 " in text
    assert "95 % of count × norm comes from lengths 1 to 3 (87.50 % of all paths)." in text
    assert "length 0 (10 %), 1 (60 %) and 2 (50 %)" in text
    assert "Some lengths work against the gradient" in text
    assert "relative deviation of 5.0 × 10⁻¹⁶" in text
    assert section is not None
    assert "Gradient paths are exactly additive" in section["remark"]


def test_counts_too_large_for_a_float_are_drawn(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((4,))
    results["paths"] |= {"counts": [10**400, 3 * 10**400], "exact": [1.0, 2.0], "share": [0.5, 0.5]}
    count, *_ = plots(paths.paths([read_look(make_look("large", results))]))["paths-published"]
    assert count["data"][0]["y"] == [25, 75]


def test_influence_is_told_with_its_signs(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((4,))
    rows = ((0.3, 0.8, 0.1), (0.2, 0.6, -0.2), (0.01, 0.1, -0.4), (0.1, 0.3, -0.3))
    for each, (influence, ratio, cosine) in zip(results["influence"]["merges"], rows, strict=True):
        each |= {"influence": influence, "ratio": ratio, "cosine": cosine}
    section = depth.influence([read_look(make_look("four", results))])
    assert [plot["data"][0]["y"] for plot in plots(section)["influence"]] == [
        [*column] for column in zip(*rows, strict=True)
    ]
    text = told(section)
    assert "from 0.01 (block 2, the first to remove by this measure) to 0.3 (block 0)" in text
    assert "is 0.7 in the first half of the blocks and 0.2 in the second: later blocks change their input less" in text
    assert "3 of 4 blocks move along the negative gradient; the mean cosine is −0.2." in text


def test_depths_with_projections_ahead_are_hollow(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((2, 2))
    errors = (0.9, 0.8, 0.4, 0.6, 0.2)  # half of the way is at 55 %: passed for good only at the end
    for each, error in zip(results["readout"]["depths"], errors, strict=True):
        each["values"] = {"error": error}
    section = depth.readout([read_look(make_look("four", results))])
    marks = plots(section)["readout"][0]["data"][0]["marker"]["color"]
    assert marks == ["@paper", "@paper", "@paper", "@residual3", "@residual3"]
    assert "After 4 blocks (100 % of the depth) or more it is at most the mean of the two." in told(section)


def test_heads_and_shortcuts_are_left_out_of_the_layers(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((2,))
    results["responses"]["layers"][1]["shortcut"] = True
    for i, each in enumerate(results["responses"]["layers"][:4]):
        each["std"] = float(i)
    order, ranked = plots(signal.responses([read_look(make_look("two", results))]))["responses"]
    assert order["data"][0]["y"] == [0, 2, 3]
    assert ranked["data"][0]["y"] == [3, 2, 0]


def test_health_is_told_and_its_line_drawn(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((2,))
    results["gradients"]["activations"] |= {"verdict": "vanishes", "change": -5.0, "slope": 5 / 3, "start": -5.0}
    section = signal.gradients([read_look(make_look("two", results))])
    first = plots(section)["gradients"][0]["data"]
    assert first[1]["name"] == "fitted line"
    assert first[1]["y"] == pytest.approx([1e-5, 1])
    wanted = "Response gradient: vanishes. The fitted line changes by a factor of 1.0 × 10⁻⁵ over 4 layers"
    assert wanted in told(section)
    assert told(section).count("towards the input") == 2  # responses and weights
    assert told(section).count("towards the output") == 1  # the forward signal


def test_gradients_along_training_come_from_the_log(make_look: MakeLook) -> None:
    folder = make_look()
    events: list[Facts] = [{"event": "train", "iteration": 1, "loss": 2.0}]
    for iteration, scale in ((1, 1.0), (100, 0.1), (200, 0.01)):
        names = {"layers": ["stem", "<b>head</b>"]} if iteration == 1 else {}
        norms = {"gradients": [2 * scale, 8 * scale], "weights": [2.0, 4.0]}
        events.append({"event": "gradients", "iteration": iteration, **norms, **names})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    section = signal.gradients([read_look(folder)])
    spread, heat = plots(section)["training"]
    assert spread["rows"][1:] == [[1, 1.5, 1, 2], [100, 0.15, 0.1, 0.2], [200, 0.015, 0.01, 0.02]]
    assert heat["data"][0]["z"][0] == [0, -1, -2]
    assert heat["rows"][2] == ["<b>head</b>", 2, 0.02]
    assert "goes from 1.5 to 0.015. The largest is 2 times the smallest at iteration 1 and" in told(section)


def test_a_log_axis_has_few_ticks_that_can_be_read() -> None:
    assert charts.log_axis([1e-9, 1.0])["ticktext"] == ["10⁻⁹", "10⁻⁷", "10⁻⁵", "10⁻³", "10⁻¹"]
    assert charts.log_axis([0.3, 0.9])["ticktext"] == ["0.3", "0.5", "0.7", "1"]
    assert charts.log_axis([0.04, 6.0, None, 0.0])["ticktext"] == ["0.05", "0.1", "0.2", "0.5", "1", "2", "5"]
    assert charts.log_axis([])["type"] == "log"
