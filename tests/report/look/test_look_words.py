"""How numbers are formatted, checked by hand."""

import pytest

from reslab.report.look.words import Metric, aligned, large, metrics, rank_correlation, small, trend


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (large(512), "512"),
        (large(2**54), "1.8 × 10¹⁶"),
        (large(2**5000), "1.4 × 10¹⁵⁰⁵"),  # too large for a float
        (large(10**6), "1.0 × 10⁶"),
        (small(3.4e-7), "3.4 × 10⁻⁷"),
        (small(0.0), "0"),
        (small(-0.0256), "−0.0256"),
        (small(4200.0), "4,200"),
        (small(1.5e9), "1.5 × 10⁹"),
        (small(float("nan")), "–"),
        (Metric("error").text(16.75), "16.8 %"),
        (Metric("error").more(-0.5), "−0.5 points"),
        (Metric("loss").text(0.9371), "0.937"),
    ],
)
def test_numbers_as_words(said: str, wanted: str) -> None:
    assert said.replace("\u00a0", " ") == wanted


def test_a_column_is_said_with_the_decimals_of_its_largest() -> None:
    assert [*map(aligned([0.35, 1.204, -0.0049]), (0.35, 1.204, -0.0049, None))] == ["0.35", "1.20", "0.00", "–"]
    assert aligned([333.0, 0.02, 0.3])(0.02) == "0.02"  # a few large ones do not round the rest away


def test_error_comes_first_and_in_percent() -> None:
    found = metrics({"metrics": ["kl", "mine", "loss", "error"]})
    assert [metric.key for metric in found] == ["error", "loss", "kl", "mine"]
    assert found[0].of({"error": 0.25}) == 25
    assert found[1].of({"loss": None}) is None
    assert found[0].of(None) is None


def test_rank_correlation_by_hand() -> None:
    assert rank_correlation([(1, 10), (2, 30), (3, 20)]) == pytest.approx(0.5)  # 1 - 6 * (0 + 1 + 1) / (3 * 8)
    assert rank_correlation([(1, 1), (2, 1), (3, 1)]) is None
    assert rank_correlation([(1, 1), (2, 2)]) is None


def test_a_trend_is_fitted_to_logarithms() -> None:
    assert trend([(k, 5 * 10.0**-k) for k in range(4)]) == pytest.approx((-1, 0.69897, 0), abs=1e-6)
    # Logarithms 0, 1, 0 at 0, 1, 2: slope 0, residuals -1/3, 2/3, -1/3; t of 1 degree of freedom times sqrt(6/9 / 2).
    assert trend([(0, 1.0), (1, 10.0), (2, 1.0)]) == pytest.approx((0, 1 / 3, 12.7062 * (1 / 3) ** 0.5))
    assert trend([(0, 0.0), (1, 1.0), (2, None)]) is None
