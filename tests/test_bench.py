"""The benches of tables still run, on next to nothing: what they claim is measured elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"), [("tables.py", "predicted naive"), ("tables_embed.py", "30 numbers, 30 categories, 4 bags")]
)
def test_runs_and_agrees_with_the_naive_side(name: str, said: str) -> None:
    """Each compares its two sides before it times them."""
    words = [sys.executable, str(BENCH / name), "--rounds", "1", "--rows", "512"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
