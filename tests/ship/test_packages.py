"""Importing OpenVINO and NNCF through reslab sends nothing anywhere."""

import subprocess
import sys

import pytest

pytest.importorskip("openvino")
CODE = """
import sys
from reslab.ship import packages
packages.{name}(why="a test")
assert "{name}" in sys.modules
assert "openvino_telemetry" not in sys.modules, "the package that sends usage reports was imported"
from openvino.tools.ovc import telemetry
assert "telemetry_stub" in type(telemetry).__module__, type(telemetry).__module__
"""


@pytest.mark.parametrize("name", ["openvino", pytest.param("nncf", marks=pytest.mark.slow)])
def test_no_usage_reports_are_sent(name: str) -> None:
    if name == "nncf":
        pytest.importorskip("nncf")
    done = subprocess.run([sys.executable, "-c", CODE.format(name=name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
