"""Parameters within parameters, as scikit-learn names them: sizes__depth is the depth in `sizes`."""

from collections.abc import Mapping
from typing import Any

from sklearn.base import BaseEstimator

from reslab.errors import UsageError

NESTED = ("sizes", "recipe", "kinds", "class_weight")  # parameters that may be dicts


def inner_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Each value of the dicts among an estimator's parameters, by its name for `set_params`: {"sizes__depth": 2}."""
    return {f"{name}__{key}": value for name in NESTED if isinstance(params.get(name), Mapping)
            for key, value in params[name].items() if isinstance(key, str)}  # fmt: skip


def is_inner(key: str) -> bool:
    return "__" in key and key.partition("__")[0] in NESTED


def set_inner(estimator: BaseEstimator, params: Mapping[str, Any]) -> None:
    """Set parameters such as sizes__depth, each in a new dict: clones may share the old one.

    Raises UsageError, a ValueError, if the estimator has no such parameter or it is no dict. Unknown inner names are
    refused in fit.
    """
    for key, value in params.items():
        name, _, inner = key.partition("__")
        if name not in estimator.get_params(deep=False):
            raise UsageError(f"{type(estimator).__name__} has no parameter {name!r}, so {key!r} cannot be set")
        there = getattr(estimator, name)
        if there is not None and not isinstance(there, Mapping):
            raise UsageError(f"{key!r} cannot be set, because {name} is {there!r}; set {name} to a dict first")
        setattr(estimator, name, {**(there or {}), inner: value})
