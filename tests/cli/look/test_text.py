"""Numbers in what `reslab look` prints: as people write them."""

from types import SimpleNamespace

import pytest

from reslab.cli.look import text


@pytest.mark.parametrize(("value", "digits", "said"), [
    (0.0, 4, "0"), (2.4, 2, "2.4"), (0.43219, 4, "0.4322"), (9.9999, 2, "10"), (12345.6, 4, "12,350"), (128, 4, "128"),
    (14_600, 4, "14,600"), (2**54, 4, "1.8 × 10^16"), (2**2000, 4, "1.1 × 10^602"), (3e-7, 1, "3 × 10^-7"),
    (-3.2, 3, "-3.20"), (float("inf"), 4, "inf"),
])  # fmt: skip
def test_a_number(value: float, digits: int, said: str) -> None:
    assert text.number(value, digits) == said


@pytest.mark.parametrize(("value", "said"), [
    (1.0, "100 %"), (0.9996, "100 %"), (0.999, "99.9 %"), (0.95, "95 %"), (0.026, "2.6 %"), (1.2e-5, "0.0012 %"),
    (0.0, "0 %"),
])  # fmt: skip
def test_a_share(value: float, said: str) -> None:
    assert text.share(value) == said


def test_all_paths_are_100_percent(capsys: pytest.CaptureFixture[str]) -> None:
    """Three blocks form 1, 3, 3, 1 paths; lengths 0 to 3 are all of them."""
    text.paths(SimpleNamespace(counts=(1, 3, 3, 1), merges=3, at="input", n=360, deviation=2.3e-7,
                               effective_exact=(0, 3), effective_exact_share=1.0, effective=None))  # fmt: skip
    assert capsys.readouterr().out.splitlines() == [
        "8 paths of 0 to 3 blocks, gradient at the input, n = 360; their gradients sum to the full one "
        "within 2 × 10^-7 (relative)",
        "Exact: 95 % of the gradient norm comes from lengths 0 to 3 (100 % of all paths)",
    ]


@pytest.mark.parametrize(("method", "why", "said"), [
    ("growing", "", "n = 3 (measured in one growing pass)"),
    ("naive", "requested", "n = 3 (measured in one pass per lesion: requested)"),
])  # fmt: skip
def test_how_lesions_were_measured(method: str, why: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    text.lesions(SimpleNamespace(metrics=("error",), whole={"error": 0.5}, n=3, method=method, why=why, single=(),
                                 layers=(), random=(), notes=()))  # fmt: skip
    assert capsys.readouterr().out == f"intact model: error 50.00 %, {said}\n"
