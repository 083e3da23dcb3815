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
    text.paths(SimpleNamespace(counts=(1, 3, 3, 1), merges=3, at="input", n=360, deviation=2.3e-7, flat=0,
                               effective_exact=(0, 3), effective_exact_share=1.0, effective=None))  # fmt: skip
    assert capsys.readouterr().out.splitlines() == [
        "8 paths of 0 to 3 blocks, gradient at the input, n = 360; their gradients sum to the full one "
        "within 2 × 10^-7 (relative)",
        "Exact: 95 % of the gradient norm comes from lengths 0 to 3 (100 % of all paths)",
    ]
    text.paths(SimpleNamespace(counts=(1, 1), merges=1, at="input", n=360, deviation=0.0, flat=5,
                               effective_exact=(0, 1), effective_exact_share=1.0, effective=None))  # fmt: skip
    assert "5 of 360 samples have no gradient: they are not counted" in capsys.readouterr().out


@pytest.mark.parametrize(("method", "why", "said"), [
    ("growing", "", "n = 4 (measured in one growing pass)"),
    ("naive", "requested", "n = 4 (measured in one pass per lesion: requested)"),
])  # fmt: skip
def test_how_lesions_were_measured(method: str, why: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    text.lesions(SimpleNamespace(metrics=("error",), whole={"error": 0.5}, n=4, method=method, why=why, single=(),
                                 layers=(), random=(), reorder=(), notes=()))  # fmt: skip
    assert capsys.readouterr().out == f"intact model: error 50.00 % (95 % interval 15.0 to 85.0), {said}\n"


def test_differences_and_reorderings_are_printed_with_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    """Of 100 samples 10 are wrong; 12 more without block 0 (spread² 12/99 - 1.44/99); 20 and 40 with a pair swapped."""
    spread = {"error": ((12 - 1.44) / 99) ** 0.5}
    single = [SimpleNamespace(merge=0, module="a", kind="identity", values={"error": 0.22}, spread=spread)]
    orders = [SimpleNamespace(swaps=1, tau=tau, values={"error": y}) for tau, y in ((0.8, 0.2), (0.6, 0.4))]
    found = SimpleNamespace(metrics=("error",), whole={"error": 0.1}, n=100, method="growing", why="", single=single,
                            layers=(), random=(), reorder=orders, notes=())  # fmt: skip
    text.lesions(found)
    _, title, block, swapped = capsys.readouterr().out.splitlines()
    assert title.endswith("largest effects (95 % interval of the difference):")
    # (13 - 1) / 102 ± 1.96 sqrt((14/102 - (12/102)²) / 102)
    assert block == "  block 0 (a, identity): error 22.00 % (+4.9 to +18.6 points)"
    assert swapped == (
        "1 pair of blocks swapped: median error 30.00 %, 95 % interval 21.9 to 39.6 (range 20.00 % to 40.00 %, "
        "2 draws, Kendall's tau 0.60 to 0.80)"
    )
    single[0].values = found.whole
    text.lesions(found)
    assert (
        "one block disabled: median error 10.00 %; disabling any one block changes nothing" in capsys.readouterr().out
    )
