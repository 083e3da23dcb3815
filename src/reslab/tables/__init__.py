"""Residual networks for tables with mixed columns, as scikit-learn estimators and as run folders.

from reslab.tables import ResidualClassifier
ResidualClassifier().fit(frame, y).predict_proba(frame)
reslab.tables.load("runs/adult").predict("new.csv")

Modules are imported on first use: an exported table's net (reslab.ship) needs no torch.
"""

from typing import TYPE_CHECKING

from reslab.lazy import lazy

if TYPE_CHECKING:
    from reslab.tables.estimator import ResidualClassifier, ResidualRegressor
    from reslab.tables.inputs import read
    from reslab.tables.model import TableModel, load

HOME = {  # public name: its module here
    "ResidualClassifier": ".estimator",
    "ResidualRegressor": ".estimator",
    "TableModel": ".model",
    "load": ".model",
    "read": ".inputs",
}

__all__ = ["ResidualClassifier", "ResidualRegressor", "TableModel", "load", "read"]

if not TYPE_CHECKING:  # otherwise a type checker accepts any name
    __getattr__, __dir__ = lazy(__name__, HOME, __all__)
