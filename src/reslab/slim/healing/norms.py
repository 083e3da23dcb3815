"""The first step of healing: BatchNorm statistics of the cut model, averaged over the training part."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from reslab.nets.checkpoints import read_state
from reslab.slim.cutting.removal import Cut
from reslab.slim.family import Family
from reslab.slim.kept import whole


def averaged(
    family: Family, small: Cut, folder: Path, *, save: Callable[[nn.Module, Path], Any] | None = None
) -> nn.Module | None:
    """A copy of the cut model with averaged statistics, also in folder/norms; None if it has no BatchNorm.

    One that is there is read, as averaging takes a pass of the training part. `save` writes a net that the family
    cannot train.
    """
    net, found = copy.deepcopy(small.model), folder / "norms" / "weights.safetensors"
    if found.is_file():
        net.load_state_dict(read_state(found))
    elif not family.average_norms(net):
        return None
    if save is None:
        family.alike(net, small.model)
    whole(folder, "norms", lambda part: (save or family.save)(net, part))
    return net
