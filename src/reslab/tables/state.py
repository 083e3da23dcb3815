"""A trained model as plain data, JSON and arrays, so that estimators are pickled without nets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from reslab.errors import UsageError
from reslab.tables.data.target import Target
from reslab.tables.model import Member, TableModel, filled
from reslab.tables.net.spec import from_dict, to_dict
from reslab.tables.vectors import Encoder
from reslab.train.folder import pick_device
from reslab.train.tune import Choice


def to_state(model: TableModel) -> dict[str, Any]:
    """A model as JSON and arrays."""
    members = []
    for member in model.members:
        about, arrays = member.encoder.to_dict()
        weights = {name: value.cpu().numpy() for name, value in member.net.state_dict().items()}
        members.append({"spec": to_dict(member.spec), "encoder": about, "arrays": arrays, "weights": weights})
    return {"members": members, "target": model.target.to_dict(), "device": str(model.device),
            "choice": model.choice.as_dict()}  # fmt: skip


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
    return TableModel(members, Target.from_dict(state["target"]), device=device, choice=Choice(**state["choice"]))
