"""The trend of norms over layers and the verdict on it, on lines known exactly."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reslab.look.flow.health import assess, times


def falling(powers: float, layers: int) -> list[float]:
    """Values that fall by this many powers of ten from the first to the last."""
    return [10 ** (-powers * i / (layers - 1)) for i in range(layers)]


def test_a_line_by_hand() -> None:
    found = assess([100.0, 10.0, 1.0], "backward")
    assert (found.slope, found.start, found.fit) == pytest.approx((-1, 2, 1))
    assert found.ratio == pytest.approx(100)
    assert found.change == pytest.approx(2)  # gradients flow from the last to the first, and grow on the way
    assert found.words == "healthy: 10 times larger per layer, 100 times larger over 3 layers towards the input"


@given(slope=st.floats(-0.3, 0.3), start=st.floats(-5, 5), layers=st.integers(2, 60))
def test_any_line_is_found(slope: float, start: float, layers: int) -> None:
    found = assess([10 ** (start + slope * i) for i in range(layers)], "forward")
    assert found.slope == pytest.approx(slope, abs=1e-9)
    assert found.start == pytest.approx(start, abs=1e-9)
    assert found.change == pytest.approx(slope * (layers - 1), abs=1e-8)
    assert found.ratio == pytest.approx(10 ** abs(slope * (layers - 1)), rel=1e-6)


@pytest.mark.parametrize(("powers", "forward", "backward"), [
    (1.9, "healthy", "healthy"),
    (2.1, "shrinks", "grows"),
    (3.9, "shrinks", "grows"),
    (4.1, "vanishes", "explodes"),
    (-2.1, "grows", "shrinks"),
    (-4.1, "explodes", "vanishes"),
])  # fmt: skip
def test_verdicts_at_their_thresholds(powers: float, forward: str, backward: str) -> None:
    values = falling(powers, 30)
    assert assess(values, "forward").verdict == forward
    assert assess(values, "backward").verdict == backward


def test_the_case_that_the_threshold_comes_from() -> None:
    """Xavier with ReLU, a factor 1/sqrt(2) a layer: 22 layers learned, 30 did not (arXiv 1502.01852)."""
    shrinking = [math.sqrt(0.5) ** (29 - i) for i in range(30)]
    assert assess(shrinking, "backward").verdict == "vanishes"
    assert assess(shrinking[8:], "backward").verdict == "shrinks"
    said = "vanishes towards the input: 1.41 times smaller per layer, 23,000 times smaller over 30 layers"
    assert said in assess(shrinking, "backward").words  # sqrt(2); sqrt(2)^29 = 23,170


def test_one_layer_far_from_the_others_is_no_trend() -> None:
    found = assess([1.0] * 10 + [1e-5] + [1.0] * 10, "forward")
    assert found.verdict == "uneven"
    assert found.slope == pytest.approx(0)
    assert "the largest is 100,000 times the smallest" in found.words


def test_zeros_are_counted_and_left_out() -> None:
    found = assess([1.0, 0.0, 1.0, 0.0], "backward")
    assert (found.zeros, found.verdict, found.ratio, found.slope) == (2, "healthy", 1, 0)
    assert "2 of 4 layers are exactly zero" in found.words
    assert assess([0.0, 0.0], "forward").verdict == "nothing"
    assert assess([], "forward").words == "there is no layer to measure"
    assert assess([3.0], "forward").verdict == "healthy"


@pytest.mark.parametrize(("ratio", "said"), [
    (2.0, "2.0 times larger"), (0.5, "2.0 times smaller"), (1.0, "unchanged"), (1.25, "1.25 times larger"),
    (1.0047, "1.0047 times larger"), (1 / 1.07, "1.07 times smaller"), (9.96, "10 times larger"),
    (33_000, "33,000 times larger"), (1e-8, "10^8.0 times smaller"),
])  # fmt: skip
def test_a_change_is_a_factor_that_people_read(ratio: float, said: str) -> None:
    assert times(math.log10(ratio)) == said
