"""Scores by hand and against scikit-learn's; intervals that cover."""

import numpy as np
import pytest
from sklearn import metrics

from reslab.tables.metrics import confusion, judged, residuals, scores, sure


def test_classes_by_hand() -> None:
    """Rows of class 0, 0, 1; named 0, 1, 1: two of three, of class 0 a half, of class 1 all."""
    y, p = np.array([0, 0, 1]), np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    found = scores("classes", y, p)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"] == pytest.approx(0.75)
    assert found["auc"] == 1  # class 1's row has the highest probability of it
    assert found["log_loss"] == pytest.approx(-np.log([0.8, 0.4, 0.7]).mean())
    assert confusion(y, p) == [[1, 1], [0, 1]]


def test_labels_by_hand() -> None:
    """Label 0 is hit, label 1 missed and named once in vain: f1 = 2 * 1 / (2 named + 2 true)."""
    y, p = np.array([[1, 1], [0, 0]]), np.array([[0.9, 0.4], [0.2, 0.6]])
    found = scores("labels", y, p)
    assert (found["f1"], found["accuracy"], found["auc"]) == (0.5, 0, 0.5)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.4]).mean())
    nothing = scores("labels", np.zeros((2, 2)), np.zeros((2, 2)))
    assert (nothing["f1"], nothing["auc"]) == (None, None)


def test_numbers_by_hand() -> None:
    y, predicted = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [6.0]])
    assert scores("numbers", y, predicted) == {"rmse": pytest.approx(3**0.5), "mae": 1.0, "r2": -3.5}
    assert scores("numbers", np.ones((3, 1)), predicted)["r2"] is None  # nothing to explain


def test_against_scikit_learn_s() -> None:
    draws = np.random.default_rng(0)
    y, p = draws.integers(0, 4, 200), draws.dirichlet(np.ones(4), 200)
    found, chosen = scores("classes", y, p), p.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, chosen))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, chosen))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(y, p))
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(y, p, multi_class="ovr"))
    assert confusion(y, p) == metrics.confusion_matrix(y, chosen).tolist()
    labels, shares = draws.integers(0, 2, (200, 3)), draws.random((200, 3))
    found = scores("labels", labels, shares)
    assert found["f1"] == pytest.approx(metrics.f1_score(labels, shares > 0.5, average="micro"))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, shares > 0.5))
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(labels, shares))
    shares = shares.round(1)  # ties
    assert scores("labels", labels, shares)["auc"] == pytest.approx(metrics.roc_auc_score(labels, shares))
    numbers = draws.normal(size=(200, 2))
    guess = numbers + draws.normal(size=(200, 2))
    found = scores("numbers", numbers, guess)
    assert found["r2"] == pytest.approx(metrics.r2_score(numbers, guess))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(numbers, guess))
    assert found["rmse"] == pytest.approx(metrics.mean_squared_error(numbers, guess) ** 0.5)


def test_a_class_that_no_row_has() -> None:
    found = scores("classes", np.array([0, 0, 2]), np.eye(3)[[0, 1, 2]])
    assert found["balanced_accuracy"] == 0.75  # of the classes that are there
    assert found["auc"] is not None


def test_intervals_cover() -> None:
    """Of 100 samples of 150 errors from N(0, 1) about 95 intervals of the mean absolute error hold sqrt(2 / pi).

    Binomial(100, 0.95) is below 86 once in 6,000 draws.
    """
    draws, covered = np.random.default_rng(0), 0
    for seed in range(100):
        errors = draws.normal(size=(150, 1))
        low, high = judged("numbers", np.zeros((150, 1)), errors, seed=seed)["intervals"]["mae"]
        covered += low <= (2 / np.pi) ** 0.5 <= high
    assert 86 <= covered <= 100


def test_an_interval_is_of_its_seed_and_holds_the_score() -> None:
    draws = np.random.default_rng(1)
    y, p = draws.normal(size=(80, 1)), draws.normal(size=(80, 1))
    one = judged("numbers", y, p)
    assert one == judged("numbers", y, p) != judged("numbers", y, p, seed=1)
    for name, (low, high) in one["intervals"].items():
        assert low <= one[name] <= high


def test_reliability_by_hand() -> None:
    """Two rows of confidence 0.9, one of them right; two of 0.6, both right."""
    y, p = np.array([0, 1, 1, 1]), np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    found = sure(y, p)
    assert [one["n"] for one in found["bins"]] == [2, 2]
    assert [one["accuracy"] for one in found["bins"]] == [1.0, 0.5]
    assert found["ece"] == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)
    assert sure(np.array([0]), np.array([[1.0, 0.0]]))["ece"] == 0


def test_calibration_of_the_six() -> None:
    """Probabilities of 0.6 three times right, of 0.65 three times wrong: the same error as of answers, 0.525."""
    p = np.array([[0.6, 0.4]] * 3 + [[0.65, 0.35]] * 3)
    y = np.array([0, 0, 0, 1, 1, 1])
    assert sure(y, p)["ece"] == pytest.approx(0.525)
    assert sure(y, p.astype(np.float32))["ece"] == pytest.approx(0.525)


def test_residuals_are_few_and_evenly_taken() -> None:
    y = np.arange(10_000.0)[:, None]
    found = residuals(y, y + 1, most=5)
    assert found["true"] == [[0.0], [2499.0], [4999.0], [7499.0], [9999.0]]
    assert found["predicted"][0] == [1.0]
