"""A run of claims from cells that are done: measured, judged, stored; failures, Ctrl-C and other folders."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from reslab.cli import main
from reslab.errors import Sentence, UsageError
from reslab.images.data import load
from reslab.run import Run
from reslab.study.claims import run as running
from reslab.study.claims.agree import agreement, read
from reslab.study.claims.markdown import markdown
from reslab.study.claims.plan import Asked, planned
from reslab.study.claims.prepare import Prepared, prepare
from reslab.study.claims.reading import claims
from reslab.study.grid import Cell
from reslab.train.signals import Interrupted

NAMES = "plain-degrades,residual-cures,shortcuts-free"
DOCS = Path(__file__).parents[3] / "docs" / "examples" / "claims"
ERRORS = {"plain20": 10.0, "plain56": 40.0, "resnet20": 5.0, "resnet56": 4.0}  # training, %


def write(cell: Cell, cache: Path, *, shift: float = 0.0) -> None:
    """The result of a training, invented: its net's error, noise of plain56 by seed, and of plain20 by `shift`."""
    settings = cell.settings
    k = settings["seed"] % 5 - 2  # -2 to 2
    error = ERRORS[settings["net"]] + {"plain56": 0.3 * k, "plain20": shift * k}.get(settings["net"], 0.0)
    folder = Run(cache / cell.key)
    folder.make()
    folder.write_json("cell.json", {"work": cell.work, "settings": settings, "seconds": 2.0, "values": {
        "train_error": error, "train_error_eval": error, "test_error": error, "test_n": 360}})  # fmt: skip


def filled(cache: Path, *, only: str = "plain-degrades,residual-cures", seed: int = 0, shift: float = 0.0) -> Path:
    for name in only.split(","):
        one = planned(claims()[name], Asked(data=load("digits"), word="digits", options={}, seed=seed))
        for cell in one.all_cells:
            write(cell, cache, shift=shift)
    return cache


@pytest.fixture
def ready(tmp_path: Path) -> Prepared:
    """Two claims, all of whose trainings are done."""
    return prepare(only="plain-degrades,residual-cures", cache=filled(tmp_path / "cells"))


def test_what_is_done_is_judged_and_stored(tmp_path: Path, ready: Prepared) -> None:
    assert ready.costs.seconds(ready.runs) == 0
    found = running.claims(tmp_path / "c", ready, commands=lambda name: f"run {name}", command="all")
    assert [(one["name"], one["verdict"]) for one in found["claims"]] == [
        ("plain-degrades", "holds"), ("residual-cures", "holds")
    ]  # fmt: skip
    stored = read(tmp_path / "c")
    first = stored["claims"][0]
    assert first["judged"]["mean"] == pytest.approx(30)
    assert first["judged"]["effects"] == pytest.approx([29.4, 29.7, 30.0, 30.3, 30.6])
    assert (first["group"], first["command"], first["seconds"]) == ("He et al. 2015", "run plain-degrades", 20.0)
    assert stored["seconds"] == 2.0 * len(ready.cells)
    assert (stored["edition"], stored["seeds"], stored["command"]) == ("quick", [0, 1, 2, 3, 4], "all")
    assert "Holm" in stored["families"]
    assert stored["papers"][0]["key"] == "he2015"


