"""Sizes, recipe, members and folds by the number of rows."""

import itertools

import numpy as np
import pytest

from reslab.tables.defaults import FEW, FOLDS, MANY, SMALL, folds, is_small, members_for, recipe_for, share, sizes_for
from reslab.tables.net.spec import PRESETS


def test_a_large_table_has_the_presets() -> None:
    for rows in (MANY, 50_000):
        assert (share(rows), members_for(rows), is_small(rows)) == (1, 1, False)
        assert recipe_for(rows, batch=128) == {}
        assert all(sizes_for(preset, rows) == {} for preset in PRESETS.values())
    for rows in (100, MANY):
        assert sizes_for(PRESETS["gated"], rows, rule=1) == recipe_for(rows, batch=16, rule=1) == {}
        assert sizes_for(PRESETS["published"], rows) == {}


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
