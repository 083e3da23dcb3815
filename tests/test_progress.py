"""How far long work is: lines in a pipe, a bar in a terminal, an output in a notebook; a child's reports."""

import io
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest

from reslab.progress import Lasting, Phase, board, in_phase, shown, to_parent
from reslab.progress import row as words
from reslab.progress.display import Lines, Notebook
from reslab.progress.parent import pass_on


class Clock:
    """A clock that moves when it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(words, "clock", clock)
    return clock


def test_lines_in_a_pipe(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """A line at the start of each phase, then one in 10 seconds, and the last state at the end."""
    with shown("run") as progress:
        for step in range(29):
            progress(step, 28, Phase("timing precision and memory format"))
            clock.now += 0.25
        progress(0, 40, Phase("training 40 iterations of 128 images"))
        for iteration in range(1, 31):
            clock.now += 1
            progress(iteration, 40, "loss 1.0000" if iteration > 8 else "")
        progress(30, 40, "evaluating")
        progress(40, 40, "loss 0.5000")
    assert capsys.readouterr().err.splitlines() == [
        "run: timing precision and memory format",
        "run: training 40 iterations of 128 images",
        "run 10/40: loss 1.0000, about 30 s left",
        "run 20/40: loss 1.0000, about 20 s left",
        "run 30/40: loss 1.0000, about 10 s left",
        "run 40/40: loss 0.5000",
    ]


def test_a_long_phase_counts_its_steps(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with shown("run") as progress:
        for step in range(4):
            progress(step, 28, Phase("timing precision and memory format"))
            clock.now += 11
    assert capsys.readouterr().err.splitlines()[-1] == (
        "run: timing precision and memory format (step 3 of 28), about 5 min left"  # 25 steps of 11 s: 4.6 min
    )


def test_a_measurement_says_after_its_first_step_how_long_it_takes(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """1,830 samples in the first second, of 14,640: 7 seconds are left."""
    with shown("lesions", unit="samples") as progress:
        clock.now += 1
        progress(1830, 14640)
        clock.now += 7
        progress(14640, 14640)
    assert capsys.readouterr().err.splitlines() == [
        "lesions 1,830/14,640: 1,830 samples/s, about 7 s left",
        "lesions 14,640/14,640: 1,830 samples/s",
    ]


def test_a_resumed_training_counts_from_where_it_starts(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """10 steps in 10 s from step 500 on: 90 s for the other 90, whatever came before."""
    with shown("run") as progress:
        progress(500, 600, Phase("resuming at iteration 500 of 600"))
        clock.now += 10
        progress(510, 600, "")
    assert capsys.readouterr().err.splitlines() == [
        "run: resuming at iteration 500 of 600",  # the step stands in the phase: not twice
        "run 510/600: about 90 s left",
    ]


def test_the_next_piece_of_a_phase_counts_from_its_own_start(clock: Clock) -> None:
    """A second column of 10 texts, read after the first: 8 in 8 s, so 1 s is left."""
    row = words.Row("run")
    for done, seconds in ((1, 0), (10, 50), (1, 1), (10 - 1, 8)):
        clock.now += seconds
        row.step(done, 10, Phase("reading texts"))
    assert row.detail == "reading texts, about 1 s left"
    assert (row.began, row.first) == (151, 1)


def test_rows_of_several_trainings(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """A finished one has its last line before the next begins."""
    with board() as rows:
        for name in ("one", "two"):
            progress = rows(name)
            progress(0, 2, Phase("training"))
            progress(2, 2, "loss 1.0000")
    assert capsys.readouterr().err.splitlines() == [
        "one: training", "one 2/2: loss 1.0000", "two: training", "two 2/2: loss 1.0000",
    ]  # fmt: skip


def test_a_slow_first_step_is_reported(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.Timer.start", lambda self: self.function(*self.args))  # 10 s have passed
    display = Lines()
    display.row("lesions")
    display.close()
    assert capsys.readouterr().err == "lesions: the first step is not finished yet\n"


@pytest.mark.parametrize(
    ("rate", "text"), [(1830.4, "1,830"), (99.96, "100"), (4.24, "4.2"), (0.5, "0.50"), (0.0042, "0.0042")]
)
def test_rates_are_numbers_for_people(rate: float, text: str) -> None:
    assert words.per_second(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (40.4, "40 s"), (100, "2 min"), (720, "12 min"), (12000, "3 h 20 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


class Broken(io.StringIO):
    """A log on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("stream", [None, Broken(), types.SimpleNamespace(closed=True)])
