"""reslab tables: train, eval and predict as commands; every mistake is one sentence."""

import csv
import json
import random
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from reslab.cli import main
from reslab.cli.tables.flags import number, pairs
from reslab.run import Run

pytest.importorskip("pyarrow")

TINY = ["--sizes", "depth=2", "width=8", "inner=8", "embedding=4", "bins=4"]
QUICK = ["--epochs", "2", "--precision", "fp32", "--compile", "off", "--threads", "1"]
ALONE = ["--members", "1"]  # by default, a small table gets five
NAMES = ["id", "age", "town", "tags", "note", "same", "pays"]


def write(path: str, rows: Sequence[Sequence[Any]], names: Sequence[str] = NAMES) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


def read(path: str) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def people(n: int, seed: int = 0) -> list[list[Any]]:
    """Who is over 40 pays; towns, tags and notes say nothing."""
    dice = random.Random(seed)
    rows = []
    for k in range(n):
        age = dice.randrange(18, 80)
        town, tags = dice.choice(["Morn", "Tarn", ""]), "|".join(dice.sample(["a", "b", "c"], 2))
        note = f"{dice.choice('xyz')} said {dice.randrange(40)} times that it rains"
        rows.append([f"K{k}", age, town, tags, note, 7, "yes" if age > 40 else "no"])
    return rows


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("people.csv", people(120))
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with people.csv and a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write("people.csv", people(120))
        assert trained("--out", "run") == 0
    return folder


