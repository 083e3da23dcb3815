"""reslab qa: train, eval and compare as commands; every mistake is one sentence."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from reslab.cli import main
from reslab.run import Run

pytest.importorskip("transformers")

QUICK = ["--batch", "4", "--precision", "fp32", "--compile", "off", "--threads", "1"]
SMALL = ["--vocabulary", "300", "--hidden", "16", "--encoder-layers", "1", "--length", "48", "--stride", "8"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return facts


def trained(*words: str) -> int:
    return main(["qa", "train", "--data", "facts.json", "--iterations", "3", *QUICK, *SMALL, *words])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def test_from_a_file_to_scores(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained("--head", "tokens", "--layers", "1") == 0
    said = capsys.readouterr().out
    [folder] = Path("runs").glob("qa-facts-small-tokens-layers1-vocabulary300-hidden16-*-s0")
    assert said.startswith("trained small-tokens on facts.json\nexact match ")
    assert f"next:   reslab qa ask {folder} QUESTION --context FILE" in said
    assert "F1" in (folder / "report.html").read_text()
    assert trained("--head", "tokens", "--layers", "1") == 0
    assert f"{folder} is already finished; nothing to do" in capsys.readouterr().out

    assert main(["qa", "eval", str(folder), "--json"]) == 0
    result, stored = told(capsys), json.loads((folder / "results" / "train.json").read_text())
    assert {key: result[key] for key in stored["test"]} == stored["test"]
    assert (result["ece"], result["reliability"]) == (stored["ece"], stored["reliability"])
    assert result == Run(folder).read_json("results/qa-eval.json")

    assert main(["eval", str(folder)]) == 2
    wrong = f"reslab: {folder} holds a net for questions, not for images; use `reslab qa eval {folder}`\n"
    assert capsys.readouterr().err == wrong
    assert main(["look", "merges", str(folder)]) == 2
    why = f"`reslab look` cannot measure yet; in Python, reslab.qa.load('{folder}').net is its net"
    assert why in capsys.readouterr().err

    assert main(["qa", "eval", str(folder), "--data", "facts.json", "--json"]) == 0
    every = told(capsys)
    assert (every["part"], every["n"]) == ("all", 12)
    assert (folder / "results" / "qa-eval-facts.json").exists()
    assert len(json.loads((folder / "predictions-facts.json").read_text())) == 12
    assert main(["qa", "eval", "--predictions", f"{folder}/predictions-facts.json", "--data", "facts.json"]) == 0
    (low, high), (f1_low, f1_high) = every["intervals"]["exact"], every["intervals"]["f1"]
    assert (
        f"exact match {every['exact']:.2f} % (95 % interval {low:.2f} to {high:.2f}), "
        f"F1 {every['f1']:.2f} % (95 % interval {f1_low:.2f} to {f1_high:.2f}) by squad1 (n = 12)"
    ) in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_eval_measures_in_the_precision_of_training(
    precision: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In another one probabilities differ from the fourth digit on, and so does the calibration error."""
    words = [word for word in QUICK if word not in ("--precision", "fp32")]
    words += [*SMALL, "--data", "facts.json", "--iterations", "3", "--out", "run", "--precision", precision]
    assert main(["qa", "train", *words]) == 0
    said = re.search(r"expected calibration error .*", capsys.readouterr().out)
    assert said
    assert said[0].endswith(f", measured in {precision}")
    assert main(["qa", "eval", "run"]) == 0
    assert f"\n{said[0]}\n" in capsys.readouterr().out
    evaluated, stored = (json.loads(Path("run/results", name).read_text()) for name in ("qa-eval.json", "train.json"))
    assert evaluated["precision"] == precision
    assert evaluated["ece"] == pytest.approx(stored["ece"], abs=1e-5)  # `eval` folds the head: other rounding


