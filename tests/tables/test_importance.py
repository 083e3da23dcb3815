"""Which columns matter: one that decides everything, one of noise, one that is skipped."""

from typing import Any

import numpy as np
import pytest

from reslab.tables import ResidualClassifier, ResidualRegressor
from reslab.tables.data.frame import read_frame
from reslab.tables.importance import importance

HOW: dict[str, Any] = {
    "sizes": {"width": 16, "inner": 16, "depth": 2, "embedding": 8, "bins": 8, "dropout": 0.0}, "device": "cpu",
    "random_state": 0, "members": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def columns() -> dict[str, Any]:
    draws = np.random.default_rng(0)
    return {"decides": draws.normal(size=300), "noise": draws.normal(size=300), "constant": np.ones(300)}


@pytest.mark.filterwarnings("ignore:column")  # one is constant, one a copy of the target: as meant
def test_the_column_that_decides(columns: Any) -> None:
    """Shuffled, it leaves what guessing gives, about a half; noise leaves all as it was."""
    y = (columns["decides"] > 0).astype(int)
    model = ResidualClassifier(recipe={"epochs": 12, "lr": 1e-2}, **HOW).fit(columns, y).model_
    frame, told = read_frame(columns), []
    found = importance(model, frame, y, progress=lambda done, total: told.append((done, total)))
    assert (found["score"], found["rows"], found["repeats"], told) == ("accuracy", 300, 3, [(1, 2), (2, 2)])
    assert found["whole"] > 0.95
    decides, noise = found["columns"]
    assert (decides["column"], noise["column"]) == ("decides", "noise")  # what is skipped is not listed
    assert found["whole"] - decides["permutation"] == pytest.approx(0.5, abs=0.1)
    assert abs(noise["permutation"]) < 0.05
    assert 0 < decides["mask"] < 1
    assert found == importance(model, frame, y)
    assert importance(model, frame, y, rows=50, repeats=1)["rows"] == 50


@pytest.mark.filterwarnings("ignore:column")
def test_of_numbers_it_is_the_error_s_growth(columns: Any) -> None:
    y = 100 * columns["decides"][:, None]
    model = ResidualRegressor("mlp", recipe={"epochs": 30, "lr": 1e-2}, **without(HOW)).fit(columns, y[:, 0]).model_
    decides, noise = importance(model, read_frame(columns), y)["columns"]
    # the difference of two draws of std s = 100 has root mean square s * sqrt(2)
    assert decides["permutation"] == pytest.approx(141, rel=0.2)
    assert abs(noise["permutation"]) < 10
    assert decides["mask"] is None


def without(how: dict[str, Any]) -> dict[str, Any]:
    return {**how, "sizes": {key: value for key, value in how["sizes"].items() if key != "inner"}}


def test_wide_tables_are_weighed_on_fewer_rows() -> None:
    """1,000 columns, 3 shuffles of each: 400 million / (3 * 1,000 * 1,000) = 133 rows."""
    draws = np.random.default_rng(0)
    columns = {f"c{k}": draws.normal(size=200) for k in range(1000)}
    y = (columns["c0"] > 0).astype(int)
    sizes = {"width": 4, "inner": 4, "depth": 2, "embedding": 2, "bins": 2}
    made = ResidualClassifier(sizes=sizes, recipe={"epochs": 1}, device="cpu", random_state=0, members=1)
    model = made.fit(columns, y).model_
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "of_tables", lambda tables: np.full((len(tables[0]), 2), 0.5))
        assert importance(model, read_frame(columns), y)["rows"] == 133
        assert importance(model, read_frame(columns), y, rows=50)["rows"] == 50
