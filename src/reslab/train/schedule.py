"""The learning rate by iteration. Most schedules are formulas; two depend on the errors seen so far."""

import math
from typing import Any

from reslab.train.recipe import Recipe


class Schedule:
    """A recipe's learning rate over a run. `saw_training` and `saw_epoch` take errors; `state` is its whole memory."""

    def __init__(self, recipe: Recipe, *, examples: int, depth: int = 0) -> None:
        self.recipe = recipe
        self.total = recipe.length(examples)
        drops = [recipe.at(point, examples) for point in recipe.drops] if recipe.schedule == "steps" else []
        self.drops = [drop for drop in drops if drop < self.total]
        self.missed = [drop for drop in drops if drop >= self.total]
        self.rise = recipe.at(recipe.warmup, examples)
        # Section 4.2: training at depth 110 does not start at rate 0.1: use 0.01 until the error is below 80 %.
        self.warm = recipe.warmup_lr > 0 and depth >= recipe.warmup_depth
        self.left_at: int | None = None  # iteration at which the warm-up ended
        self.best, self.waited, self.plateaus = math.inf, 0, 0

    def lr(self, iteration: int) -> float:
        """The rate of iteration 0 <= iteration < total."""
        recipe = self.recipe
        if self.warm:
            return recipe.warmup_lr
        if recipe.schedule == "one-cycle":
            return recipe.lr * self.cycle(iteration)
        rate = recipe.lr * min(1.0, (iteration + 1) / self.rise) if self.rise else recipe.lr
        if recipe.schedule == "steps":
            rate /= recipe.drop_factor ** sum(iteration >= drop for drop in self.drops)
        elif recipe.schedule == "plateau":
            rate /= recipe.drop_factor**self.plateaus
        elif recipe.schedule == "cosine":
            done = max(0, iteration - self.rise) / max(1, self.total - self.rise)
            rate *= (1 + math.cos(math.pi * done)) / 2
        elif recipe.schedule == "linear" and iteration >= self.rise:
            rate *= (self.total - iteration) / max(1, self.total - self.rise)
        return rate

    def cycle(self, iteration: int) -> float:
        """One-cycle: linear up to 1 at the end of the warm-up, then linear down to 0 at the end of the run."""
        top = self.rise or max(1, round(0.3 * self.total))
        if iteration < top:
            return (iteration + 1) / top
        return (self.total - iteration) / max(1, self.total - top + 1)

    def saw_training(self, iteration: int, error: float) -> str | None:
        """Report the training error (%) up to `iteration`; returns "warm-up left" if it ends the warm-up."""
        if self.warm and error < self.recipe.warmup_error:
            self.warm, self.left_at = False, iteration
            return "warm-up left"
        return None

    def saw_epoch(self, error: float) -> str | None:
        """Report an epoch's validation (or else training) error (%); returns "plateau" if the rate drops."""
        if self.recipe.schedule != "plateau" or self.warm:
            return None
        if error < self.best - 1e-9:
            self.best, self.waited = error, 0
            return None
        self.waited += 1
        if self.waited < self.recipe.patience:
            return None
        self.waited, self.plateaus = 0, self.plateaus + 1
        return "plateau"

    def state(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ("warm", "left_at", "best", "waited", "plateaus")}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` gave. Raises ValueError for a value of another type."""
        for key, now in self.state().items():
            value = state[key]
            whole = isinstance(now, bool | int)
            if type(value) is not type(now) if whole else not isinstance(value, int | float | None):
                raise ValueError(f"{key} of the schedule is {value!r}")
            setattr(self, key, value)
