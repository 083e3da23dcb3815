"""Residual networks for tables with mixed columns, as scikit-learn estimators and as run folders.

from reslab.tables import ResidualClassifier
ResidualClassifier().fit(frame, y).predict_proba(frame)
reslab.tables.load("runs/adult").predict("new.csv")

Modules are imported on first use: an exported table's net (reslab.ship) needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reslab.tables.estimator import ResidualClassifier, ResidualRegressor
    from reslab.tables.inputs import read
    from reslab.tables.model import TableModel, load

HOME = {  # public name: its module here
    "ResidualClassifier": "estimator",
    "ResidualRegressor": "estimator",
    "TableModel": "model",
    "load": "model",
    "read": "inputs",
}

__all__ = ["ResidualClassifier", "ResidualRegressor", "TableModel", "load", "read"]


if not TYPE_CHECKING:  # otherwise a type checker accepts any name

    def __getattr__(name: str) -> object:
        if name not in HOME:
            raise AttributeError(f"module 'reslab.tables' has no attribute {name!r}")
        return getattr(import_module(f"reslab.tables.{HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
