"""The systemd unit and the Dockerfile that `reslab serve` prints, checked by systemd where it is installed."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from reslab.cli import main
from reslab.ship.serve.unit import quoted

RUN = Path(__file__).parents[2] / "golden" / "folders" / "images-finished"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["serve", f"digits={RUN}", "--timeout", "20", "--max-batch", "4", *words]) == 0
    return capsys.readouterr().out


def test_the_unit_starts_this_command_and_waits_for_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = printed(capsys, "--unit", "--token", "not-for-the-unit")
    [start] = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert start.endswith(f"serve digits={RUN} --host 127.0.0.1 --port 8080 --max-batch 4 --timeout 20")
    assert "not-for-the-unit" not in text
    [stop] = [int(line.removeprefix("TimeoutStopSec=")) for line in text.splitlines() if "TimeoutStopSec=" in line]
    assert stop > 20 + 0.5 + 5 + 5  # a request, draining, uvicorn's and the supervisor's spare time
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    unit = tmp_path / "reslab-serve.service"
    unit.write_text(text)
    found = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stderr) == (0, "")


def test_words_are_quoted_as_systemd_reads_them() -> None:
    assert [quoted(word) for word in ("a", "a b", "50%", "$HOME", 'q"', "")] == [
        "a", '"a b"', "50%%", "$$HOME", '"q\\""', '""']  # fmt: skip


def test_the_dockerfile_has_no_shell_between_docker_and_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "--dockerfile").splitlines()
    found = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if line[:1].isupper()}
    assert json.loads(found["ENTRYPOINT"]) == ["python", "-m", "reslab", "serve"]
    assert json.loads(found["CMD"])[:5] == ["digits=/models/digits", "--host", "0.0.0.0", "--port", "8080"]
    assert (found["EXPOSE"], found["USER"], found["STOPSIGNAL"]) == ("8080", "10001", "SIGTERM")
    [check] = [line.strip().removeprefix("CMD ") for line in lines if line.startswith("  CMD ")]
    compile(json.loads(check)[2], "check", "exec")
    assert "/v2/health/ready" in check