def test_predictions_by_hand(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Right but for an article; half of the words; no prediction for the other ten."""
    Path("mine.json").write_text(json.dumps({"Ada Where": "the Paris", "Bob When": "in 1817"}))
    assert main(["qa", "eval", "--predictions", "mine.json", "--data", "facts.json", "--json"]) == 0
    found = told(capsys)
    assert found["exact"] == pytest.approx(100 / 12)
    assert found["f1"] == pytest.approx(100 * (1 + 2 / 3) / 12)  # precision 1/2, recall 1
    assert found["missing"] == 10


def test_resume_takes_the_newest_unfinished_run_of_questions(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained("--out", "one") == 0
    capsys.readouterr()
    Path("runs").mkdir()
    shutil.move("one", "runs/one")
    Path("runs/one/results/train.json").unlink()
    assert main(["train", "--resume"]) == 2
    assert capsys.readouterr().err == "reslab: there is no unfinished run under runs/\n"
    assert main(["qa", "train", "--resume"]) == 0
    assert capsys.readouterr().out.startswith("trained small-sds on facts.json")
    assert main(["qa", "train", "--resume", "--lr", "1"]) == 2
    assert "--resume uses the settings stored in the run folder; leave out --lr" in capsys.readouterr().err


def test_heads_are_compared(here: Path, bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", "facts.json", "--encoder", "bert", "--heads", "linear", "sds", "--seeds", "2", "--iterations",
             "2", "--length", "48", "--stride", "8", *QUICK[:4]]  # fmt: skip
    assert main(["qa", "compare", *words, "--rates", "linear=1e-2"]) == 0
    said = capsys.readouterr().out
    assert "head" in said
    assert "0.01" in said
    assert "mean ± standard deviation over 2 seeds" in said
    assert main(["qa", "compare", *words, "--fine-tune", "--json"]) == 0
    found = told(capsys)
    assert (found["folder"], found["train_last"]) == (
        "runs/compare-facts-tuned-batch4-iterations2-precision-fp32",
        None,
    )
    assert [row["seeds"] for row in found["heads"]] == [2, 2]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["train"], 2, "name the questions to train on with --data: a folder of questions"),
        (["train", "--data", "none.json"], 2, "no such file of questions: none.json"),
        (["train", "--data", "notes.txt"], 2, "notes.txt"),
        (["train", "--data", "broken.json"], 1, "broken.json is damaged"),
        (["train", "--data", "facts.json", "--encoder", "nowhere/at/all"], 2, "the encoder nowhere/at/all: no such"),
        (["train", "--data", "facts.json", "--head", "lstm"], 2, 'Invalid value "lstm" for --head. Choose from: '),
        (["train", "--data", "facts.json", "--head", "linear", "--layers", "2"], 2, "the linear head has no layers"),
        (["train", "--data", "facts.json", "--train-last", "-1"], 2, "train_last must be a whole number of at least 0"),
        (
            ["train", "--data", "facts.json", "--train-last", "9"],
            2,
            "at most the encoder's 4 layers, got 9",
        ),
        (["train", "--data", "facts.json", "--length", "8"], 2, "stride must be at least 0 and less than"),
        (["train", "--data", "facts.json", "--length", "0"], 2, "length must be a whole number of at least 1, got 0"),
        (["train", "--data", "facts.json", "--stride", "400"], 2, "stride must be at least 0 and less than"),
        (["train", "--data", "facts.json", "--questions", "0"], 2, "questions must be positive, got 0"),
        (["train", "--data", "facts.json", "--vocabulary", "20"], 2, "a vocabulary must hold more than 256 bytes"),
        (["train", "--data", "facts.json", "--hidden", "30"], 2, "hidden must be a multiple of its heads"),
        (["train", "--data", "facts.json", "--recipe", "qa-slow"], 2, "no recipe named 'qa-slow' (available: "),
        (["train", "--data", "facts.json", "--recipe", "fast-cifar"], 2, "is for images only, got"),
        (["train", "--data", "unanswered.json", "--rule", "squad1"], 2, "has no answer, which squad1 cannot judge"),
        (["train", "--data", "facts.json", "--device", "tpu"], 2, "device 'tpu' is not available on this machine"),
        (["train", "--resume"], 2, "there is no unfinished run under runs/"),
        (["eval"], 2, "name a run folder, or a file of --predictions with its --data"),
        (["eval", "nowhere"], 2, "nowhere is not a run folder"),
        (["eval", "--predictions", "mine.json"], 2, "name the questions that they answer with --data"),
        (["eval", "--predictions", "none.json", "--data", "facts.json"], 2, "none.json: no such file of predictions"),
        (["eval", "--predictions", "facts.json", "--data", "facts.json"], 2, "facts.json holds no predictions"),
        (["eval", "--predictions", "broken.json", "--data", "facts.json"], 1, "broken.json is damaged"),
        (["compare", "--data", "facts.json", "--encoder", "nowhere/at/all"], 2, "nowhere/at/all: no such folder"),
        (
            ["eval", "--predictions", "mine.json", "--data", "facts.json"],
            2,
            "mine.json has no prediction for any question",
        ),
        (["compare", "--data", "facts.json", "--encoder", "small"], 2, "needs a pretrained encoder"),
        (["compare", "--data", "facts.json", "--encoder", "b", "--rates", "x"], 2, "rates must be HEAD=RATE"),
        (["compare", "--data", "facts.json", "--encoder", "b", "--rates", "x=1"], 2, "this comparison has no head 'x'"),
    ],
)
def test_mistakes(words: list[str], code: int, sentence: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes.txt").write_text("who?")
    Path("broken.json").write_text('{"data": [')
    Path("mine.json").write_text("{}")
    data = json.loads(here.read_text())
    for article in data["data"]:
        article["paragraphs"][0]["qas"][0] |= {"answers": [], "is_impossible": True}
    Path("unanswered.json").write_text(json.dumps(data))
    files = {path for path in Path().rglob("*") if path.is_file()}
    assert main(["qa", *words]) == code
    said = capsys.readouterr().err
    assert sentence in said
    assert said.startswith("reslab: ")
    assert said.count("\n") == 1
    assert {path for path in Path().rglob("*") if path.is_file()} == files


def test_half_characters_cost_no_training(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON can spell half of an emoji, in ids and titles too; predictions spell it the same way."""
    data = json.loads(here.read_text())
    for article in data["data"]:
        article["title"] += "\ud83d"
        for question in article["paragraphs"][0]["qas"]:
            question["id"] += "\ud83d"
    here.write_text(json.dumps(data))
    assert trained("--head", "linear", "--out", "run") == 0
    assert main(["qa", "eval", "run", "--data", "facts.json"]) == 0
    assert "Ada Where\ud83d" in json.loads(Path("run/predictions-facts.json").read_text(encoding="utf-8"))
    words = ["qa", "eval", "--predictions", "run/predictions-facts.json", "--data", "facts.json"]
    capsys.readouterr()
    assert main(words) == 0
    assert "no prediction" not in capsys.readouterr().out


def test_a_path_that_is_no_text(here: Path) -> None:
    """A name of bytes that are not UTF-8, in the data, the command and the page."""
    name = os.fsdecode(b"f\xe9.json")
    shutil.copy("facts.json", name)
    words = ["--iterations", "1", "--head", "linear", "--out", "run", *QUICK, *SMALL]
    assert main(["qa", "train", "--data", name, *words]) == 0
    assert json.loads(Path("run/data.json").read_text())["name"] == name
    assert main(["qa", "eval", "run"]) == 0


def test_scores_are_told_where_nothing_can_be_stored(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained("--head", "linear", "--out", "run") == 0
    Path("run/predictions-facts.json").mkdir()  # stands in the way, as a folder without permission does
    capsys.readouterr()
    assert main(["qa", "eval", "run", "--data", "facts.json"]) == 0
    out, err = capsys.readouterr()
    assert "warning: the result is not stored: cannot write run/predictions-facts.json: it is a folder" in err
    assert "(n = 12)" in out
    assert "predictions:" not in out


def test_a_blind_set_is_answered_and_not_scored(here: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert trained("--head", "tokens", "--layers", "1") == 0
    capsys.readouterr()
    [folder] = Path("runs").glob("qa-facts-small-tokens-*-s0")
    blind = tmp_path / "blind.jsonl"
    rows = [{"guid": f"x{k}", "question": "Where was Ada born?", "context": f"Ada was born in {place}."}
            for k, place in enumerate(("Bonn", "Riga"))]  # fmt: skip
    blind.write_text("\n".join(map(json.dumps, rows)))
    assert main(["qa", "eval", str(folder), "--data", str(blind)]) == 0
    out = capsys.readouterr().out
    assert "the answers to all 2 questions are hidden: predictions only, no scores" in out
    assert "exact match" not in out
    given = json.loads((folder / "predictions-blind.json").read_text())
    assert list(given) == ["x0", "x1"]
    assert all(text in row["context"] for text, row in zip(given.values(), rows, strict=True))
    assert main(["report", str(folder)]) == 0  # its page reads the stored evaluation
    capsys.readouterr()

    known = [{**rows[0], "answers": ["Bonn"]}, rows[1]]
    blind.write_text("\n".join(map(json.dumps, known)))
    assert main(["qa", "eval", str(folder), "--data", str(blind), "--json"]) == 0
    found = told(capsys)
    assert (found["n"], found["hidden"]) == (1, 1)
    assert main(["qa", "eval", "--predictions", str(folder / "predictions-blind.json"), "--data", str(blind)]) == 0
    assert "1 questions have hidden answers: answered, not scored" in capsys.readouterr().out


def test_official_probabilities_of_no_answer(here: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As SQuAD 2's script with --na-prob-file: in order a, b, c; the answers to a and c are right, b has none."""
    rows = [{"id": id, "question": "?", "context": "Ada wrote.", "answers": gold, "is_impossible": not gold}
            for id, gold in (("a", ["Ada"]), ("b", []), ("c", ["wrote"]))]  # fmt: skip
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "p.json").write_text(json.dumps({"a": "Ada", "b": "Ada", "c": "wrote"}))
    (tmp_path / "na.json").write_text(json.dumps({"a": 0.1, "b": 0.2, "c": 0.3}))
    words = ["qa", "eval", "--predictions", "p.json", "--data", "q.jsonl"]
    assert main([*words, "--na-prob-file", "na.json", "--json"]) == 0
    found = told(capsys)["curves"]
    # answered up to a, or all: 2 of 3 right. AP of exact match: a 1 * 1/2, c 2/3 * 1/2
    assert (found["best_exact"], found["best_exact_threshold"]) == (pytest.approx(200 / 3), 0.1)
    assert (found["exact_ap"], found["oracle_ap"]) == pytest.approx((250 / 3, 250 / 3))
    assert main([*words, "--na-prob-file", "na.json"]) == 0
    assert "best exact match 66.67 % (threshold 0.1)" in capsys.readouterr().out
    (tmp_path / "na.json").write_text(json.dumps({"a": -3.0, "b": 2.5, "c": 0.9}))  # scores: b is above 1, so ""
    assert main([*words, "--na-prob-file", "na.json", "--json"]) == 0
    scored = told(capsys)
    assert (scored["exact"], scored["threshold"], scored["curves"]["best_exact"]) == (100, 1, 100)
    (tmp_path / "na.json").write_text(json.dumps({"a": "much"}))
    assert main([*words, "--na-prob-file", "na.json"]) == 2
    assert "na.json: the probability of no answer of question a must be a number, got 'much'" in capsys.readouterr().err
    assert main([*words, "--rule", "squad2", "--max-answer", "3"]) == 2
    assert "--max-answer needs a run folder" in capsys.readouterr().err


def test_another_rule_or_limit_leaves_the_runs_own_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained("--head", "tokens", "--layers", "1") == 0
    (folder,) = Path("runs").iterdir()
    own = (folder / "predictions.json").read_bytes()
    assert main(["qa", "eval", str(folder), "--max-answer", "1"]) == 0
    assert main(["qa", "eval", str(folder), "--rule", "characters"]) == 0
    capsys.readouterr()
    assert (folder / "predictions.json").read_bytes() == own
    assert not (folder / "results" / "qa-eval.json").exists()
    for suffix in ("answers-of-1", "characters"):
        assert (folder / f"predictions-{suffix}.json").exists()
        assert (folder / "results" / f"qa-eval-{suffix}.json").exists()
    assert main(["report", str(folder)]) == 0
