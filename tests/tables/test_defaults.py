"""Sizes, recipe, members and folds by the number of rows."""

import itertools

import numpy as np
import pytest

from reslab.tables.defaults import (
    FEW,
    FOLDS,
    LONG,
    MANY,
    SMALL,
    folds,
    is_small,
    members_for,
    recipe_for,
    share,
    sizes_for,
)
from reslab.tables.net.spec import PRESETS
from reslab.tables.training import fit_recipe
from reslab.train.recipe import read


def test_a_large_table_has_the_presets() -> None:
    for rows in (MANY, LONG, 50_000):
        assert (share(rows), members_for(rows), is_small(rows)) == (1, 1, False)
        assert recipe_for(rows, batch=128, rule=2) == {}
        assert bool(recipe_for(rows, batch=128)) == (rows > LONG)
        assert all(sizes_for(preset, rows) == {} for preset in PRESETS.values())
    for rows in (100, MANY):
        assert sizes_for(PRESETS["gated"], rows, rule=1) == recipe_for(rows, batch=16, rule=1) == {}
        assert sizes_for(PRESETS["published"], rows) == {}


def test_beyond_20000_rows_there_are_fewer_epochs_of_larger_batches() -> None:
    """26,458 = sqrt(20,000 * 35,000), in the middle of the logarithms, and sqrt(20 * 6) = 11.0."""
    found = [recipe_for(rows, batch=256).get("epochs", 20) for rows in (LONG, 26_458, 35_000, 1_000_000)]
    assert found == [20, 11, 6, 6]
    base = read("tables")
    large, older = (fit_recipe(base, {}, train=31_000, rows=36_000, rule=rule) for rule in (3, 2))
    assert (large.batch, large.lr, large.epochs, large.evaluate_every, large.early_stop) == (512, 4e-3, 6, 0.5, 16)
    assert (large.select, older) == ("loss", base)
    assert fit_recipe(base, {}, train=17_000, rows=20_000) == base
    own = fit_recipe(base, {"batch": 512, "epochs": 3}, train=31_000, rows=36_000)
    assert (own.batch, own.lr, own.epochs) == (512, base.lr, 3)  # a rate does not follow the batch that somebody sets


def test_a_small_table_has_small_nets_several_times() -> None:
    for rows in (100, FEW):
        found = sizes_for(PRESETS["gated"], rows)
        assert {key: found[key] for key in SMALL} == SMALL
        assert found["linear"]
        assert members_for(rows) == FOLDS
        assert recipe_for(rows, batch=16)["select"] == "loss"
    assert members_for(9) == 1


def test_in_between_everything_changes_steadily() -> None:
    middle = round((FEW * MANY) ** 0.5)
    assert share(middle) == pytest.approx(0.5, abs=1e-3)
    assert sizes_for(PRESETS["gated"], middle)["width"] == round((SMALL["width"] * 160) ** 0.5)
    found = [sizes_for(PRESETS["gated"], rows) for rows in range(FEW, MANY, 100)]
    for key, sign in (("width", 1), ("embedding", 1), ("depth", 1), ("dropout", -1)):
        assert all(sign * (b[key] - a[key]) >= 0 for a, b in itertools.pairwise(found))
    many = [members_for(rows) for rows in range(FEW, MANY, 100)]
    assert many == sorted(many, reverse=True)
    assert set(many) == set(range(1, FOLDS + 1))
    for preset in ("mlp", "resnet"):
        assert sizes_for(PRESETS[preset], 200)["width"] == SMALL["width"]


def test_folds() -> None:
    groups = np.array(["a"] * 10 + ["b"] * 7 + ["c"])
    found = folds(18, 5, seed=0, groups=np.unique(groups, return_inverse=True)[1])
    assert found[-1] == -1  # the only row of c is always trained on
    for name, most in (("a", 2), ("b", 2)):
        counts = np.bincount(found[groups == name], minlength=5)
        assert counts.max() - counts.min() <= 1
        assert counts.max() == most
    assert np.bincount(folds(23, 5, seed=1)).tolist() == [5, 5, 5, 4, 4]
    assert not np.array_equal(folds(23, 5, seed=1), folds(23, 5, seed=2))
    assert np.array_equal(folds(23, 5, seed=1), folds(23, 5, seed=1))