@pytest.fixture
def stand(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to stand in."""
    shutil.copytree(finished, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def trained(*words: str, target: str = "pays") -> int:
    many = [] if "--members" in words else ALONE
    return main(
        ["tables", "train", "people.csv", "--target", target, "--kinds", "id=skip", *TINY, *QUICK, *many, *words]
    )


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def test_from_a_file_to_predictions(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained() == 0
    out, err = capsys.readouterr()
    folder = Path("runs/tables-people-gated-depth2-width8-inner8-embedding4-bins4-epochs2-s0")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in ("column kind read as", "id skip left out", "age number rank and z-score",
                 "town category one of 2 values, or missing", "tags categories several of 3 values",
                 "same skip left out", "trained gated on people.csv"):  # fmt: skip
        assert line in lines
    assert err.count("warning: column 'same': constant ('7' in every row); ignored") == 1
    assert "(95 % interval " in out
    assert "n = 24)" in out  # a fifth of 120
    assert "expected calibration error" in out
    assert "most important columns (accuracy lost by shuffling): " in out
    assert f"next:   reslab tables predict {folder} FILE" in out
    assert "Predicting pays" in (folder / "report.html").read_text()

    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"}
    assert trained() == 0
    assert capsys.readouterr().out.startswith(f"{folder} is already finished; nothing to do\naccuracy ")
    assert {path: path.stat().st_mtime_ns for path in before} == before

    assert main(["tables", "predict", str(folder), "people.csv", "--keep", "id", "--json"]) == 0
    found = told(capsys)
    rows = read("predictions.csv")
    assert (found["n"], found["predictions"], len(rows)) == (120, "predictions.csv", 120)
    assert list(rows[0]) == ["id", "row", "predicted", "p(no)", "p(yes)"]
    assert [row["id"] for row in rows] == [f"K{k}" for k in range(120)]
    for row in rows:
        yes = float(row["p(yes)"])
        assert float(row["p(no)"]) + yes == pytest.approx(1)
        assert row["predicted"] == ("yes" if yes > 0.5 else "no")
    assert found["classes"].get("yes", 0) == sum(row["predicted"] == "yes" for row in rows)


def test_eval_equals_counting_by_hand(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = people(50, seed=1)
    write("others.csv", others)
    assert main(["tables", "eval", "run", "others.csv", "--json"]) == 0
    result = told(capsys)
    assert main(["tables", "predict", "run", "others.csv", "--out", "p.csv"]) == 0
    predicted = [row["predicted"] for row in read("p.csv")]
    right = sum(a == row[-1] for a, row in zip(predicted, others, strict=True))
    assert result["test"]["accuracy"] == pytest.approx(right / 50)
    assert sum(map(sum, result["confusion"])) == 50
    assert json.loads(Path("run/results/eval-others.json").read_text())["test"] == result["test"]
    assert main(["tables", "eval", "run", "others.csv"]) == 0
    assert f"accuracy {100 * right / 50:.2f} % (95 % interval " in capsys.readouterr().out
    assert main(["report", "run"]) == 0
    assert "others.csv" in Path("run/report.html").read_text()


def test_the_runs_own_test_rows_score_the_same(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its predictions.csv names the rows of the file: put in a file of their own, they score as they did."""
    rows = people(120)
    held = [int(row["row"]) for row in read("run/predictions.csv")]
    write("held.csv", [rows[k] for k in held])
    assert main(["tables", "eval", "run", "held.csv", "--json"]) == 0
    stored, told_now = json.loads(Path("run/results/train.json").read_text()), told(capsys)["test"]
    for key in ("accuracy", "auc", "log_loss", "n"):
        assert told_now[key] == pytest.approx(stored["test"][key])


def test_a_file_of_test_rows_and_parquet(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write("test.csv", people(30, seed=2))
    rows = list(zip(*people(60), strict=True))
    pq.write_table(pa.table(dict(zip(NAMES, rows, strict=True))), "people.parquet")
    words = ["tables", "train", "people.parquet", "--target", "age", "--test", "test.csv", "--kind", "numbers"]
    assert main([*words, *TINY, *QUICK, *ALONE, "--out", "run", "--json"]) == 0
    result = told(capsys)
    assert (result["kind"], result["main"], result["test"]["n"]) == ("numbers", "rmse", 30)
    assert main([*words, *TINY, *QUICK, *ALONE, "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert "expected calibration error" not in out
    assert "most important columns (RMSE added by shuffling): " in out  # an error: shuffling makes it larger
    assert main(["tables", "predict", "run", "test.csv", "--out", "p.parquet", "--keep", "id", "age"]) == 0
    assert "numbers: least " in capsys.readouterr().out
    table = pq.read_table("p.parquet")
    assert table.column_names == ["id", "age", "row", "predicted"]
    assert table["age"].to_pylist() == [row[1] for row in people(30, seed=2)]  # whole numbers stay whole


def test_two_files_of_one_name_have_a_result_each(stand: Path) -> None:
    Path("more").mkdir()
    shutil.copy("people.csv", "more/people.csv")
    for word in ("people.csv", "more/people.csv", "people.csv"):
        assert main(["tables", "eval", "run", word]) == 0
    stored = {path.name: json.loads(path.read_text())["file"] for path in (stand / "run/results").glob("eval-*.json")}
    assert stored == {"eval-people.json": "people.csv", "eval-people-2.json": "more/people.csv"}


def test_a_run_is_looked_at_by_its_test_rows(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["look", "lesions", "run", "--json"]) == 0
    found, result = told(capsys), json.loads((stand / "run/results/train.json").read_text())
    stored = json.loads((stand / "runs/look-run/results/look-lesions.json").read_text())
    assert stored["whole"]["error"] == pytest.approx(1 - result["test"]["accuracy"])
    assert stored["n"] == result["test"]["n"] == 24
    assert found
    assert main(["look", "merges", "run", "--no-weights"]) == 2
    assert "run holds a net for tables, which is only measured with its trained weights" in capsys.readouterr().err


def test_several_labels(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[row[1], int(row[1] > 40), int(row[1] > 60)] for row in people(120)]
    write("labels.csv", rows, ["age", "paying", "old"])
    words = [
        "tables",
        "train",
        "labels.csv",
        "--target",
        "paying",
        "old",
        *TINY,
        *QUICK,
        *ALONE,
        "--out",
        "run",
        "--json",
    ]
    assert main(words) == 0
    assert told(capsys)["kind"] == "labels"
    assert "true paying" in read("run/predictions.csv")[0]
    assert main(["tables", "predict", "run", "labels.csv", "--out", "p.csv"]) == 0
    first = read("p.csv")[0]
    assert list(first) == ["row", "predicted paying", "predicted old", "p(paying)", "p(old)"]
    assert main(["tables", "eval", "run", "labels.csv"]) == 0
    assert "all labels right" in capsys.readouterr().out


def test_several_numbers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("numbers.csv", [[row[1], row[1] / 3, 100 - row[1] / 7] for row in people(120)], ["age", "third", "rest"])
    words = ["tables", "train", "numbers.csv", "--target", "third", "rest", *TINY, *QUICK, *ALONE, "--out", "run"]
    assert main(words) == 0
    assert list(read("run/predictions.csv")[0]) == ["row", "true third", "true rest", "predicted third",
                                                    "predicted rest"]  # fmt: skip
    assert main(["tables", "predict", "run", "numbers.csv"]) == 0
    assert list(read("predictions.csv")[0]) == ["row", "predicted third", "predicted rest"]


def test_members_are_averaged(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained("--members", "2", "--seed", "5", "--out", "both", "--json") == 0
    result = told(capsys)
    assert Run("both").read_json("members.json") == {"members": ["s0", "s1"]}
    assert [one["seed"] for one in result["members"]] == [5, 6]
    assert [json.loads(Path(f"both/s{k}/results/train.json").read_text())["seed"] for k in (0, 1)] == [5, 6]
    calibration = Run("both").read_json("calibration.json")
    assert result["calibration"] == calibration
    assert calibration["n"] == 39  # two folds of 96 rows in five
    assert not Path("both/s0/calibration.json").exists()
    tables = [read(f"both/{name}predictions.csv") for name in ("", "s0/", "s1/")]
    for mean, one, other in zip(*tables, strict=True):
        # the geometric mean of each class, relative to its share, to the power of the calibration's strength
        no, yes = (share * ((float(one[key]) * float(other[key])) ** 0.5 / share) ** calibration["strength"]
                   for key, share in zip(("p(no)", "p(yes)"), calibration["center"], strict=True))  # fmt: skip
        assert float(mean["p(yes)"]) == pytest.approx(yes / (no + yes))
    assert main(["tables", "predict", "both", "people.csv"]) == 0
    assert main(["tables", "eval", "both", "people.csv"]) == 0
    assert main(["report", "both"]) == 0
    assert "2 × gated" in Path("both/report.html").read_text()
    capsys.readouterr()
    assert trained("--members", "2", "--seed", "5", "--out", "both") == 0
    assert capsys.readouterr().out.startswith("both is already finished; nothing to do")
    for words, sentence in (
        (["--members", "3"], "both already contains 2 members, not 3; choose another folder with --out"),
        (["--members", "2", "--lr", "1"], "both/s0 already contains a run with different settings (lr"),
        ([], "both already contains an ensemble of several nets; choose another folder with --out"),
    ):
        assert trained("--seed", "5", "--out", "both", *words) == 2
        assert sentence in capsys.readouterr().err


def test_one_net_and_several_have_a_folder_each(here: Path) -> None:
    """The default for 120 rows is five nets, and one net is asked for by --members 1, whichever comes first."""
    from reslab.cli.tables.flags import _Net, _Table
    from reslab.cli.tables.train import made

    def folder(members: int | None) -> str:
        net = _Net(members=members, sizes=TINY[1:])
        return made("people.csv", ["pays"], None, None, net, _Table(), None, None)[0].folder.name

    first = folder(None)
    assert [folder(1), folder(None), folder(1)] == [f"{first}-2", first, f"{first}-2"]
    shutil.rmtree("runs")
    assert [folder(1), folder(None), folder(1)] == [first, f"{first}-2", first]


@pytest.mark.parametrize("members", ["1", "2"])
def test_stopped_and_gone_on_with(
    members: str, here: Path, stopped_after: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C, then --resume without a path: the same predictions as never stopped."""
    assert trained("--members", members, "--out", "whole") == 0
    capsys.readouterr()
    with stopped_after(3, signal.SIGINT):
        assert trained("--members", members) == 130
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "stopped at iteration 3" in said.splitlines()[-1]
    assert main(["train", "--resume"]) == 2  # it is no run of images
    assert main(["tables", "train", "--resume", "--lr", "1"]) == 2
    assert "leave out --lr" in capsys.readouterr().err
    assert main(["tables", "train", "--resume"]) == 0
    (folder,) = Path("runs").iterdir()
    assert (folder / "predictions.csv").read_bytes() == Path("whole/predictions.csv").read_bytes()
    assert main(["tables", "train", "--resume"]) == 2
    assert "there is no unfinished run under runs/" in capsys.readouterr().err


TRAIN = ["train", "people.csv", "--target", "pays"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["train"], 2, "name the table and its target: reslab tables train FILE --target NAME"),
        (["train", "people.csv"], 2, "name the column to predict, with --target"),
        (["train", "none.csv", "--target", "pays"], 2, "no such file: none.csv"),
        (["train", "people.txt", "--target", "pays"], 2, "unsupported file type: people.txt"),
        (["train", "empty.csv", "--target", "pays"], 2, "empty.csv: the table has no rows"),
        (["train", "nothing.csv", "--target", "pays"], 2, "nothing.csv is empty"),
        (["train", "ragged.csv", "--target", "pays"], 1, "cannot read ragged.csv"),
        (["train", "broken.parquet", "--target", "pays"], 1, "broken.parquet is no parquet file, or is damaged"),
        (["train", "people.csv", "--target", "pay"], 2, "no column named 'pay'; did you mean 'pays'?"),
        (["train", "people.csv", "--target", "pays", "pays"], 2, "the target 'pays' is named twice"),
        (["train", "people.csv", "--target", "town"], 2, "the target 'town' has no value in row"),
        (["train", "people.csv", "--target", "same"], 2, "people.csv, 'same': the target has only one class, 7"),
        (["train", "people.csv", "--target", "note", "--kind", "numbers"], 2, "a target of numbers has"),
        (["train", "constant.csv", "--target", "pays"], 2, "every column is constant, empty or skipped ('"),
        (["train", "only.csv", "--target", "pays"], 2, "only.csv has no columns besides the target"),
        (["train", "three.csv", "--target", "pays"], 2, "3 rows of 2 classes are too few to set 20 % aside of each"),
        (["train", "names.csv", "--target", "id"], 2, "say --kind numbers where the target is a number"),
        (
            ["train", "endless.csv", "--target", "pays"],
            2,
            "the target 'pays' is infinite in row 1 of endless.csv; remove",
        ),
        (
            ["train", "people.csv", "--target", "xyz"],
            2,
            "people.csv: no column named 'xyz'; the table has id, age",
        ),
        ([*TRAIN, "--kinds", "town"], 2, "--kinds takes NAME=VALUE, got 'town'"),
        ([*TRAIN, "--kinds", "twon=skip"], 2, "no column named 'twon'; did you mean 'town'?"),
        ([*TRAIN, "--kinds", "town=categry"], 2, "column 'town' cannot be 'categry'"),
        ([*TRAIN, "--kinds", "note=number"], 2, "column 'note' is of kind 'number', but row 0 is"),
        ([*TRAIN, "--sizes", "dept=2"], 2, "'dept'"),
        ([*TRAIN, "--sizes", "depth=two"], 2, "depth must be a whole number of at least 1, got 'two'"),
        ([*TRAIN, "--net", "gatd"], 2, "no preset named 'gatd'; did you mean 'gated'"),
        ([*TRAIN, "--kind", "class"], 2, 'Invalid value "class" for --kind'),
        ([*TRAIN, "--class-weight", "even"], 2, "--class-weight takes NAME=VALUE, got 'even'"),
        ([*TRAIN, "--class-weight", "maybe=2"], 2, "there is a weight for the class 'maybe', but the target has no"),
        ([*TRAIN, "--class-weight", "yes=-1"], 2, "the weight of class 'yes' must be a number above 0, got -1"),
        ([*TRAIN, "--members", "0"], 2, "members must be at least 1, got 0"),
        ([*TRAIN, "--test-share", "1.5"], 2, "the test part must be a share between 0 and 1, got 1.5"),
        ([*TRAIN, "--test-share", "0.5", "--test", "people.csv"], 2, "give only one of them"),
        ([*TRAIN, "--test", "strange.csv"], 2, "is 'perhaps', which was not in training; its classes are"),
        ([*TRAIN, "--test", "short.csv"], 2, "missing columns: 'town', 'tags', 'note'"),
        ([*TRAIN, "--recipe", "tabels"], 2, "no recipe named 'tabels'; did you mean 'tables'?"),
        ([*TRAIN, "--recipe", "fast-cifar"], 2, "is for images only, got"),
        ([*TRAIN, "--device", "tpu"], 2, "device 'tpu' is not available on this machine"),
        ([*TRAIN, *ALONE, "--out", "people.csv"], 1, "cannot write people.csv: a file is in the place of a folder"),
        ([*TRAIN, "--members", "2", "--out", "people.csv"], 1, "a file is in the place of a folder"),
        ([*TRAIN, *ALONE, "--out", "full"], 2, "full is not empty and not a run folder"),
        ([*TRAIN, "--out", "full"], 2, "full contains something other than 5 members"),
        ([*TRAIN, "--members", "2", "--out", "full"], 2, "full contains something other than 2 members"),
        (["train", "--resume"], 2, "there is no unfinished run under runs/"),
        (["train", "--resume", "--out", "full"], 2, "full is not a run folder: nothing to resume"),
        (["train", "people.csv", "--resume"], 2, "leave out the file"),
        (["predict", "nowhere", "people.csv"], 2, "nowhere is not a run folder"),
        (["eval", "nowhere", "people.csv"], 2, "nowhere is not a run folder"),
    ],
)
def test_mistakes_of_training(
    words: list[str], code: int, sentence: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = people(40)
    write("empty.csv", [])
    Path("nothing.csv").write_text("")
    Path("people.txt").write_text("age")
    Path("ragged.csv").write_text("age,pays\n1,yes\n2,no,3\n")
    Path("broken.parquet").write_bytes(b"PAR1 and no more")
    write("constant.csv", [[7, row[-1]] for row in rows], ["same", "pays"])
    write("only.csv", [[row[-1]] for row in rows], ["pays"])
    write("three.csv", [[1, "yes"], [2, "no"], [3, "yes"]], ["age", "pays"])
    write("names.csv", rows)
    write("endless.csv", [[1, 1.5], [2, "inf"], [3, 0.5]], ["age", "pays"])
    write("strange.csv", [[*row[:-1], "perhaps"] for row in rows])
    write("short.csv", [[row[0], row[1], row[-1]] for row in rows], ["id", "age", "pays"])
    Path("full").mkdir()
    Path("full/letter.txt").write_text("mine")
    files = set(Path().rglob("*"))
    few = ["--epochs", "1"] if words[0] == "train" and "--resume" not in words else []
    assert main(["tables", *words, *few]) == code
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: column")]
    assert len(said) == 1
    assert said[0].startswith("reslab: ")
    assert sentence in said[0]
    assert set(Path().rglob("*")) == files


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["predict", "run", "none.csv"], 2, "no such file: none.csv"),
        (["predict", "run", "empty.csv"], 2, "empty.csv: the table has no rows"),
        (["predict", "run", "short.csv"], 2, "short.csv: missing columns: 'tags', 'note'"),
        (["predict", "run", "word.csv"], 2, "word.csv: column 'age' is of kind 'number', but row 1 is 'old'"),
        (["predict", "run", "people.csv", "--out", "people.csv"], 2, "--out people.csv is the table itself"),
        (["predict", "run", "people.csv", "--out", "p.xlsx"], 2, "written as .csv or .parquet, got 'p.xlsx'"),
        (["predict", "run", "people.csv", "--out", "run"], 2, "written as .csv or .parquet, got 'run'"),
        (["predict", "run", "people.csv", "--out", "people.csv/p.csv"], 1, "a file is in the place of a folder"),
        (["predict", "run", "people.csv", "--keep", "ids"], 2, "no column named 'ids'; did you mean 'id'?"),
        (["predict", "run", "taken.csv", "--keep", "row"], 2, "column 'row' cannot be kept"),
        (["predict", "run", "people.csv", "--device", "tpu"], 2, "device 'tpu' is not available on this machine"),
        (["eval", "run", "untold.csv"], 2, "no column named 'pays'"),
        (["eval", "run", "strange.csv"], 2, "row 1 of the target is 'perhaps', which was not in training"),
        (["eval", "run", "people.csv", "--target", "town"], 2, "the target 'town' has no value in row"),
        (["eval", "saved", "people.csv"], 2, "saved does not store which column it predicts: name it with --target"),
        (["predict", "unfinished", "people.csv"], 2, "unfinished cannot predict yet: its training is not finished"),
        (["predict", "lost", "people.csv"], 1, "lost/weights.safetensors is missing; restore a copy of it"),
        (["predict", "cut", "people.csv"], 1, "cut/weights.safetensors"),
        (["predict", "odd", "people.csv"], 1, "odd/encoder.json is damaged"),
        (["predict", "none", "people.csv"], 1, "none/members.json is damaged: it names no members"),
        (["predict", "other", "people.csv"], 2, "other holds resnet20, a net for images, not for tables"),
        (["eval", "people.csv", "people.csv"], 2, "people.csv is not a run folder"),
    ],
)
def test_mistakes_with_a_run(
    words: list[str], code: int, sentence: str, stand: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = people(20)
    write("empty.csv", [])
    write("short.csv", [row[:3] for row in rows], NAMES[:3])
    write("word.csv", [[row[0], "old" if k % 2 else row[1], *row[2:]] for k, row in enumerate(rows)])
    write("taken.csv", rows, ["row", *NAMES[1:]])
    write("untold.csv", [row[:-1] for row in rows], NAMES[:-1])
    write("strange.csv", [[*row[:-1], "perhaps" if k == 1 else row[-1]] for k, row in enumerate(rows)])
    for name in ("saved", "unfinished", "lost", "cut", "odd"):
        shutil.copytree("run", name)
    Path("saved/data.json").unlink()
    Path("unfinished/weights.safetensors").unlink()
    Path("unfinished/results/train.json").unlink()
    Path("lost/weights.safetensors").unlink()
    Path("cut/weights.safetensors").write_bytes(Path("run/weights.safetensors").read_bytes()[:99])
    Path("odd/encoder.json").write_text("{")
    Path("other").mkdir()
    Path("none").mkdir()
    Path("none/members.json").write_text('{"members": []}')
    Path("other/spec.json").write_text('{"family": "resnet", "name": "resnet20"}')
    files = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert main(["tables", *words]) == code
    said = capsys.readouterr().err
    assert said.startswith("reslab: ")
    assert said.count("\n") == 1
    assert sentence in said
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == files


def test_what_is_odd_is_told_once_with_counts(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[*row[:2], "Quell" if k < 3 else row[2], *row[3:], "x"] for k, row in enumerate(people(20))]
    write("odd.csv", rows, [*NAMES, "color"])
    assert main(["tables", "predict", "run", "odd.csv"]) == 0
    said = capsys.readouterr().err
    assert "column 'town': 3 of 20 rows have values never or rarely seen in training (e.g. 'Quell')" in said
    assert said.count("'town'") == 1
    assert "column 'color': not in the training table; ignored" in said


def test_scores_are_told_where_nothing_can_be_stored(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("run/results/eval-people.json").mkdir()  # stands in the way, as a folder without permission does
    assert main(["tables", "eval", "run", "people.csv"]) == 0
    out, err = capsys.readouterr()
    assert "warning: the result is not stored: cannot write run/results/eval-people.json: it is a folder" in err
    assert "n = 120)" in out


def test_another_table_is_not_gone_on_with(
    here: Path, stopped_after: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with stopped_after(2):
        assert trained("--out", "run") == 143
    write("people.csv", people(120, seed=3))
    capsys.readouterr()
    assert trained("--out", "run") == 2
    assert "run already contains a run with different settings (bags: (4, 78) there" in capsys.readouterr().err
    assert main(["tables", "train", "--resume", "--out", "run"]) == 1
    assert "differ from those that run started with" in capsys.readouterr().err


def test_a_small_table_is_trained_in_small_batches(stand: Path) -> None:
    """120 rows, 24 for testing and 15 % of the rest for validation: 82 rows make 5 batches of 16, not one of 256."""
    assert json.loads(Path("run/results/train.json").read_text())["batch"] == 16


def test_words_become_values() -> None:
    assert [number(word) for word in ("6", "0.3", "1e-3", "true", "False", "piecewise")] == [
        6, 0.3, 0.001, True, False, "piecewise"]  # fmt: skip
    assert pairs(["a=b=1", "c=2"], "sizes") == {"a=b": 1, "c": 2}


def test_the_target_may_stand_in_a_file_to_predict(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no strange column; another is."""
    write("more.csv", [[*row, 1] for row in people(20)], [*NAMES, "more"])
    assert main(["tables", "predict", "run", "more.csv"]) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if "not in the training table" in line]
    assert warned == ["warning: column 'more': not in the training table; ignored"]
    assert main(["tables", "predict", "run", "more.csv", "--keep", "pays"]) == 0
    assert [row["pays"] for row in read("predictions.csv")] == [row[-1] for row in people(20)]


def test_a_column_that_is_the_target_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("people.csv", [[*row, row[-1].upper()] for row in people(120)], [*NAMES, "again"])
    assert trained() == 0
    assert "warning: column 'again': it has the same information as the target" in capsys.readouterr().err
    assert trained("--kinds", "again=skip", "id=skip", "--out", "other") == 0
    assert "says the same" not in capsys.readouterr().err


def test_a_table_read_in_another_way_is_numbered_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The words for missing values change no size of the net; the same command finds its run again."""
    assert trained() == 0
    capsys.readouterr()
    for said in ("trained gated", "runs/tables-people-gated"):
        assert trained("--missing", "7") == 0
        out, err = capsys.readouterr()
        assert said in out
        assert "different settings (missing: none there, ['7'] requested); this run is runs/" in err
    assert len(list(Path("runs").iterdir())) == 2
