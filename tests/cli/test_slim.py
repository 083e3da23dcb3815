"""`reslab slim`: the plan of a real net, the sentences for what cannot be, the folder that is another's."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

import reslab
from reslab.cli import main
from reslab.slim.families.images import Images

GOLDEN = Path(__file__).parents[1] / "golden" / "folders"
pytestmark = pytest.mark.filterwarnings("ignore:the blocks' times do not add up")  # of so small a net, beside others
FEW = ["--samples", "40", "--threads", "1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of resnet8 on digits, and the plan to remove one block of it."""
    place = tmp_path_factory.mktemp("slim")
    shutil.copytree(GOLDEN / "images-finished", place / "runs" / "digits")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.chdir(place)
        assert main(["slim", "runs/digits", "--remove", "1", "--dry-run", *FEW]) == 0
    return place


@pytest.fixture
def there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def test_a_plan_is_stored_drawn_and_nothing_else_done(there: Path) -> None:
    plan = json.loads(Path("runs/slim-digits/results/slim-plan.json").read_text())
    assert (plan["goal"], plan["target"], plan["chosen"], plan["by"]) == ("remove", 1, 1, "disabling")
    assert [block["module"] for block in plan["blocks"]] == ["stages.0.0", "stages.1.0", "stages.2.0"]
    assert "test" not in plan["data"]
    assert "a plan to remove 1 of 3 blocks" in Path("runs/slim-digits/report.html").read_text()
    made = {path.name for path in Path("runs/slim-digits").iterdir()}
    assert {name for name in made if not name.startswith("reslab-plotly")} == {
        ".lock", "results", "plan-state.json", "report.html"}  # fmt: skip
    assert not Path("runs/slim-digits/results/slim.json").exists()


def test_json_is_the_plan_again_without_measuring_it_anew(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = json.loads(Path("runs/slim-digits/plan-state.json").read_text())
    assert main(["slim", "runs/digits", "--remove", "1", "--dry-run", "--json", *FEW]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == "runs/slim-digits"
    assert found["plan"]["steps"][1]["values"] == before["levels"][1][0]["values"]


@pytest.mark.parametrize(("words", "sentence"), [
    (["runs/digits"], "name one target: --remove N blocks, --speedup 1.5, --max-macs 0.5 or --keep-error 1"),
    (["runs/digits", "--remove", "1", "--speedup", "2"], "2 targets were given; name exactly one of --remove"),
    (["runs/digits", "--remove", "0"], "--remove is a number of blocks, at least 1, got 0"),
    (["runs/digits", "--max-macs", "0.0001"], "of the MACs of ResNet; the nearest is --max-macs"),
    (["runs/digits", "--remove", "3", "--keep", "nowhere"], "has no block 'nowhere'"),
    (["runs/none", "--remove", "1"], "no run folder, checkpoint file or Hugging Face folder named 'runs/none'"),
    (["net:plain8", "--data", "digits", "--remove", "1"], "no"),
    (["runs/digits", "--remove", "1", "--threads", "-1"], "threads must be zero or more, got -1"),
    (["runs/digits", "--remove", "1", "--seeds", "0"], "seeds must be positive, got 0"),
    (["runs/digits", "--remove", "1", "--out", "runs/digits"], "has no results of `reslab slim`; choose another folder "
     "with --out"),
    (["runs/digits", "--remove", "1", "--samples", "0"], "samples must be positive, got 0"),
])  # fmt: skip
def test_what_cannot_be_is_one_sentence(
    there: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["slim", *words, "--dry-run", *(FEW if not {"--threads", "--samples"} & {*words} else [])]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


def test_without_training_the_smaller_model_is_there(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["slim", "runs/digits", "--remove", "1", "--epochs", "0", "--out", "runs/cut", *FEW]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "remove 1 of 3 blocks of ResNet" in out
    assert out.index("remove 1 of 3 blocks of ResNet") < out.index("1 block removed")  # the plan first
    done = json.loads(Path("runs/cut/results/slim.json").read_text())
    assert [arm["what"] for arm in done["arms"]] == ["intact", "cut", "norms"]
    assert done["difference"] < 1e-5
    assert f"model:  {done['loads']}" in out
    assert done["commands"] == ["reslab eval runs/cut/model", "reslab predict runs/cut/model IMAGES",
                                "reslab look lesions runs/cut/model"]  # fmt: skip
    small = sum(p.numel() for p in reslab.load("runs/cut/model").parameters())
    assert small == done["after"]["params"] == done["before"]["params"] - done["removed"][0]["params"]
    assert main([*words, "--json"]) == 0  # finished: found again
    assert json.loads(capsys.readouterr().out)["slim"]["arms"] == done["arms"]
    assert main([*words[:3], "2", *words[4:]]) == 2
    said = capsys.readouterr().err
    assert "a job with different settings (remove: 1 there, 2 requested); choose another folder with --out" in said


@pytest.mark.slow
def test_the_whole_job(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every stage and its page; the trainings are runs of their own."""
    assert main(["slim", "runs/digits", "--remove", "1", "--epochs", "1", "--out", "runs/whole", *FEW]) == 0
    out = capsys.readouterr().out
    for name in ("intact ", "blocks removed", "BatchNorm averaged", "healed", "intact-longer", "scratch"):
        assert f"\n {name}" in out
    page = Path("runs/whole/report.html").read_text()
    assert "The models side by side" in page
    assert main(["runs", "runs/whole"]) == 0
    assert "runs/whole/healed-s0" in capsys.readouterr().out
    for command in [line.split()[2:] for line in out.splitlines() if line.startswith("next:   reslab eval")]:
        assert main(command) == 0


def test_an_error_to_keep_needs_an_error(
    there: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for questions and texts, whose plans measure a loss."""
    monkeypatch.setattr(Images, "metrics", lambda self: ["loss"])
    assert main(["slim", "runs/digits", "--keep-error", "1", "--dry-run", *FEW]) == 2
    said = capsys.readouterr().err
    assert "not what a plan for images measures; use --remove, --speedup or --max-macs" in said


def test_another_model_in_the_folder_is_refused(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["net:resnet8", "--data", "digits", "--remove", "1", "--dry-run", "--out", "runs/slim-digits", *FEW]
    assert main(["slim", *words]) == 2
    assert "plan-state.json belongs to a plan with other settings" in capsys.readouterr().err


def test_a_damaged_plan_is_one_sentence(there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("runs/slim-digits", tmp_path / "s")
    (tmp_path / "s" / "plan-state.json").write_text('{"about": 3}')
    words: list[Any] = ["slim", "runs/digits", "--remove", "1", "--dry-run", "--out", str(tmp_path / "s"), *FEW]
    assert main(words) == 1
    assert "plan-state.json is damaged" in capsys.readouterr().err
