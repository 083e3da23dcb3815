"""Calibration of tables' predictions, by hand and on noise."""

import json
import pickle
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

from reslab.errors import ReslabError, ReslabWarning
from reslab.tables import ResidualClassifier, ResidualRegressor, load
from reslab.tables.calibrate import LARGEST, Calibration, certain, fit, from_dict, mean_of, shares_of
from reslab.tables.data.target import Target

TWO = Target.fit(np.array(["a", "b"]))
LABELS = Target.fit(np.array([[0, 1], [1, 0]]))
NUMBERS = Target.fit(np.array([10.0, 30.0, 20.0, 21.5]))


def calibration(strength: float, *center: float) -> Calibration:
    return Calibration(strength=strength, center=center, before=0.0, after=0.0, baseline=0.0, n=1)


def test_strength_by_hand() -> None:
    p = np.array([[0.8, 0.2]])
    assert calibration(1, 0.7, 0.3).apply(p, TWO) == pytest.approx(p)
    assert calibration(0, 0.7, 0.3).apply(p, TWO) == pytest.approx(np.array([[0.7, 0.3]]))
    assert calibration(2, 0.5, 0.5).apply(p, TWO) == pytest.approx(np.array([[0.64, 0.04]]) / 0.68)
    # q (p / q)^2: 0.25 (0.8 / 0.25)^2 = 2.56, 0.75 (0.2 / 0.75)^2 = 4 / 75
    assert calibration(2, 0.25, 0.75).apply(p, TWO)[0, 0] == pytest.approx(2.56 / (2.56 + 4 / 75))
    odds = calibration(2, 0.5, 0.2).apply(np.array([[0.75, 0.2]]), LABELS)  # 3 to 1 becomes 9 to 1
    assert odds == pytest.approx(np.array([[0.9, 0.2]]))
    assert NUMBERS.mean is not None
    half = calibration(0.5, 0.0).apply(np.array([[30.0]]), NUMBERS)[0, 0]
    assert half == pytest.approx((30 + NUMBERS.mean[0]) / 2)


def test_the_strength_of_numbers_is_a_regression() -> None:
    """With f the predictions and y the targets: (sum f y + 2) / (sum f^2 + 2) minimizes sum (y - s f)^2 + 2 (s - 1)^2,
    the prior of standard deviation 1/2; then the share of it that is certain."""
    f, y = np.array([[1.0], [-2.0], [0.5], [3.0]]), np.array([[0.5], [-1.2], [0.5], [1.4]])
    best = ((f * y).sum() + 2) / ((f * f).sum() + 2)
    gains = (y**2 - (y - best * f) ** 2).ravel()
    factor = 1 - (1.645 * gains.std(ddof=1) / 2 / gains.mean()) ** 4
    found = fit(f, y, target=NUMBERS, shares=(0.0,))
    assert found.strength == pytest.approx(best * factor, abs=1e-4)
    assert (found.before, found.baseline) == pytest.approx((((y - f) ** 2).mean(), (y**2).mean()))
    assert found.after == pytest.approx(((y - found.strength * f) ** 2).mean(), abs=1e-4)


def test_what_is_too_sure_is_softened_and_noise_gives_the_shares() -> None:
    draws = np.random.default_rng(0)
    z = draws.normal(0, 1.5, 4000)
    y = (draws.random(4000) < 1 / (1 + np.exp(-z))).astype(int)
    for sure in (1, 3):
        p = 1 / (1 + np.exp(-sure * z))
        found = fit(np.stack([1 - p, p], axis=1), y, target=TWO, shares=shares_of(y, TWO))
        assert sure * found.strength == pytest.approx(1, abs=0.1)
        assert found.after <= found.before + 1e-9
        assert found.after < found.baseline
    for seed in range(20):  # predictions that know nothing, of 200 rows
        draws = np.random.default_rng(seed)
        y, p = (draws.random(200) < 0.3).astype(int), draws.beta(1, 2, 200)
        found = fit(np.stack([1 - p, p], axis=1), y, target=TWO, shares=shares_of(y, TWO))
        assert found.strength < 0.2
        assert found.after <= found.baseline + 1e-9
    assert certain(np.array([1.0, -1.0, 1.0, -1.0])) == 0  # no gain
    assert certain(np.array([5.0, 3.0])) == pytest.approx(1 - (1.645 / 4) ** 4)  # mean 4, standard error 1


def test_weights_count_as_rows() -> None:
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    y, heavy = np.array([0, 1, 1, 0]), np.array([2.0, 1, 1, 0])
    rows = [0, 0, 1, 2]
    assert shares_of(y, TWO, heavy) == shares_of(y[rows], TWO) == (0.5, 0.5)
    weighed, repeated = fit(p, y, heavy, target=TWO, shares=(0.5, 0.5)), fit(p[rows], y[rows], target=TWO,
                                                                              shares=(0.5, 0.5))  # fmt: skip
    assert (weighed.before, weighed.baseline) == pytest.approx((repeated.before, repeated.baseline))


