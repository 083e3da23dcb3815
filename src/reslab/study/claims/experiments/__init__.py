"""The experiments that claims name: each a module with the functions `cells` and `measure` (record.Experiment)."""

from importlib import import_module
from typing import cast

from reslab.study.claims.record import Experiment

EXPERIMENTS = {  # name in a claim's file: module here
    "both": "both",
    "by-depth": "by_depth",
    "compare": "compare",
    "counted": "counted",
    "rates": "rates",
    "spread": "spread",
}


def experiment(name: str) -> Experiment:
    return cast(Experiment, import_module(f"{__name__}.{EXPERIMENTS[name]}"))
