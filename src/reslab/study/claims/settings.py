"""Check the settings of a claim: a key or a word that its experiment does not know is refused, so that a misspelt one
does not silently mean something else.
"""

import re
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from reslab.errors import UsageError, nearest
from reslab.stored.typed import Mistyped, typed
from reslab.study import own
from reslab.study.claims.allowed import ARM, CURVE, EXPERIMENTS, LOOKS, MODELS, OPENED, TRAIN, Key
from reslab.study.claims.arms import GIVEN, merged
from reslab.study.claims.record import DATA_KEYS, Claim
from reslab.train.recipe import names as recipes

DRAWN = "random numbers"  # the word for data that a work draws itself


def check(claim: Claim) -> None:
    """Raise UsageError for a setting that the claim's experiment does not know, that is missing, or of a wrong type."""
    for where, settings, whole in every(claim):
        try:
            of_experiment(claim.experiment, settings, whole=whole)
        except UsageError as error:
            raise UsageError(f"{error}{where}") from error


def every(claim: Claim) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(where they stand, settings, whether they must be whole): the claim's own, then with those of each data table,
    then with the changes for which it is false."""
    plain = dict(claim.settings)
    yield "", plain, False
    for kind, table in claim.data.items():
        changes = {key: one for key, one in table.items() if key not in DATA_KEYS}
        made = merged(plain, changes)
        yield f" (with data.{kind})", made, "needs" not in table
        yield " (with false)", merged(made, claim.false), "needs" not in table


def of_experiment(name: str, settings: Mapping[str, Any], *, whole: bool) -> None:
    keys = EXPERIMENTS[name]
    fits(settings, keys, "settings.", whole=whole)
    if "model" in settings and "train" in settings:
        raise UsageError("settings has both train and model: an experiment trains one of them")
    if whole and "train" in keys and not {"train", "model"} & set(settings):
        raise UsageError("settings.train is missing")
    arms = {f"settings.{key}": settings[key] for key in ("a", "b") if key in keys and key in settings}
    arms |= {f"settings.arms.{key}": one for key, one in settings.get("arms", {}).items()}
    changed = of_model(settings, whole=whole) if "model" in settings else TRAIN
    if "train" in settings:
        fits(settings["train"], TRAIN, "settings.train.", whole=whole)
    for where, arm in arms.items():
        fits(arm, {**ARM, **changed}, f"{where}.", whole=False)
        look(merged(settings.get("look", {}), arm.get("look", {})), f"{where}.look", whole=whole)
        if whole and name == "compare" and not {"metric", "statistic"} & {*settings, *arm}:
            raise UsageError("settings.metric is missing")
    if not arms:
        look(settings.get("look", {}), "settings.look", whole=whole)
    for made in (settings.get("train", {}), settings.get("model", {}), *arms.values()):
        known_recipe(made)
    if "curve" in settings:
        fits(settings["curve"], CURVE, "settings.curve.", whole=whole)
    elif "statistic" in settings and whole:
        raise UsageError("settings.curve is missing: a statistic is one of a curve")


def of_model(settings: Mapping[str, Any], *, whole: bool) -> dict[str, Key]:
    """What an arm may change of a model; checks that of the settings."""
    model, words = settings["model"], (*own.OWN, GIVEN, DRAWN)
    known = {"work": Key(str, "", needed=True), "data": Key(str, "", needed=True)}
    named(model.get("work"), MODELS, "settings.model.work", whole=whole)
    named(model.get("data"), words, "settings.model.data", whole=whole)
    keys = MODELS.get(model.get("work"), {})
    arms = [settings.get(arm, {}) for arm in ("a", "b") if arm in settings]
    given = {key for key in keys if arms and all(key in arm for arm in arms)} | (
        {"depth"} if "depths" in settings else set()
    )
    fits(model, {**known, **keys}, "settings.model.", whole=whole, given=given)
    return keys


def look(settings: Mapping[str, Any], where: str, *, whole: bool) -> None:
    if not settings:
        return
    named(settings.get("work"), LOOKS, f"{where}.work", whole=whole)
    fits(settings, {"work": Key(str, ""), **LOOKS.get(settings.get("work", ""), OPENED)}, f"{where}.", whole=whole)


def fits(
    settings: Mapping[str, Any], keys: Mapping[str, Key], where: str, *, whole: bool, given: Collection[str] = ()
) -> None:
    """Raise UsageError for an unknown key, a wrong type or an unknown word; if `whole`, for one that is missing."""
    for key, value in settings.items():
        if key not in keys:
            raise UsageError(f"unknown key {where}{key}{nearest(key, keys)} (known: {', '.join(keys)})")
        try:
            typed(keys[key].kind, value)
        except Mistyped as error:
            told = re.sub(r"^it\b", "", str(error))
            words = [str(word) for word in typing.get_args(keys[key].kind)]
            guess = nearest(value, words) if isinstance(value, str) else ""
            raise UsageError(f"{where}{key}{told}{guess}") from error
    if whole and (missing := [key for key, one in keys.items() if one.needed and key not in {*settings, *given}]):
        raise UsageError(f"{where}{missing[0]} is missing")


def named(word: Any, known: Collection[str], where: str, *, whole: bool) -> None:
    if word is None and not whole:
        return
    if word not in known:
        guess = nearest(word, known) if isinstance(word, str) else ""
        raise UsageError(f"{where} must be one of {', '.join(known)}, got {word!r}{guess}")


def known_recipe(made: Mapping[str, Any]) -> None:
    if "recipe" in made and made["recipe"] not in recipes():
        raise UsageError(f"no recipe {made['recipe']!r} in reslab{nearest(str(made['recipe']), recipes())} "
                         f"(available: {', '.join(recipes())})")  # fmt: skip
