"""Data of the user's that are no images: which claims they are for, and what their cells are given."""

import json
from pathlib import Path

import pytest

from reslab.study.claims.given import given, kind_of
from reslab.study.claims.plan import Asked, planned
from reslab.study.claims.reading import claims
from reslab.study.work import answers, texts


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    folder = tmp_path / "novel"
    folder.mkdir()
    (folder / "train.txt").write_text("\n\n".join(f"Paragraph {i} of a book." for i in range(30)))
    return folder


@pytest.fixture
def asked_about(tmp_path: Path) -> Path:
    paragraphs = [{"context": f"Town {i} has a mill.", "qas": [{"id": str(i), "question": "What does it have?",
                   "answers": [{"text": "a mill", "answer_start": f"Town {i} has a mill.".index("a mill")}]}]}
                  for i in range(20)]  # fmt: skip
    file = tmp_path / "questions.json"
    file.write_text(json.dumps({"version": "1", "data": [{"title": "t", "paragraphs": paragraphs}]}))
    return file


def test_kinds(novel: Path, asked_about: Path, tmp_path: Path) -> None:
    assert kind_of(novel) == "texts"
    assert kind_of(novel / "train.txt") == "texts"
    assert kind_of(asked_about) == "questions"
    assert kind_of(Path("digits")) is None
    (tmp_path / "images" / "train").mkdir(parents=True)  # class folders
    assert kind_of(tmp_path / "images") is None


def test_own_texts_are_for_language_models_alone(novel: Path) -> None:
    data = given(str(novel))
    assert data is not None
    asked = Asked(data=data, word=str(novel), options={})
    runs = {one.claim.name: one for one in (planned(claim, asked) for claim in claims().values())}
    language = {name for name in runs if name.startswith("lm-")}
    assert {name for name, one in runs.items() if one.cells} == language
    cell = runs["lm-quarter-removed-loss"].cells["a"][0]
    assert cell.needs[0].settings["data"] == {"word": str(novel), "options": {}, "fingerprint": data.fingerprint}
    assert texts.loaded(cell.settings["data"]).fingerprint == data.fingerprint
    assert "your own" in runs["lm-quarter-removed-loss"].deviations[-1]
    assert runs["plain-degrades"].why_not


def test_own_questions_are_for_the_head(asked_about: Path) -> None:
    data = given(str(asked_about))
    assert data is not None
    one = planned(claims()["sds-shortcut-pays"], Asked(data=data, word=str(asked_about), options={}))
    settings = one.cells["a"][0].settings
    assert (settings["length"], settings["train_last"], settings["shortcut"]) == (256, "all", "identity")
    assert answers.loaded(settings["data"])[1] == "squad1"
    assert answers.cost(settings) > 0
