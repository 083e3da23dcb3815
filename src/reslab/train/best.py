"""The best net so far by its validation: what early_stop and keep = "best" end with."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from reslab.train.recipe import Recipe


class Best:
    """The net with the lowest validation error or loss so far, as `select` says, and how long ago it was.

    Where class weights or balanced sampling make rare classes count more, the error is the balanced one: the plain one
    would choose the net that neglects them. Ties, which are frequent with few examples, are broken by the other of
    error and loss.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.on = recipe, bool(recipe.early_stop) or recipe.keep == "best"
        self.weighed = recipe.class_weights != "none" or recipe.sampling == "balanced"
        self.found: dict[str, Any] = {}  # its errors (%), loss, iteration and weights; empty before an evaluation
        self.waited = 0  # evaluations since then

    def compare(self, validation: Mapping[str, Any], net: nn.Module, iteration: int) -> None:
        """Remember the net, which has these errors, if it is the best so far."""
        if not self.on:
            return
        self.waited += 1
        keys = self.keys(validation)
        new, old = ([one.get(key) or 0.0 for key in keys] for one in (validation, self.found or validation))
        if not self.found or new < old:
            weights = {name: value.clone() for name, value in net.state_dict().items()}
            errors = {key: validation.get(key) or 0.0 for key in ("error", "loss")}
            balanced = {"balanced": validation.get("balanced")} if self.weighed else {}
            self.found = {**errors, **balanced, "iteration": iteration, "weights": weights}
            self.waited = 0

    def keys(self, new: Mapping[str, Any]) -> list[str]:
        """What is compared, the most important first. The best so far in an older checkpoint has no balanced error."""
        both = all(one.get("balanced") is not None for one in (new, self.found or new))
        error = ["balanced", "error"] if self.weighed and both else ["error"]
        return ["loss", *error] if self.recipe.select == "loss" else [*error, "loss"]

    @property
    def stops(self) -> bool:
        """Whether early_stop evaluations brought no better net."""
        return 0 < self.recipe.early_stop <= self.waited
