"""A trained model as plain data, JSON and arrays, so that estimators are pickled without nets."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from reslab.errors import UsageError
from reslab.tables.calibrate import from_dict as calibration_from
from reslab.tables.data.target import Target
from reslab.tables.model import Member, TableModel, filled
from reslab.tables.net.spec import from_dict, to_dict
from reslab.tables.vectors import Encoder
from reslab.train.folder import pick_device
from reslab.train.tune import Choice

DERIVED = ("target_", "spec_", "columns_")  # of an estimator, derived from its model: not pickled


def pickled(state: Mapping[str, Any]) -> dict[str, Any]:
    """An estimator's state as plain data, JSON and arrays."""
    if "model_" not in state:
        return dict(state)
    return {**{key: value for key, value in state.items() if key not in DERIVED}, "model_": to_state(state["model_"])}


def unpickled(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state that `pickled` made; an older one may lack `problems_`, `fit_problems_`, or parameters."""
    state = dict(state)
    if "model_" in state:
        model = state["model_"] = from_state(state["model_"])
        state |= {"target_": model.target, "spec_": model.members[0].spec, "columns_": model.columns}
        state.setdefault("problems_", [])
        state.setdefault("fit_problems_", list(state["problems_"]))
    return state


def older_parameters(estimator: type) -> dict[str, Any]:
    """The defaults of an estimator's parameters, for those that a pickle of an older version lacks."""
    found = inspect.signature(estimator).parameters.values()
    return {one.name: one.default for one in found if one.default is not one.empty}


def to_state(model: TableModel) -> dict[str, Any]:
    """A model as JSON and arrays."""
    members = []
    for member in model.members:
        about, arrays = member.encoder.to_dict()
        weights = {name: value.cpu().numpy() for name, value in member.net.state_dict().items()}
        members.append({"spec": to_dict(member.spec), "encoder": about, "arrays": arrays, "weights": weights})
    calibration = None if model.calibration is None else asdict(model.calibration)
    return {"members": members, "target": model.target.to_dict(), "device": str(model.device),
            "choice": model.choice.as_dict(), "calibration": calibration}  # fmt: skip


def from_state(state: Mapping[str, Any]) -> TableModel:
    """The model that `to_state` described; on the CPU if its device is not available."""
    try:
        device = pick_device(state["device"])
    except UsageError:
        device = torch.device("cpu")
    members = []
    for one in state["members"]:
        spec = from_dict(one["spec"])
        net = filled(spec, {name: torch.from_numpy(np.array(value)) for name, value in one["weights"].items()})
        encoder = Encoder.from_dict(one["encoder"], one["arrays"], device)
        members.append(Member(spec=spec, encoder=encoder, net=net))
    target, stored = Target.from_dict(state["target"]), state.get("calibration")  # an older pickle lacks it
    calibration = None if stored is None else calibration_from(stored, target)
    return TableModel(members, target, device=device, choice=Choice(**state["choice"]), calibration=calibration)