def test_a_cell_that_fails_takes_its_claims_alone(
    tmp_path: Path, ready: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = ready.runs[0].cells["b"][2]

    def partly(cells: Sequence[Cell], cache: Path, *, failures: dict[Cell, Sentence], **rest: Any) -> Any:
        failures[bad] = Sentence("train plain20: the loss is not finite")
        return {cell: one for cell, one in running.plan_cells(cells, cache).found.items() if cell != bad}

    monkeypatch.setattr(running, "run_cells", partly)
    found = running.claims(tmp_path / "c", ready)
    assert [(one["verdict"], one["why_not"]) for one in found["claims"]] == [
        ("not run", "train plain20: the loss is not finite"), ("holds", "")
    ]  # fmt: skip


def test_what_is_done_before_ctrl_c_is_judged_and_the_rest_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = filled(tmp_path / "cells", only="plain-degrades")
    ready = prepare(only=NAMES, cache=cache)

    def stop(*_: Any, **__: Any) -> Any:
        raise Interrupted("stopped; run the same command again to resume", 2)

    monkeypatch.setattr(running, "run_cells", stop)
    with pytest.raises(Interrupted) as error:
        running.claims(tmp_path / "c", ready)
    assert error.value.exit_code == 130
    found = {one["name"]: one for one in read(tmp_path / "c")["claims"]}
    assert {name: one["verdict"] for name, one in found.items()} == {
        "plain-degrades": "holds", "residual-cures": "not run", "shortcuts-free": "not run"
    }  # fmt: skip
    assert found["residual-cures"]["why_not"] == "stopped before its cells were done: the same command resumes"


def test_a_measurement_that_fails_is_a_sentence(
    tmp_path: Path, ready: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = ready.runs[0].cells["a"][0]
    kept = json.loads((tmp_path / "cells" / cell.key / "cell.json").read_text())
    Run(tmp_path / "cells" / cell.key).write_json("cell.json", {**kept, "values": {"other": 1.0}})
    found = running.claims(tmp_path / "c", ready, cache=tmp_path / "cells")
    assert found["claims"][0]["verdict"] == "not run"
    assert found["claims"][0]["why_not"].startswith("its cells' results cannot be measured: ")


def test_a_folder_of_something_else_is_refused(tmp_path: Path, ready: Prepared) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "spec.json").write_text("{}")
    with pytest.raises(UsageError, match="is not empty and holds no claims; choose another folder"):
        running.claims(tmp_path / "c", ready)


def test_two_runs_agree_or_differ(tmp_path: Path, ready: Prepared) -> None:
    """With other seeds, the errors of plain20 differ by 40 points from seed to seed: its claim alone is not shown."""
    running.claims(tmp_path / "a", ready, cache=tmp_path / "cells")
    other = prepare(only="plain-degrades,residual-cures", seed=100,
                    cache=filled(tmp_path / "more", seed=100, shift=40.0))  # fmt: skip
    running.claims(tmp_path / "b", other, cache=tmp_path / "more")
    same = agreement(tmp_path / "a", tmp_path / "a")
    assert same["sentence"] == "2 of 2 verdicts agree: 100.0 % (95 % interval 34.2 to 100.0)"
    found = agreement(tmp_path / "a", tmp_path / "b")
    assert found["differ"] == [{"name": "plain-degrades", "a": "holds", "b": "not shown"}]
    assert (found["share"], found["not_compared"]) == (0.5, [])
    assert same["note"] == ("both runs have seeds 0, 1, 2, 3, 4, so they agree more than runs with other seeds would")
    assert found["note"] == ""


def test_runs_on_other_data_are_not_compared(tmp_path: Path, ready: Prepared) -> None:
    content = running.claims(tmp_path / "a", ready)
    content["data"]["fingerprint"], content["data"]["name"] = "another", "mine"
    Run(tmp_path / "b").make()
    Run(tmp_path / "b").write_json("results/claims.json", content)
    with pytest.raises(UsageError, match=r"is on other data than .*: digits and mine"):
        agreement(tmp_path / "a", tmp_path / "b")


def test_no_claim_in_both(tmp_path: Path, ready: Prepared) -> None:
    content = running.claims(tmp_path / "a", ready)
    for one in content["claims"]:
        one["verdict"] = "not run"
    Run(tmp_path / "b").make()
    Run(tmp_path / "b").write_json("results/claims.json", content)
    with pytest.raises(UsageError, match="no claim was run in both"):
        agreement(tmp_path / "a", tmp_path / "b")
    with pytest.raises(UsageError, match="it is no folder of `reslab claims`"):
        agreement(tmp_path, tmp_path)


def test_the_table_in_markdown(tmp_path: Path, ready: Prepared) -> None:
    lines = markdown(running.claims(tmp_path / "c", ready, command="reslab claims")).splitlines()
    assert lines[0].startswith("`reslab claims`: 2 claims, 2 holds; seeds 0 to 4; ")
    assert lines[2] == "| claim | paper | verdict | effect (95 % interval) | predicted | n | p (Holm) |"
    assert lines[4].startswith(
        "| Deeper plain nets train worse (`plain-degrades`) | He et al. 2015 | holds | 30 points"
    )
    assert len(lines) == 6


def test_the_command_line_runs_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(Path("runs/cells"))
    words = ["claims", "--only", "plain-degrades,residual-cures"]
    assert main([*words, "--dry-run"]) == 0
    assert "2 of 2 claims on digits: 15 cells, 15 of them done; nothing is left to compute" in capsys.readouterr().out
    assert not Path("runs/claims-digits-plain-degrades-residual-cures").exists()
    assert main(words) == 0
    said = capsys.readouterr()
    assert "HOLDS  Deeper plain nets train worse (plain-degrades)" in said.out
    assert "2 claims: 2 holds" in said.out
    folder = "runs/claims-digits-plain-degrades-residual-cures"
    assert f"report: {folder}/report.html" in said.out
    assert main(["claims", "agree", folder, folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["share"] == 1
    assert main(["claims", "table", folder]) == 0
    assert "| holds | 30 points" in capsys.readouterr().out


def test_unknown_words_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--only", "plain-degrade"], "no claim named 'plain-degrade'; did you mean 'plain-degrades'?"),
        (["--budget", "0"], "budget must be positive, got 0"),
        (["--seeds", "0"], "seeds must be positive, got 0"),
        (["--seed", "-1"], "seed must not be negative, got -1"),
        (["--data", "digit"], "digit"),
        (["show", "nothing-like-it"], "`reslab claims list` lists them"),
        (["agree", "no-a", "no-b"], "no-a"),
    ):
        assert main(["claims", *words]) == 2, words
        assert said in capsys.readouterr().err


def test_show_says_all_of_a_claim(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "show", "plain-degrades"]) == 0
    said = capsys.readouterr().out
    keys = [line.partition(":")[0] for line in said.splitlines()[1:]]
    assert keys == ["claim", "paper", "formula", "meaning", "prediction", "why", "fixed", "experiment", "settings",
                    "cost", "power", "deviations", "turns", "false for", "command"]  # fmt: skip
    assert "with probability 80 %" in said


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_same_command_resumes(tmp_path: Path) -> None:
    """A process of its own, stopped while it trains: its page has the claims that were done; then the rest follows."""
    filled(tmp_path / "runs" / "cells", only="plain-degrades")
    own = tmp_path / "own"
    own.mkdir()
    text = (DOCS / "wider-fits-better.toml").read_text(encoding="utf-8").replace("zagoruyko2016", "he2015")
    (own / "slow-one.toml").write_text(text.replace("epochs = 8", "epochs = 3"), encoding="utf-8")
    words = [sys.executable, "-m", "reslab", "claims", "--only", "plain-degrades,slow-one", "--claims", "own", "--out",
             "runs/c", "--jobs", "1"]  # fmt: skip
    stopped = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(1200):
        if any((tmp_path / "runs" / "cells").glob("*/run/recipe.toml")):
            break
        time.sleep(0.1)
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate(timeout=120)
    assert stopped.returncode == 130, said
    assert "Traceback" not in said
    assert (tmp_path / "runs" / "c" / "report.html").is_file()
    assert [one["verdict"] for one in read(tmp_path / "runs" / "c")["claims"]] == ["holds", "not run"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = read(tmp_path / "runs" / "c")["claims"]
    assert (first["verdict"], second["judged"]["n"]) == ("holds", 5)


def test_other_claims_into_one_folder_stay_and_are_judged_together(tmp_path: Path) -> None:
    cache, out = filled(tmp_path / "cells"), tmp_path / "c"
    running.claims(out, prepare(only="plain-degrades", cache=cache), cache=cache)
    assert read(out)["claims"][0]["judged"]["family"] == 1
    second = prepare(only="residual-cures", cache=cache, out=out)
    assert second.notes[0].endswith("judged anew with these as one family: plain-degrades")
    found = running.claims(out, second, cache=cache)
    assert {one["name"]: one["judged"]["family"] for one in found["claims"]} == {
        "plain-degrades": 2,
        "residual-cures": 2,
    }
    with pytest.raises(UsageError, match="it was run with other seeds; choose another folder"):
        prepare(only="shortcuts-free", seed=100, cache=cache, out=out)
    stored = read(out)
    for key, value, kept in (("why", "Another reason.", True), ("spread", 7.0, True), ("threshold", 3.0, False)):
        changed = deepcopy(stored)
        changed["claims"][0]["prediction"][key] = value  # type: ignore[literal-required]
        Run(out).write_json("results/claims.json", changed)
        with nullcontext() if kept else pytest.raises(UsageError, match="it is another claim now"):
            prepare(only="shortcuts-free", cache=cache, out=out)
    Run(out).write_json("results/claims.json", stored)
    with pytest.raises(UsageError, match="what was computed for them is not in"):
        prepare(only="shortcuts-free", cache=tmp_path / "none", out=out)
    with pytest.raises(UsageError, match="which would be lost: they are not in this plan"):
        running.claims(out, prepare(only="plain-degrades", cache=cache), cache=cache)


def test_more_seeds_than_a_file_may_ask_for() -> None:
    with pytest.raises(UsageError, match="seeds must be 1 to 1000, got 100000000"):
        prepare(only="plain-degrades", seeds=100_000_000)


def test_a_table_shows_the_p_of_the_verdict_and_no_markup_of_titles(tmp_path: Path, ready: Prepared) -> None:
    found = running.claims(tmp_path / "c", ready)
    one = found["claims"][0]
    one["title"], one["verdict"] = "<script>|[a](b)", "equivalent"
    one["judged"].update(p_holm=0.19, p_opposite_holm=0.0021)
    row = markdown(found).splitlines()[4]
    assert row.startswith(r"| &lt;script&gt;\|\[a\](b) (`plain-degrades`) |")
    assert row.endswith("| 0.0021 |")


def test_the_manual_of_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "experiments"]) == 0
    assert "  lesions      Lesions of a net on images" in capsys.readouterr().out
    assert main(["claims", "experiments", "counted"]) == 0
    assert "difference | percent | per layer, needed" in capsys.readouterr().out
    assert main(["claims", "experiments", "counter"]) == 2
    assert "did you mean 'counted'?" in capsys.readouterr().err