def test_a_log_that_cannot_be_written_does_not_end_the_work(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(stream, types.SimpleNamespace):
        stream = io.StringIO()
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", stream)
    with shown("run") as progress:
        progress(1, 2, "loss 1.0000")
    to_parent().row("run")(1, 2)


def test_the_first_failure_of_a_stream_is_remembered() -> None:
    stream = Lasting(Broken())
    assert stream.write("gone") == 4
    assert isinstance(stream.error, OSError)
    assert stream.error.errno == 28
    assert Lasting(sys.__stdout__).encoding == sys.__stdout__.encoding  # type: ignore[union-attr]


def test_a_childs_reports_come_through_its_output(capsys: pytest.CaptureFixture[str]) -> None:
    display, seen = to_parent(), []
    progress = display.row("run")
    progress(0, 9, Phase("training"))
    progress(3, 9, "loss 1.0000")  # so soon after the last one it waits, and gives way to the next
    progress(9, 9, "loss 0.5000")
    display.close()
    lines = capsys.readouterr().out.splitlines()
    for line in lines:
        assert pass_on(line, lambda done, total, note="": seen.append((done, total, note, type(note))))
    assert seen == [(0, 9, "training", Phase), (9, 9, "loss 0.5000", str)]
    for other in ("", "17", "[1]", '{"done": 1}', "an error in words"):
        assert not pass_on(other, lambda *_: pytest.fail("reported"))


def test_a_measurement_within_a_training_is_a_phase_of_it() -> None:
    seen: list[Any] = []
    in_phase(lambda *report: seen.append(report), "reading texts")(2, 5)
    assert seen == [(2, 5, "reading texts")]
    assert isinstance(seen[0][2], Phase)


def test_a_notebook_has_one_output_a_row_updated_in_place(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    shows: list[tuple[str, str]] = []

    class Handle:
        def update(self, content: dict[str, str], raw: bool) -> None:
            shows.append(("update", content["text/html"]))

    def display(content: dict[str, str], raw: bool, display_id: bool) -> Handle:
        shows.append(("new", content["text/plain"]))
        return Handle()

    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    with shown("<run>", unit="images") as progress:
        clock.now += 1
        progress(10, 40)
        progress(11, 40)  # within a quarter of a second: not drawn
        clock.now += 3
        progress(40, 40)
    assert shows == [
        ("new", "<run> 10/40: 10 images/s, about 3 s left"),
        ("update", '<progress value="40" max="40"></progress> &lt;run&gt; 40/40: 10 images/s'),
    ]
    assert Notebook.every == 0.25


SCRIPT = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored
from reslab.progress import shown
with shown("lesions [all]", unit="samples") as progress:
    for step in range(1, 2000):
        time.sleep(0.02)
        progress(step, 2000)
"""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals here")
def test_ctrl_c_during_a_bar_gives_the_terminal_back() -> None:
    """The bar hides the cursor; after Ctrl-C it is shown again, and the last thing on the screen is the bar."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=theirs, stdout=theirs, env=environment) as child:
        os.close(theirs)
        seen, until = b"", time.monotonic() + 60
        while b"samples/s" not in seen and time.monotonic() < until:
            seen += os.read(ours, 65536)
        child.send_signal(signal.SIGINT)
        try:
            while more := os.read(ours, 65536):
                seen += more
        except OSError:  # EIO: the child has closed its end
            pass
    os.close(ours)
    text = seen.decode()
    assert "lesions [all]" in text
    assert "/2,000" in text
    assert "s left" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert text.index("\x1b[?25l") < text.index("\x1b[?25h")
    assert child.returncode == -signal.SIGINT or "KeyboardInterrupt" in text


def test_nothing_of_rich_is_loaded_before_something_is_shown() -> None:
    code = "import sys, reslab.progress; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False).returncode == 0