def test_the_mean_of_members() -> None:
    each = [np.array([[0.8, 0.2]]), np.array([[0.5, 0.5]])]
    assert mean_of(each, "classes") == pytest.approx(np.array([[2, 1]]) / 3)  # sqrt(.8 * .5) to sqrt(.2 * .5)
    assert mean_of(each, "labels") == pytest.approx(np.array([[2, 1]]) / 3)
    assert mean_of(each, "numbers") == pytest.approx(np.array([[0.65, 0.35]]))


def words(n: int, columns: int, seed: int) -> dict[str, list[str]]:
    draws = np.random.default_rng(seed)
    return {f"c{k}": [f"v{v}" for v in draws.integers(0, 3 + k, n)] for k in range(columns)}


FAST: dict[str, Any] = {"device": "cpu", "random_state": 0, "recipe": {"epochs": 8}}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_table_of_noise_is_never_above_the_class_shares(seed: int) -> None:
    """Categories that tell nothing about a class of 30 %: what was worse than knowing nothing."""
    n = 160
    X, new = words(n, 4, seed), words(n, 4, seed + 10)
    y = np.where(np.random.default_rng(seed).random(n) < 0.3, "yes", "no")
    truth = np.where(np.random.default_rng(seed + 10).random(n) < 0.3, "yes", "no")
    model = ResidualClassifier(**FAST).fit(X, y)
    shares = np.array([[(y == "no").mean(), (y == "yes").mean()]] * n)
    assert log_loss(truth, model.predict_proba(new)) <= log_loss(truth, shares) + 1e-9
    assert model.model_.calibration is not None
    assert model.model_.calibration.strength < 0.1


@pytest.mark.parametrize("n", [10, 24])
def test_tiny_tables_of_noise_are_not_above_them_either(n: int) -> None:
    X, new = words(n, 2, 0), words(n, 2, 10)
    y, truth = (np.where(np.random.default_rng(seed).random(n) < 0.4, "yes", "no") for seed in (0, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReslabWarning)  # of values in one row
        p = ResidualClassifier(**FAST).fit(X, y).predict_proba(new)
    shares = np.array([[(y == "no").mean(), (y == "yes").mean()]] * n)
    assert log_loss(truth, p, labels=["no", "yes"]) <= log_loss(truth, shares, labels=["no", "yes"]) + 1e-9


def test_a_constant_target_stays_one(tmp_path: Path) -> None:
    X = {"a": np.arange(60.0)}
    model = ResidualRegressor(**FAST).fit(X, np.full(60, 0.001))
    assert (model.predict(X) == 0.001).all()
    assert (load(model.save(tmp_path / "flat")).predict(X) == 0.001).all()  # the stored losses are numbers
    assert model.model_.calibration is not None
    assert (model.model_.calibration.strength, model.model_.calibration.baseline) == (0, 0)


def test_a_calibrated_model_is_kept_with_its_calibration(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    X = {"a": draws.normal(size=90), "b": draws.normal(size=90)}
    y = np.where(X["a"] + draws.normal(size=90) > 0, "yes", "no")
    for model in (ResidualClassifier(**FAST), ResidualClassifier(**FAST, members=1),
                  ResidualClassifier(**FAST, members=2, validation=0.2)):  # fmt: skip
        model.fit(X, y)
        name = f"{model.members}"
        assert model.model_.calibration is not None
        assert model.model_.calibration.n == {"None": 90, "1": 14, "2": 18}[name]
        p = model.predict_proba(X)
        assert np.array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), p)
        assert np.array_equal(load(model.save(tmp_path / name)).predict_proba(X), p)
    state = model.__getstate__()
    del state["model_"]["calibration"]  # as an older pickle
    old = ResidualClassifier.__new__(ResidualClassifier)
    old.__setstate__(state)
    assert old.model_.calibration is None
    line = ResidualRegressor(**FAST).fit(X, 3 * X["a"] + X["b"] + 100)
    assert load(line.save(tmp_path / "line")).predict(X) == pytest.approx(line.predict(X))
    assert line.score(X, 3 * X["a"] + X["b"] + 100) > 0.95


@pytest.mark.parametrize(("change", "sentence"), [
    ({"strength": LARGEST + 1}, "a strength of"), ({"strength": -1}, "a strength of"), ({"center": [0.5]}, "1 shares"),
    ({"center": [1.0, 0.0]}, "a strength of"), ({"center": 3}, "not iterable"), ({"more": 1}, "unexpected keyword"),
])  # fmt: skip
def test_a_damaged_calibration_is_refused(change: Any, sentence: str) -> None:
    good = json.loads(json.dumps(asdict(calibration(1.0, 0.3, 0.7))))
    assert from_dict(good, TWO) == calibration(1.0, 0.3, 0.7)
    with pytest.raises(ReslabError, match=rf"the calibration is damaged \(.*{sentence}"):
        from_dict({**good, **change}, TWO)
    lacking = {key: value for key, value in good.items() if key != "strength"}
    with pytest.raises(ReslabError, match="strength"):
        from_dict(lacking, TWO)
    assert replace(calibration(1, 0.5, 0.5), strength=0) == calibration(0, 0.5, 0.5)
