"""Real small tables: the defaults learn more than the class shares, and not less than a regression."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reslab.tables import ResidualClassifier, ResidualRegressor

SEED = 7  # another split than those of bench/small_tables.py


@pytest.mark.slow
@pytest.mark.parametrize("source", [load_iris, load_wine, load_breast_cancer])
def test_classes(source: Callable[..., Any]) -> None:
    X, y = source(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=SEED, stratify=y)
    ours = ResidualClassifier(random_state=0, device="cpu").fit(X_train, y_train)
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, y_train)
    shares = np.tile(np.bincount(y_train) / len(y_train), (len(y_test), 1))
    found, known, least = (log_loss(y_test, p) for p in (
        ours.predict_proba(X_test), linear.predict_proba(X_test), shares))  # fmt: skip
    assert found < 0.5 * least
    assert found < 1.25 * known + 0.02
    assert ours.score(X_test, y_test) > linear.score(X_test, y_test) - 0.05


@pytest.mark.slow
def test_numbers() -> None:
    X, y = load_diabetes(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=SEED)
    ours = ResidualRegressor(random_state=0, device="cpu").fit(X_train, y_train)
    linear = make_pipeline(StandardScaler(), Ridge()).fit(X_train, y_train)
    assert ours.score(X_test, y_test) > max(0.2, linear.score(X_test, y_test) - 0.08)
