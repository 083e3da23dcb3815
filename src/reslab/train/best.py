"""The best net so far by its validation: what early_stop and keep = "best" end with."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from reslab.train.recipe import Recipe


class Best:
    """The net with the lowest validation error or loss so far, as `select` says, and how long ago it was.

    Ties, which are frequent with few examples, are broken by the other of the two.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.on = recipe, bool(recipe.early_stop) or recipe.keep == "best"
        self.found: dict[str, Any] = {}  # its error (%), loss, iteration and weights; empty before an evaluation
        self.waited = 0  # evaluations since then

    def compare(self, validation: Mapping[str, Any], net: nn.Module, iteration: int) -> None:
        """Remember the net, which has these errors, if it is the best so far."""
        if not self.on:
            return
        self.waited += 1
        keys = self.recipe.select, "error", "loss"
        new, old = ([one.get(key) or 0.0 for key in keys] for one in (validation, self.found or validation))
        if not self.found or new < old:
            weights = {name: value.clone() for name, value in net.state_dict().items()}
            self.found = {"error": new[1], "loss": new[2], "iteration": iteration, "weights": weights}
            self.waited = 0

    @property
    def stops(self) -> bool:
        """Whether early_stop evaluations brought no better net."""
        return 0 < self.recipe.early_stop <= self.waited
