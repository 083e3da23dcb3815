"""Lines of progress where the output is piped."""

import json

import pytest
from reslab.train.progress import piped, shown

LINE = {"loss": 1.0, "error": 50.0, "lr": 0.1, "images_per_second": 100.0}


def test_no_time_left_is_told_before_a_rate_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("run", every=0) as tell:
        for iteration, line in ((5, LINE), (10, LINE), (10, {}), (20, LINE), (20, {})):
            tell(iteration, 20, line, "fp32")
    said = capsys.readouterr().err.splitlines()
    assert [text.split("  ")[0] for text in said] == ["run 5/20", "run 10/20", "run 20/20", "run 20/20"]
    assert [" left" in text for text in said] == [False, True, False, False]
    assert "evaluating" in said[-1]


def test_only_lines_of_the_log_go_to_the_parent(capsys: pytest.CaptureFixture[str]) -> None:
    piped(3, 9, LINE, None)
    piped(3, 9, {}, None)
    assert [json.loads(text)["iteration"] for text in capsys.readouterr().out.splitlines()] == [3]
