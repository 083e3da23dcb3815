"""The combinations of a grid: in order, each checked, none twice; and the settings of their trainings."""

from pathlib import Path
from typing import Any

import pytest

from reslab.errors import UsageError
from reslab.images.data import load
from reslab.study.grid.combine import Asked, Combination, combinations
from reslab.study.grid.keys import read_keys
from reslab.study.work.train import net_of, recipe_of


def asked(*vary: str, nets: tuple[str, ...] = ("resnet8",), **more: Any) -> Asked:
    return Asked(nets=nets, keys=read_keys(vary), **{"seeds": (0, 1), "changes": {"iterations": 5}, **more})


def labels(rows: list[Combination]) -> list[str]:
    return [row.label for row in rows]


def test_in_the_order_given_the_last_key_fastest() -> None:
    rows, data = combinations(asked("lr=0.1,0.01", "shortcut=A,B"))
    assert labels(rows) == ["resnet8 lr 0.1 shortcut A", "resnet8 lr 0.1 shortcut B", "resnet8 lr 0.01 shortcut A",
                            "resnet8 lr 0.01 shortcut B"]  # fmt: skip
    assert data.name == "digits"
    assert rows[3].settings == {
        "net": "resnet8", "options": {"shortcut": "B"}, "recipe": "digits", "changes": {"iterations": 5, "lr": 0.01},
        "data": {"word": "digits", "options": {}, "fingerprint": load("digits").fingerprint},
    }  # fmt: skip
    cells = rows[3].cells((0, 1))
    assert [one.settings["seed"] for one in cells] == [0, 1]
    assert recipe_of(cells[1].settings).lr == 0.01
    assert net_of(cells[1].settings).shortcut == "B"


def test_a_plain_net_is_trained_once_for_all_shortcuts() -> None:
    rows, _ = combinations(asked("shortcut=A,B", "lr=0.1,0.01", nets=("resnet8", "plain8")))
    assert labels([row for row in rows if row.net == "plain8" and not row.why_not]) == [
        "plain8 shortcut none lr 0.1", "plain8 shortcut none lr 0.01"]  # fmt: skip
    left = [row for row in rows if row.why_not]
    assert len(left) == 4
    assert {row.why_not for row in left} == {"a plain net has no shortcut; it is trained without"}
    assert all(net_of({**row.settings}).shortcut == "none" for row in rows if row.net == "plain8" and not row.why_not)
    rows, _ = combinations(asked("shortcut=A,none", nets=("plain8",)))
    assert labels([row for row in rows if not row.why_not]) == ["plain8 shortcut none"]
    rows, _ = combinations(asked("lr=0.1,0.01", nets=("plain8",), net_options={"shortcut": "B"}))
    assert [net_of({**row.settings}).shortcut for row in rows] == ["none", "none"]  # a fixed shortcut is not for it


def test_depth_is_part_of_the_name() -> None:
    rows, _ = combinations(asked("depth=8,14", nets=("resnet", "plain")))
    assert [(row.net, row.family, row.label) for row in rows] == [
        ("resnet8", "resnet", "resnet8"), ("resnet14", "resnet", "resnet14"), ("plain8", "plain", "plain8"),
        ("plain14", "plain", "plain14")]  # fmt: skip


def test_what_cannot_be_is_named_and_left_out() -> None:
    rows, _ = combinations(asked("depth=8,9", nets=("resnet",)))
    assert [bool(row.why_not) for row in rows] == [False, True]
    assert rows[1].why_not.startswith("no net named 'resnet9': ImageNet depths are")
    rows, _ = combinations(asked("zero_last_norm=true,false", nets=("resnet8", "plain8")))
    assert [bool(row.why_not) for row in rows] == [False, False, True, False]
    rows, _ = combinations(asked("momentum=0.9,-1"))
    assert [row.why_not for row in rows] == ["", "momentum must be zero or more, got -1.0"]


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        (asked("shortcut=A", nets=("vgg11_bn",)), "none of the 1 combinations can be trained: vgg11_bn shortcut A: "
         "vgg11_bn has no option 'shortcut'"),
        (asked("depth=8,14", nets=("resnet8", "resnet14")), "resnet8 is asked for twice; leave out one of the "
         "two nets or values"),
        (asked(nets=()), "name a net with net"),
        (asked(seeds=()), "seeds must be positive, got 0"),
        (asked(recipe="digit"), "no recipe named 'digit'; did you mean 'digits'?"),
        (asked(changes={"epoch": 1}), "a recipe has no key 'epoch'; did you mean 'epochs'?"),
    ],
    ids=lambda value: "" if isinstance(value, Asked) else value[:30],
)  # fmt: skip
def test_refused(grid: Asked, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        combinations(grid)
    assert str(caught.value).startswith(sentence)


def test_a_recipe_without_a_length_may_get_it_from_the_grid(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("lr = 0.05\n")
    rows, _ = combinations(asked("epochs=1,2", recipe=str(tmp_path / "mine.toml"), changes={}))
    assert [recipe_of({**row.settings, "seed": 0}).epochs for row in rows] == [1.0, 2.0]
    with pytest.raises(UsageError, match=r"^none of the 1 combinations can be trained: resnet8: .*epochs"):
        combinations(asked(recipe=str(tmp_path / "mine.toml"), changes={}))


def test_a_recipe_of_the_user_s_own_is_stored_whole(tmp_path: Path) -> None:
    """Its file may change: another content is another training, the same content under another name is not."""
    mine, copy = tmp_path / "mine.toml", tmp_path / "copy.toml"
    mine.write_text("epochs = 2\nlr = 0.05\n")
    copy.write_text("lr = 0.05\nepochs = 2\n")

    def key(path: Path) -> str:
        (row,), _ = combinations(asked(recipe=str(path), changes={"batch": 32}))
        (one,) = row.cells((7,))
        made = recipe_of(one.settings)
        assert (made.epochs, made.batch, made.seed, made.threads, made.precision) == (2.0, 32, 7, 1, "fp32")
        return one.key

    before = key(mine)
    assert key(copy) == before
    mine.write_text("epochs = 2\nlr = 0.06\n")
    assert key(mine) != before
