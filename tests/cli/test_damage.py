"""A file of a run that is missing or damaged: exit code 1 and its name. A path that is no run: exit code 2."""

import json
import math
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from reslab.cli import main
from reslab.report.folder import read_run
from reslab.stored.digest import sealed_tensors

ROOT = Path(__file__).parents[2]
FOLDERS = ROOT / "tests" / "golden" / "folders"
Change = Callable[[dict[str, torch.Tensor]], None]
ROWS = ["run", str(ROOT / "docs" / "examples" / "rooms.csv"), "--device", "cpu"]
VERBS = {
    "images": (["eval", "run", "--device", "cpu"], ["look", "influence", "run", "--samples", "2"]),
    "questions": (["qa", "eval", "run", "--data", "asked.json"], ["qa", "ask", "run", "What?", "--context", "a.txt"]),
    "tables": (["tables", "eval", *ROWS], ["tables", "predict", *ROWS]),
}


@pytest.fixture
def of(tmp_path: Path, colors: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Copy a finished run of a kind to run/, in an empty working folder."""

    def copy(kind: str) -> Path:
        monkeypatch.chdir(tmp_path)
        shutil.copytree(colors if kind == "questions" else FOLDERS / f"{kind}-finished", "run")
        if kind == "questions":
            Path("run/results").mkdir()
            Path("run/results/train.json").write_text("{}")
        for path in Path("run").glob("*.safetensors"):
            rewrite(path, lambda tensors: None)
        asked = {"id": "1", "question": "what color is the", "answers": [{"text": "green", "answer_start": 0}]}
        paragraphs = [{"context": "green blue", "qas": [asked]}]
        Path("asked.json").write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
        Path("a.txt").write_text("green blue")
        return Path("run")

    return copy


def rewrite(path: Path, change: Change) -> str:
    """Change the tensors of a safetensors file, with its metadata and a new digest; returns the first matrix's name."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors)
    write = sealed_tensors(save(tensors, metadata=metadata))
    with path.open("wb") as out:
        write(out)
    return next(iter(tensors))


def cases() -> list[tuple[str, int]]:
    return [(kind, k) for kind, verbs in VERBS.items() for k in range(len(verbs))]


@pytest.mark.parametrize(("kind", "k"), cases())
def test_weights_that_are_nan_are_refused(kind: str, k: int, of: Callable[[str], Path], capsys: Any) -> None:
    run = of(kind)
    for value, said in ((math.nan, "its weights contain NaN"), (math.inf, "its weights are infinite in places")):
        if value == math.inf and "look" in VERBS[kind][k]:
            continue  # a foreign model may hold infinities: its outputs are looked at
        weights: list[str] = []

        def spoil(tensors: dict[str, torch.Tensor], value: float = value, weights: list[str] = weights) -> None:
            name = min(key for key, tensor in tensors.items() if tensor.dim() > 1)
            tensors[name].view(-1)[0] = value
            weights.append(name)

        rewrite(run / "weights.safetensors", spoil)
        stored = sorted(Path().rglob("*"))
        assert main(VERBS[kind][k]) == 1
        assert capsys.readouterr().err == f"reslab: run: {said} ({weights[0]}), so nothing can be measured\n"
        assert sorted(Path().rglob("*")) == stored


@pytest.mark.parametrize(("kind", "k"), cases())
def test_a_renamed_tensor_is_damage(kind: str, k: int, of: Callable[[str], Path], capsys: Any) -> None:
    def rename(tensors: dict[str, torch.Tensor]) -> None:
        name = min(tensors)
        tensors["renamed"] = tensors.pop(name)

    run = of(kind)
    rewrite(run / "weights.safetensors", rename)
    assert main(VERBS[kind][k]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        ("reslab: run/weights.safetensors is damaged", "reslab: run is damaged: weights.safetensors")
    )
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [("images", "normalize.json"), ("images", "data.json"), ("images", "weights.safetensors"), ("tables", "data.json"),
     ("tables", "encoder.json"), ("tables", "encoder.safetensors"), ("tables", "target.json"),
     ("tables", "weights.safetensors"), ("questions", "qa.json"), ("questions", "weights.safetensors"),
     ("questions", "tokenizer/tokenizer.json")],
)  # fmt: skip
def test_a_file_that_is_missing_or_damaged_is_named_with_code_1(
    kind: str, name: str, of: Callable[[str], Path], capsys: Any
) -> None:
    run = of(kind)
    (run / name).write_text("{")
    assert main(VERBS[kind][0]) == 1
    said = capsys.readouterr().err
    assert Path(name).name in said
    assert "damaged" in said
    (run / name).unlink()
    if (kind, name) == ("tables", "data.json"):  # a model that was saved without its run: --target is asked for
        return
    assert main(VERBS[kind][0]) == 1
    assert f"run/{name} is missing; restore a copy of it, or train again in another folder" in capsys.readouterr().err


@pytest.mark.parametrize("kind", VERBS)
def test_a_path_that_is_no_run_is_misuse(kind: str, of: Callable[[str], Path], capsys: Any) -> None:
    run = of(kind)
    (run / "spec.json").unlink()
    for verb in VERBS[kind]:
        assert main(verb) == 2
        assert capsys.readouterr().err.startswith("reslab: run is ")


def cut(lines: list[str]) -> str:
    return "".join(line for line in lines if json.loads(line).get("iteration", 0) <= 12)


@pytest.mark.parametrize(
    ("content", "last"),
    [(lambda lines: "", 0), (cut, 12), (lambda lines: "no JSON and no end of line", 0),
     (lambda lines: cut(lines) + '{"event": "tra', 12)],
    ids=["empty", "cut", "garbage", "cut within a line"],
)  # fmt: skip
def test_a_log_that_ends_before_its_run_is_reported(
    content: Callable[[list[str]], str], last: int, of: Callable[[str], Path]
) -> None:
    run = of("images")
    total = json.loads((run / "results/train.json").read_text())["iterations"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_run(run)  # the whole log
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    extra = '{"event": "train", "iteration": 12, "loss": 1.0, "error": 50.0, "epoch": 1.0}\n'
    (run / "metrics.jsonl").write_text(content([*lines, extra]))
    said = rf"metrics\.jsonl ends at iteration {last} of {total}; the curves are incomplete"
    with pytest.warns(UserWarning, match=said):
        read_run(run)
