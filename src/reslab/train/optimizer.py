"""A recipe's optimizer, and its state in a checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from reslab.run import Run
from reslab.train.checkpoint import damaged, odd_tensor
from reslab.train.fused import FUSED, FusedAdamW, FusedSGD
from reslab.train.recipe import Recipe


def make_optimizer(
    net: nn.Module, recipe: Recipe, layers: Sequence[Sequence[nn.Parameter]] | None = None
) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW. Norms and biases are decayed as in the paper, or excluded (decay_norms).

    `layers`: all parameters from the input to the head (train/layers.py). With layer_decay, the rate of each layer is
    that factor times the next one's; the head's is multiplied by head_rate. Frozen parameters are left out.
    """
    if layers is None:
        assert recipe.layer_decay == recipe.head_rate == 1, "rates by layer need the layers"
        layers = [list(net.parameters())]
    groups: list[dict[str, Any]] = []
    for above, layer in enumerate(reversed(layers)):
        wanted = [p for p in layer if p.requires_grad]
        scale = recipe.layer_decay**above * (1 if above else recipe.head_rate)
        decayed = [p for p in wanted if recipe.decay_all or p.ndim > 1]
        spared = [p for p in wanted if not (recipe.decay_all or p.ndim > 1)]
        groups += [{"params": decayed, "weight_decay": recipe.weight_decay, "scale": scale}] if decayed else []
        groups += [{"params": spared, "weight_decay": 0.0, "scale": scale}] if spared else []
    fused = all(p.device.type in FUSED for p in net.parameters())
    if recipe.optimizer == "adamw":
        return FusedAdamW(groups, lr=recipe.lr, fused=True) if fused else torch.optim.AdamW(groups, lr=recipe.lr)
    sgd = FusedSGD if fused else torch.optim.SGD
    return sgd(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)


def restore_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any], run: Run) -> None:
    """Restore momentum and the like from a checkpoint; the settings are the recipe's.

    Raises ValueError if it is of other groups of parameters, ReslabError if it is damaged.
    """
    ours = optimizer.state_dict()["param_groups"]
    if [group.get("params") for group in saved["param_groups"]] != [group["params"] for group in ours]:
        raise ValueError("other groups of parameters")
    if odd := odd_state(saved["state"], optimizer):
        raise damaged(run, odd)
    optimizer.load_state_dict({"state": saved["state"], "param_groups": ours})


def odd_state(states: Mapping[int, Mapping[str, Any]], optimizer: torch.optim.Optimizer) -> str:
    """What is wrong with the state of a parameter: momentum and the like have its shape, a count of steps has none."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for k, state in states.items():
        if not 0 <= k < len(parameters):
            return f".optimizer.state has {k}, but the net has {len(parameters)} parameters"
        filled = {name: one for name, one in state.items() if one is not None}  # SGD without momentum stores null
        wanted = {name: torch.empty(()) if name == "step" else parameters[k] for name in filled}
        if odd := odd_tensor(filled, wanted, f".optimizer.state[{k}]"):
            return odd
    return ""
