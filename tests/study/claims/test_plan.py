"""The plan of a run: data tables, shared cells, power and cost, and what a budget leaves out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from claiming import claim

from reslab.errors import UsageError
from reslab.study.claims.budget import within_budget
from reslab.study.claims.plan import Asked, Costs, Planned, falsified, named, plan, planned
from reslab.study.claims.prepare import left
from reslab.study.grid.cell import in_order
from reslab.study.work import train


def asked(word: str = "digits", *, shape: tuple[int, ...] = (1, 8, 8), classes: int = 10, **changes: Any) -> Asked:
    data: Any = SimpleNamespace(name=word, shape=shape, classes=[str(k) for k in range(classes)], fingerprint="f1")
    return Asked(data=data, word=word, options={}, **changes)


def seeds_of(one: Planned) -> list[int]:
    return [cell.settings["seed"] for cell in one.cells["a"]]


def test_the_data_come_into_the_settings_of_the_training() -> None:
    one = planned(claim(), asked(seed=900))
    assert one.settings["train"]["data"] == {"word": "digits", "options": {}, "fingerprint": "f1"}
    assert seeds_of(one) == [900, 901, 902, 903, 904]
    assert one.cells["a"][0].settings["data"]["fingerprint"] == "f1"
    without = claim(experiment="counted", settings={"pairs": [["plain20", "resnet20"]]})
    assert planned(without, asked()).settings["data"]["word"] == "digits"


def test_a_data_table_changes_settings_seeds_and_deviations() -> None:
    tables = {"digits": {"train": {"changes": {"iterations": 9}}, "seeds": 7, "deviations": ["On digits."]}}
    one = planned(claim(data=tables), asked())
    assert one.settings["train"]["changes"] == {"iterations": 9}
    assert one.settings["train"]["net"] == "resnet8"
    assert (len(one.seeds), one.deviations) == (7, ("Small.", "On digits."))
    assert len(planned(claim(data=tables), asked(seeds=2)).seeds) == 2


def test_data_that_cannot_speak_to_a_claim() -> None:
    assert planned(claim(data={"digits": {"needs": "needs color images"}}), asked()).why_not == "needs color images"
    other = planned(
        claim(data={"mnist": {}, "digits": {"needs": "needs more"}}), asked("pets", shape=(3, 32, 32), classes=2)
    )
    assert (other.cells, other.why_not) == ({}, "it is stated for mnist, not for pets")


def test_a_folder_is_taken_for_the_data_that_it_looks_like() -> None:
    tables = {"cifar10": {"k": 1}, "any": {"k": 2}}
    found = {shape: planned(claim(data=tables), asked("folder", shape=shape)).settings["k"]
             for shape in ((3, 32, 32), (3, 64, 64))}  # fmt: skip
    assert found == {(3, 32, 32): 1, (3, 64, 64): 2}
    assert planned(claim(data=tables), asked("folder", shape=(3, 32, 32), classes=2)).settings["k"] == 2


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned(claim(extra="text"), asked()).cells
    monkeypatch.setattr("reslab.study.claims.plan.installed", lambda name: None)
    assert planned(claim(extra="text"), asked()).why_not == "needs the extra text: pip install 'reslab[text]'"


def test_settings_that_do_not_suit_the_experiment() -> None:
    with pytest.raises(UsageError, match="claim a-claim: its settings do not suit the experiment compare: KeyError"):
        planned(claim(settings={"a": {}}), asked())


def test_where_the_claim_is_false_its_cells_are_others() -> None:
    one = planned(claim(), asked())
    other = falsified(one)
    assert [cell.settings["net"] for cell in other.cells["a"]] == ["resnet8"] * 5
    assert other.cells["a"] == one.cells["b"]  # shared: trained once


def page() -> list[Planned]:
    """Three claims: of plain8 and resnet8; of plain14 and resnet8; of plain56 alone."""
    arms = [{"a": {"net": "plain8"}}, {"a": {"net": "plain14"}}, {"a": {"net": "plain56"}, "b": {"net": "plain56"}}]
    return [planned(claim(name=f"claim-{k}", settings={**claim().settings, **arm}), asked())
            for k, arm in enumerate(arms)]  # fmt: skip


def costs(runs: list[Planned], *, speed: float = 1.0, jobs: int = 1) -> Costs:
    """60 seconds a cell, 600 for plain56."""
    cells = in_order([cell for one in runs for cell in one.all_cells])
    return Costs({one: 600.0 if one.settings["net"] == "plain56" else 60.0 for one in cells}, speed=speed, jobs=jobs)


def test_shared_cells_are_counted_once() -> None:
    runs = page()
    of = costs(runs)
    assert [of.seconds([one]) for one in runs] == [600, 600, 3000]
    assert of.seconds(runs) == 5 * (60 + 60 + 60 + 600)
    assert of.minutes(runs) == 65
    assert costs(runs, speed=2.0).seconds(runs) == 1950
    assert costs(runs, jobs=5).minutes(runs) == 13


def test_a_budget_first_takes_seeds_then_the_dearest_claims() -> None:
    """Five seeds take 65 minutes, four 52, three 39; without plain56, three take 9."""
    runs = page()
    of = costs(runs)
    assert within_budget(runs, of, minutes=65) == (runs, [])
    four, notes = within_budget(runs, of, minutes=52)
    assert [len(one.seeds) for one in four] == [4, 4, 4]
    assert notes == ["a budget of 52 minutes leaves at most 4 seeds per claim"]
    fewer, notes = within_budget(runs, of, minutes=30)
    assert [one.why_not for one in fewer] == ["", "", "over the budget: it would take 30 min more"]
    assert notes == ["a budget of 30 minutes leaves at most 3 seeds per claim"]
    assert of.minutes(fewer) == 9
    nothing, _ = within_budget(runs, of, minutes=1)
    assert not any(one.cells for one in nothing)


def test_what_is_done_costs_nothing() -> None:
    runs = page()
    todo = {cell: seconds for cell, seconds in costs(runs).todo.items() if cell.settings["net"] != "plain56"}
    assert Costs(todo).seconds(runs) == 900
    assert within_budget(runs, Costs(todo), minutes=15)[0] == runs


def test_a_budget_keeps_what_is_free_and_drops_the_dearest() -> None:
    """Claims 0 and 1 are done: free, with all seeds. Two that share plain110 add 60 minutes for the first alone."""
    runs = page()
    settings = {**claim().settings, "a": {"net": "plain110"}}
    runs += [planned(claim(name=name, settings=settings), asked()) for name in ("shared-1", "shared-2")]
    price = {"plain56": 60.0, "plain110": 1200.0}
    cells = in_order([cell for one in runs for cell in one.all_cells])
    of = Costs({one: price[one.settings["net"]] for one in cells if one.settings["net"] in price})
    kept, notes = within_budget(runs, of, minutes=10)
    assert [len(one.seeds) for one in kept[:2]] == [5, 5]
    assert [one.why_not for one in kept] == ["", "", "", *["over the budget: it would take 60 min more"] * 2]
    assert notes == ["a budget of 10 minutes leaves at most 3 seeds per claim"]
    assert all(one.cells for one in within_budget(runs, of, minutes=63)[0])


def test_processes_take_time_to_start_and_no_cell_is_free() -> None:
    """10 cells of at least 2 s with two processes that start in 3 s: 26 CPU seconds, and 13 s of wall time."""
    one = page()[0]
    of = Costs(dict.fromkeys(one.all_cells, 0.0), jobs=2, floor=2.0, start=3.0)
    assert len(one.all_cells) == 10
    assert of.seconds([one]) == 10 * 2 + 2 * 3
    assert of.minutes([one]) == pytest.approx((5 * 2 + 3) / 60)


def test_one_bad_claim_does_not_stop_the_others() -> None:
    """The net is missing in one, the depths in another: their errors name file and key."""
    bare = claim(name="bare", settings={"train": {"recipe": "digits"}, "metric": "train_error", "a": {}})
    broken = claim(name="broken", experiment="by-depth", settings={"train": {}, "a": {}})
    runs, todo = left(plan([bare, broken, claim()], asked()), None)
    assert [one.why_not for one in runs] == [
        "bare.toml: its settings do not suit the experiment compare: KeyError: 'net' is missing",
        "broken.toml: its settings do not suit the experiment by-depth: KeyError: 'depths' is missing", ""]  # fmt: skip
    assert len(todo) == 10
    assert not any(one.cells for one in runs[:2])


def test_the_images_are_loaded_with_the_same_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder given with a relative path, and columns, are the same in every process; a published name stays one."""
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir()
    assert named("digits", {"root": Path("here"), "download": True}) == {
        "word": "digits", "options": {"root": str(tmp_path / "here")}
    }  # fmt: skip
    seen = {}
    monkeypatch.setattr(train, "load_data", lambda word, **options: seen.update(word=word, **options))
    train.loaded(named("digits", {"root": Path("here"), "label_columns": ("a", "b")}))
    assert seen == {"word": "digits", "root": tmp_path / "here", "label_columns": ("a", "b")}
