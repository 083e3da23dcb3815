"""scikit-learn's own checks of estimators, every one."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from reslab.tables import ResidualClassifier, ResidualRegressor

SMALL: dict[str, Any] = {
    "sizes": {"width": 16, "inner": 16, "depth": 2, "embedding": 8, "bins": 8},
    "recipe": {"epochs": 6, "lr": 3e-2}, "device": "cpu", "members": 1,
}  # fmt: skip


def failing(estimator: Any) -> dict[str, str]:
    """Those that skip: arrays of other libraries (without SCIPY_ARRAY_API), and multi-label output of a
    decision_function, which we have not: we give probabilities."""
    other = "a repeated row changes the order of the batches, as in any stochastic training; the losses are equal"
    return {"check_sample_weight_equivalence_on_dense_data": other}


@parametrize_with_checks([ResidualClassifier(**SMALL), ResidualRegressor(**SMALL)], expected_failed_checks=failing)
@pytest.mark.filterwarnings("ignore")  # the checks themselves call for some
def test_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow  # some 3 minutes
@parametrize_with_checks([ResidualClassifier(), ResidualRegressor()], expected_failed_checks=failing)
@pytest.mark.filterwarnings("ignore")
def test_of_scikit_learn_with_the_defaults(estimator: Any, check: Any) -> None:
    check(estimator)
