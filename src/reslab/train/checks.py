"""What a recipe's values must be."""

from dataclasses import fields
from typing import Any

from reslab.errors import UsageError
from reslab.stored.typed import brief


def check(recipe: Any) -> None:
    """Raise UsageError for invalid values of a Recipe."""
    for key in ("batch", "lr", "drop_factor", "patience", "evaluate_every"):
        if not getattr(recipe, key) > 0:
            raise UsageError(f"{key} must be positive, got {getattr(recipe, key)}")
    for key in ("epochs", "iterations"):  # 0 only if the other is given: see below
        if getattr(recipe, key) < 0:
            raise UsageError(f"{key} must be positive, got {getattr(recipe, key):,}")
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if isinstance(value, int | float) and not 0 <= value < float("inf"):
            raise UsageError(f"{field.name} must be zero or more, got {value}")
    if recipe.epochs and recipe.iterations:
        raise UsageError(f"give either epochs or iterations, got {recipe.epochs:g} and {recipe.iterations}")
    if not recipe.epochs and not recipe.iterations:
        raise UsageError("epochs (or iterations) must be positive, got 0")
    if recipe.stochastic_depth and recipe.active_blocks:
        raise UsageError("stochastic_depth and active_blocks cannot be combined; give one of them")
    if recipe.compile == "on" and (recipe.stochastic_depth or recipe.active_blocks):
        raise UsageError(
            "compile = on cannot be combined with stochastic_depth or active_blocks: they change the net each step"
        )
    if recipe.compile == "on" and recipe.sync_bn:
        raise UsageError("compile = on cannot be combined with sync_bn: its norms wait for other processes")
    if recipe.fuse == "on" and recipe.compile == "on":
        raise UsageError("fuse = on cannot be combined with compile = on, which fuses in its own way")
    if recipe.fuse == "on" and recipe.memory_format == "NCHW":
        raise UsageError("fuse = on needs memory_format NHWC or auto, got NCHW")
    for key in ("momentum", "ema", "label_smoothing", "stochastic_depth"):
        if getattr(recipe, key) >= 1:
            raise UsageError(f"{key} must be below 1, got {getattr(recipe, key)}")
    if not 0 < recipe.layer_decay <= 1:
        raise UsageError(f"layer_decay must be above 0 and at most 1, got {recipe.layer_decay}")
    if recipe.nesterov and recipe.optimizer != "sgd":
        raise UsageError("nesterov needs the optimizer sgd, got adamw")
    if recipe.nesterov and not recipe.momentum:
        raise UsageError("nesterov needs momentum, got momentum 0")
    if recipe.schedule == "steps" and recipe.drops:
        if min(recipe.drops) < 1 <= max(recipe.drops):
            raise UsageError(
                f"drops must be all iterations or all shares of the run (below 1), got {list(recipe.drops)}"
            )
        if list(recipe.drops) != sorted(recipe.drops) or recipe.drops[0] <= 0:
            raise UsageError(f"drops must be positive and increasing, got {list(recipe.drops)}")
    for key, most in (("batch", 2**31), ("iterations", 2**53), ("epochs", 2**53)):
        if getattr(recipe, key) > most:
            raise UsageError(f"{key} must be at most {most:,}, got {brief(getattr(recipe, key))}")
    if recipe.seed >= 2**63:
        raise UsageError(f"seed must be below 2**63, got {recipe.seed}")
    if recipe.shortest > recipe.longest:
        raise UsageError(f"shortest must be at most longest, got {recipe.shortest} and {recipe.longest}")
    check_images(recipe)


def check_images(recipe: Any) -> None:
    """Raise UsageError for invalid values of the keys that are for images."""
    if recipe.freeze not in ("none", "backbone") and not (recipe.freeze.isdecimal() and recipe.freeze.isascii()):
        raise UsageError(f"freeze must be none, backbone or a number of layers, got {recipe.freeze!r}")
    for key in ("head_rate", "accumulate", "repeats", "aspect"):
        if getattr(recipe, key) <= 0:
            raise UsageError(f"{key} must be positive, got {getattr(recipe, key)}")
    if recipe.accumulate > recipe.batch:
        raise UsageError(f"accumulate must be at most the batch of {recipe.batch}, got {recipe.accumulate}")
    if recipe.flip_alternate and not (recipe.flip and recipe.augment != "none"):
        raise UsageError("flip_alternate needs flip and an augment other than none")
    if recipe.small and not recipe.small_until:
        raise UsageError("small_until must be positive with small, got 0")
    if recipe.batch % recipe.repeats:
        raise UsageError(f"batch must be a multiple of repeats {recipe.repeats}, got {recipe.batch}")
    for key in ("area", "erase"):
        if getattr(recipe, key) > 1:
            raise UsageError(f"{key} must be at most 1, got {getattr(recipe, key)}")
    if recipe.area <= 0:
        raise UsageError(f"area must be above 0, got {recipe.area}")
    if recipe.aspect < 1:
        raise UsageError(f"aspect must be 1 or more, got {recipe.aspect}")
    if recipe.hue > 0.5:
        raise UsageError(f"hue must be at most 0.5, got {recipe.hue}")
    if recipe.policy_magnitude > 30:
        raise UsageError(f"policy_magnitude must be at most 30, got {recipe.policy_magnitude}")
