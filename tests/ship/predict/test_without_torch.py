"""What exported tables and readers share with runs needs no torch."""

import subprocess
import sys
from importlib import import_module

import pytest

MODULES = ("reslab.tables.data.encoder", "reslab.tables.calibrate", "reslab.tables.coded", "reslab.tables.predicting",
           "reslab.qa.answers", "reslab.qa.asking", "reslab.qa.data.windows", "reslab.qa.rules", "reslab.qa.settings",
           "reslab.qa.judge", "reslab.qa.scores", "reslab.tables.metrics", "reslab.tables.predictions")  # fmt: skip


def test_these_modules_import_neither_torch_nor_transformers() -> None:
    code = f"import sys; import {', '.join(MODULES)}; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(("room", "many"), [("qa", 3), ("tables", 5)])
def test_the_public_names_are_found_on_first_use(room: str, many: int) -> None:
    found = import_module(f"reslab.{room}")
    assert dir(found) == found.__all__
    assert [getattr(found, name).__name__ for name in dir(found)] == found.__all__
    assert len(found.__all__) == many
    with pytest.raises(AttributeError, match=f"module 'reslab.{room}' has no attribute 'none'"):
        found.none  # noqa: B018
