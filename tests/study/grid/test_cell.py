"""A cell's key is decided by all that decides its result, and by nothing else."""

from typing import Any

import pytest

from reslab.study.grid import cell as cells
from reslab.study.grid.cell import Cell, cell, from_plain, in_order, plain
from reslab.study.grid.works import WORKS, Work

DATA = {"word": "digits", "options": {}, "fingerprint": "f0"}
SETTINGS: dict[str, Any] = {
    "net": "resnet8", "recipe": "digits", "options": {"widths": [4, 4, 4]}, "changes": {"epochs": 1}, "data": DATA,
    "seed": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"net": "plain8"},
        {"recipe": "paper-cifar"},
        {"options": {"widths": [4, 4, 8]}},
        {"options": {"widths": [4, 4, 4], "shortcut": "B"}},
        {"changes": {"epochs": 2}},
        {"changes": {}},
        {"seed": 1},
        {"data": {**DATA, "fingerprint": "f1"}},
        {"data": {**DATA, "word": "mnist"}},
        {"data": {**DATA, "options": {"size": 8}}},
        {"new": None},
    ],
    ids=str,
)
def test_every_setting_changes_the_key(changed: dict[str, Any]) -> None:
    assert cell("train", {**SETTINGS, **changed}).key != cell("train", SETTINGS).key


def test_the_order_of_settings_does_not() -> None:
    turned = {key: SETTINGS[key] for key in reversed(SETTINGS)}
    turned["data"] = {key: DATA[key] for key in reversed(DATA)}
    assert list(turned) != list(SETTINGS)
    assert cell("train", turned).key == cell("train", SETTINGS).key
    assert cell("train", turned) == cell("train", SETTINGS)
    assert len(cell("train", SETTINGS).key) == 16


def test_version_of_the_work_and_of_reslab_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cell("train", SETTINGS).key
    with monkeypatch.context() as patch:
        patch.setitem(WORKS, "train", Work(module="train", version=WORKS["train"].version + 1))
        assert cell("train", SETTINGS).key != before
    monkeypatch.setattr(cells, "__version__", "0.0.0")
    assert cell("train", SETTINGS).key != before


def test_needs_and_their_order_change_it() -> None:
    one, other = (cell("train", {**SETTINGS, "seed": seed}) for seed in (0, 1))
    keys = {cell("train", SETTINGS, *needs).key for needs in [(), (one,), (other,), (one, other), (other, one)]}
    assert len(keys) == 5


def test_a_cell_travels_as_json() -> None:
    one = cell("train", SETTINGS, cell("train", {"seed": 1}))
    assert from_plain(plain(one)) == one
    assert from_plain(plain(one)).key == one.key


def test_unknown_work() -> None:
    with pytest.raises(AssertionError, match="trian"):
        cell("trian", {})


def test_its_name_says_what_it_is() -> None:
    one = cell("train", SETTINGS)
    assert one.name == f"train resnet8 seed 0 ({one.key})"
    look = cell("train", {"seed": 3}, one)
    assert look.name == f"train resnet8 seed 3 ({look.key})"
    assert cell("train", {}).name == f"train ({cell('train', {}).key})"


def test_each_once_after_what_it_needs() -> None:
    a, b = cell("train", {"k": "a"}), cell("train", {"k": "b"})
    c = cell("train", {"k": "c"}, a, b)
    d = cell("train", {"k": "d"}, c, a)
    found: list[Cell] = list(in_order([d, b, c, d]))
    assert found == [a, b, c, d]
