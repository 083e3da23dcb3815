"""What exported tables and readers share with runs needs no torch."""

import subprocess
import sys

import pytest

MODULES = ("reslab.tables.data.encoder", "reslab.tables.calibrate", "reslab.tables.coded", "reslab.tables.predicting",
           "reslab.qa.answers", "reslab.qa.asking", "reslab.qa.data.windows", "reslab.qa.rules", "reslab.qa.settings",
           "reslab.qa.judge", "reslab.qa.scores", "reslab.tables.metrics", "reslab.tables.predictions")  # fmt: skip


def test_these_modules_import_neither_torch_nor_transformers() -> None:
    code = f"import sys; import {', '.join(MODULES)}; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("room", ["qa", "tables"])
def test_the_public_names_are_found_on_first_use(room: str) -> None:
    each = "*[getattr(room, name).__name__ for name in dir(room)]"
    code = f"import reslab.{room} as room; print(room.__all__ == dir(room), {each})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found[0] == "True"
    assert len(found) == {"qa": 4, "tables": 6}[room]
