"""Residual networks for tables with mixed columns, as scikit-learn estimators and as run folders.

from reslab.tables import ResidualClassifier
ResidualClassifier().fit(frame, y).predict_proba(frame)
reslab.tables.load("runs/adult").predict("new.csv")
"""

from reslab.tables.estimator import ResidualClassifier, ResidualRegressor
from reslab.tables.inputs import read
from reslab.tables.model import TableModel, load

__all__ = ["ResidualClassifier", "ResidualRegressor", "TableModel", "load", "read"]
