"""Predictions are fixed once: the ledger holds every sealed claim, and sealing refuses to fix a name again."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from reslab.errors import UsageError
from reslab.study.claims import reading, seal
from reslab.study.claims.fixed import digest, in_ledger, ledger
from reslab.study.claims.reading import claims, read

TABLE = Path(reading.__file__).parent / "table"


def test_every_claim_is_in_the_ledger_once_with_its_digest() -> None:
    known = ledger()
    assert len({one["name"] for one in known}) == len(known)
    current = {one["name"]: (one["date"], one["hash"]) for one in known if "superseded" not in one}
    assert current == {name: (one.fixed, one.hash) for name, one in claims().items() if one.hash}
    if known:
        assert [name for name, one in claims().items() if not one.hash] == []


def test_what_took_a_claims_place_is_a_claim() -> None:
    names = {one["name"] for one in ledger()}
    for one in ledger():
        assert one.get("superseded", one["name"]) in names
        assert ("superseded" in one) == (one["name"] not in claims())


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table with one claim that is not fixed, and an empty ledger."""
    folder = tmp_path / "table"
    folder.mkdir()
    lines = (TABLE / "plain-degrades.toml").read_text(encoding="utf-8").splitlines()
    text = "\n".join('hash = ""' if line.startswith("hash = ") else line for line in lines)
    (folder / "one.toml").write_text(f"{text}\n", encoding="utf-8")
    (tmp_path / "ledger.toml").write_text("# ledger\n", encoding="utf-8")
    return folder


def sealed(table: Path, *, day: str = "2027-01-02") -> list[str]:
    return seal.seal(table, table.parent / "ledger.toml", day=day)


def test_sealing_writes_day_and_digest_into_file_and_ledger(table: Path) -> None:
    before = digest(replace(read(table / "one.toml"), fixed="2027-01-02"))  # the day is part of it
    assert sealed(table) == ["one"]
    found = read(table / "one.toml")
    assert (found.hash, found.fixed) == (before, "2027-01-02")
    assert (table.parent / "ledger.toml").read_text() == (
        f'# ledger\n\n[[claim]]\nname = "one"\ndate = "2027-01-02"\nhash = "{before}"\n'
    )
    assert sealed(table, day="2027-05-05") == []


def test_a_changed_claim_is_refused_until_it_has_a_new_name(table: Path) -> None:
    sealed(table)
    path = table / "one.toml"
    changed = path.read_text(encoding="utf-8").replace("margin = 1.0", "margin = 2.0")
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(UsageError, match="was changed after 2027-01-02"):
        sealed(table)
    fresh = changed.replace(changed.split('hash = "')[1].split('"')[0], "")
    path.write_text(fresh, encoding="utf-8")
    with pytest.raises(UsageError, match="one was fixed before: a changed prediction is a new claim"):
        sealed(table)
    shutil.move(path, table / "two.toml")
    with pytest.raises(UsageError, match="one was fixed, but its file is gone"):
        sealed(table)
    ledger_ = table.parent / "ledger.toml"
    ledger_.write_text(f'{ledger_.read_text()}superseded = "two"\n')
    assert sealed(table) == ["two"]


def test_the_day_is_part_of_the_digest(table: Path) -> None:
    sealed(table)
    path = table / "one.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("2027-01-02", "1999-01-01"), encoding="utf-8")
    with pytest.raises(UsageError, match="was changed after 1999-01-01"):
        read(path)


def test_a_file_of_ours_that_is_not_as_in_the_ledger_is_left_out(table: Path) -> None:
    sealed(table)
    one, file = read(table / "one.toml"), table / "one.toml"
    mark = digest(one)
    in_ledger(one, [{"name": "one", "date": "2027-01-02", "hash": mark}], file)
    for known in ([], [{"name": "one", "date": "2027-01-02", "hash": "0" * 32}],
                  [{"name": "one", "date": "2027-01-03", "hash": mark}]):  # fmt: skip
        with pytest.raises(UsageError, match=r"one\.toml: its day and digest are not those of reslab's ledger"):
            in_ledger(one, known, file)
    in_ledger(replace(one, hash=""), [], file)  # nothing was fixed yet
