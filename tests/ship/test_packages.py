"""Importing OpenVINO and NNCF through reslab sends nothing anywhere."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openvino")
CODE = """
import sys
from pathlib import Path
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


SIGNALED = """
import signal, sys
from reslab.ship.engines import openvino as engine
from reslab.ship.packages import openvino
from reslab.ship.record import Config
ov = openvino("a test")
x = ov.opset13.parameter([-1, 2], ov.Type.f32, name="x")
y = ov.opset13.relu(x)
y.output(0).get_tensor().set_names({"y"})
ov.save_model(ov.Model([y], [x]), sys.argv[1])
config = Config(kind="tables", engine="openvino", precision="fp32", name="m", word="m", files=("m.xml",), inputs=(),
                outputs=(), license="")
first = engine.load(sys.argv[1], config)
second = engine.load(sys.argv[1], config)
del first, second  # in the order in which they began, as when a server takes a new version
got = []
signal.signal(signal.SIGTERM, lambda *rest: got.append(1))
signal.raise_signal(signal.SIGTERM)
assert got == [1]
print("alive")
"""


def test_a_signal_after_two_models_were_dropped_does_not_end_the_process(tmp_path: Path) -> None:
    """OpenVINO 2026.4 leaves the thread a stack for signals that is gone, if two of its cores end in order."""
    words = [sys.executable, "-c", SIGNALED, str(tmp_path / "m.xml")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
