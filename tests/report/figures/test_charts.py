"""Facts about figures that can be checked by hand."""

import pytest

from reslab.report import words
from reslab.report.figures import charts


def test_shades_run_from_shallow_to_deep() -> None:
    assert [charts.shade("plain", i, 4) for i in range(4)] == ["@plain0", "@plain2", "@plain3", "@plain5"]
    assert charts.shade("residual", 0, 1) == "@residual3"


def test_thinning_keeps_stored_points_and_the_last() -> None:
    points = [(i, i * i) for i in range(10)]
    assert charts.thin(points, 4) == [(0, 0), (3, 9), (6, 36), (9, 81)]
    assert charts.thin(points, 10) == points
    assert charts.thin([]) == []


def test_axis_is_cut_above_the_race_not_the_first_fall() -> None:
    assert charts.ceiling([[(0, 90), (100, 20), (400, 8)]]) == 25  # 20 and its 6 % of air; 90 lies in the first quarter
    assert charts.ceiling([]) == 100
    assert charts.ceiling([[(1, float("nan")), (2, 0.0)]]) == 0.1


def test_a_spike_does_not_flatten_the_curve() -> None:
    """A loss of 25,739,298 at one of 100 iterations, others at most 2.3: the axis ends at 3 and says what it lacks."""
    points = [(i, 2.3 - i / 100) for i in range(100)]
    points[40] = (40, 25_739_298.0)
    top = charts.ceiling([points])
    assert top == 3
    said = " The axis ends at 3; 1 point lies above it, at iteration 40 (25,739,298)."
    assert charts.cut_off([points], top) == said
    assert charts.cut_off([points[:40]], top) == ""
    points[50] = (50, 3e6)
    assert charts.ceiling([points]) == 3  # two spikes
    assert charts.ceiling([[(i, 2.0 if i < 50 else 5e7) for i in range(100)]]) == 6e7  # it diverged: no spike
    assert charts.ceiling([[(1, 40), (2, 5), (3, 5), (4, 5)]]) == 50  # few values


def test_end_labels_share_their_room_around_the_values() -> None:
    # 300 pixels for 100 %: a name of 15 pixels needs 5 points.
    ends = [("a", 20, "@ink"), ("b", 20, "@ink"), ("c", 60, "@ink"), ("d", None, "@ink")]
    labels = charts.end_labels(ends, top=100, height=380)
    assert [(label["text"], label["y"]) for label in labels] == [("a", 17.5), ("b", 22.5), ("c", 60)]


def test_end_labels_stay_in_the_frame() -> None:
    low = charts.end_labels([("a", 0, "@ink"), ("b", 0, "@ink"), ("c", 0, "@ink")], top=100, height=380)
    assert [label["y"] for label in low] == [0, 5, 10]
    high = charts.end_labels([("a", 99, "@ink"), ("b", 300, "@ink")], top=100, height=380)
    assert [label["y"] for label in high] == [95, 100]


def test_long_names_are_cut_in_the_middle() -> None:
    assert charts.clipped("a rather long class name 14") == "a rather lo…ss name 14"
    assert len(charts.clipped("x" * 99)) == 22
    assert charts.clipped("short") == "short"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (words.percent(7.3083), "7.31 %"),
        (words.percent(float("nan")), "–"),
        (words.count(269722), "269,722"),
        (words.short(125485056), "125 M"),
        (words.duration(45.25), "45.2 s"),
        (words.duration(391.2), "6 min 31 s"),
        (words.duration(3725), "1 h 2 min"),
        (words.plus_minus(8.4123, 0.1249), "8.41 ± 0.12"),
        (words.plus_minus(8.4123, None), "8.41"),
        (words.number(2030.4), "2,030"),
        (words.number(1234567.8), "1,234,568"),
        (words.number(0.0312), "0.0312"),
        (words.number(3.4e-7), "3.4 × 10⁻⁷"),
        (words.number(2.5e12), "2.5 × 10¹²"),
        (words.number(float("inf")), "inf"),
        (words.plain(1234567.8), "1,234,568"),
        (words.plain([9, 9, 9]), "9, 9, 9"),
        (words.plain(None), "–"),
        (words.plain(True), "yes"),
        (words.listed([240]), "240"),
        (words.listed([240, 360]), "240 and 360"),
        (
            words.statistic({"name": "Welch t", "value": 14.32, "p": 0.00014, "n": 3}),
            "Welch t = 14.3, p < 0.001, n = 3",
        ),
        (words.statistic({"name": "Welch t", "value": 1.31, "p": 0.26}), "Welch t = 1.31, p = 0.26"),
    ],
)
def test_words(said: str, wanted: str) -> None:
    assert said.replace("\u00a0", " ") == wanted
