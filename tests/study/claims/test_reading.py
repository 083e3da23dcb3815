"""Files of claims: each fault is a sentence, a changed prediction is noticed, and our table is whole."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from reslab.errors import UsageError
from reslab.study.claims import fixed, reading
from reslab.study.claims.reading import chosen, claims, papers, read

TABLE = Path(reading.__file__).parent / "table"
TEXT = (TABLE / "plain-degrades.toml").read_text(encoding="utf-8")


def written(folder: Path, text: str, name: str = "my-claim") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def unsealed() -> str:
    return "\n".join('hash = ""' if line.startswith("hash = ") else line for line in TEXT.splitlines())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "', 'titel = "', "unknown key titel; did you mean 'title'?"),
        ("margin = 1.0", "margn = 1.0", "unknown key prediction.margn; did you mean 'margin'?"),
        ("margin = 1.0", "", "prediction.margin is missing"),
        ("margin = 1.0", "margin = 0.0", "prediction.margin must be positive, got 0"),
        ("margin = 1.0", "margin = inf", "prediction.margin must be a finite number, got inf"),
        ("margin = 1.0", 'margin = "a lot"', "prediction.margin must be a number, got 'a lot'"),
        ('direction = "above"', 'direction = "over"', "prediction.direction must be one of above, below, same, exact"),
        ('experiment = "compare"', 'experiment = "compere"', "no experiment 'compere'; did you mean 'compare'?"),
        ('paper = "he2015"', 'paper = "veit2015"', "no paper 'veit2015' in papers.toml; did you mean 'veit2016'?"),
        ("[data.digits]", "[data.digit]", "unknown data 'digit'; did you mean 'digits'?"),
        ("[data.digits]", '[data.digits]\nneeds = 3', "data.digits.needs: it must be a text, got 3"),
        ('sentence = "', 'sentence = ""  # ', "sentence is empty"),
        ("[settings]", "[settings]\nday = 2026-11-30", "no dates, no nan"),
        ("[settings]", "[settings\n", "is not a TOML file"),
        ('fixed = "2026-11-30"', 'fixed = "then"', "fixed must be a day such as 2026-11-30, got 'then'"),
        ('hash = ""', 'hash = ""\nseeds = 0', "seeds must be 1 to 1000, got 0"),
        ('hash = ""', 'hash = "0123"', "the claim was changed after 2026-11-30, when its prediction was fixed: a "
         "changed prediction is a new claim; give it a new name and date, and an empty hash"),
    ],
)  # fmt: skip
def test_a_fault_is_a_sentence_with_the_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = unsealed()
    assert old in text
    path = written(tmp_path, text.replace(old, new, 1))
    with pytest.raises(Exception, match=r"my-claim\.toml") as error:
        read(path)
    assert said in str(error.value)


def test_every_change_of_what_decides_changes_the_digest(tmp_path: Path) -> None:
    one = read(written(tmp_path, unsealed()))
    prediction = one.prediction
    decides = {"sentence": "Other.", "experiment": "other", "settings": {}, "data": {"any": {}},
               "seeds": 6, "prediction": replace(prediction, threshold=0.5)}  # fmt: skip
    marks = {fixed.digest(replace(one, **{key: value})) for key, value in decides.items()}
    more = {"direction": "below", "margin": 2.0, "quantity": "q", "unit": "u"}
    marks |= {fixed.digest(replace(one, prediction=replace(prediction, **{key: new}))) for key, new in more.items()}
    assert len(marks | {fixed.digest(one)}) == 11
    told = replace(one, false={"k": 1}, title="T", meaning=("a", "b", "c"))
    told = replace(told, prediction=replace(prediction, why="w", spread=3.0))
    assert fixed.digest(told) == fixed.digest(one)


def test_the_digest_does_not_depend_on_the_order_of_keys(tmp_path: Path) -> None:
    one = read(written(tmp_path, unsealed()))
    turned = replace(one, settings=dict(reversed(one.settings.items())))
    assert fixed.digest(turned) == fixed.digest(one)


def test_a_strangers_file_names_no_code(tmp_path: Path) -> None:
    for net in ("evil.py:make", "hf:someone/net", "timm:resnet18"):
        written(tmp_path, unsealed().replace('"plain56"', f'"{net}"'))
        with pytest.raises(UsageError, match="name no files and no code of others"):
            claims(tmp_path)
    written(tmp_path, unsealed().replace('axis = "training error, %"', 'axis = "error, % / epoch: last"'))
    assert "my-claim" in claims(tmp_path)
    written(tmp_path, unsealed(), name="plain-degrades")
    with pytest.raises(UsageError, match="reslab has a claim of this name"):
        claims(tmp_path)


def test_a_user_may_cite_papers_of_their_own(tmp_path: Path) -> None:
    written(tmp_path, unsealed().replace('paper = "he2015"', 'paper = "me2026"'))
    with pytest.raises(UsageError, match="no paper 'me2026'"):
        claims(tmp_path)
    papers_ = tmp_path / "papers.toml"
    papers_.write_text('[me2026]\nauthors = "Me"\ntitle = "Mine"\n')
    with pytest.raises(UsageError, match=r"papers\.toml: me2026\.link is missing"):
        claims(tmp_path)
    papers_.write_text('[me2026]\nauthors = "Me"\ntitle = "Mine"\nlink = ""\n')
    assert claims(tmp_path)["my-claim"].paper == "me2026"
    assert papers(tmp_path)["me2026"]["key"] == "me2026"


def test_the_guides_example_is_read() -> None:
    found = claims(Path(__file__).parents[3] / "docs" / "examples" / "claims")
    assert found["wider-fits-better"].paper == "zagoruyko2016"


def test_a_folder_without_claims(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no claims"):
        claims(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        claims(tmp_path / "none")


def test_names_are_chosen_in_the_tables_order() -> None:
    table = claims()
    some = list(table)[:2]
    assert [one.name for one in chosen(",".join(reversed(some)), table)] == some
    assert len(chosen("", table)) == len(table)
    with pytest.raises(UsageError, match="no claim named 'plain-degrade'; did you mean 'plain-degrades'"):
        chosen("plain-degrade", table)


def test_papers_have_what_a_reader_needs() -> None:
    for key, paper in papers().items():
        assert paper["title"], key
        assert paper["link"].startswith("https://") or key in ("notes", "reslab", "sds"), key


@pytest.mark.parametrize("path", sorted(TABLE.glob("*.toml")), ids=lambda path: path.stem)
def test_every_claim_of_the_table_is_read(path: Path) -> None:
    one = read(path)
    assert one.deviations or one.prediction.direction == "exact" or one.paper in ("reslab", "notes"), one.name
    assert tomllib.loads(path.read_text(encoding="utf-8"))["data"] == one.data
