"""All combinations of nets and varied values, each with the reason if it cannot be trained."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from reslab.errors import UsageError, arg
from reslab.images.data import ImageData
from reslab.images.data import load as load_data
from reslab.images.data.words import WORDS
from reslab.images.setup import NEEDED
from reslab.images.train import storable
from reslab.nets import spec, suited
from reslab.run import absolute
from reslab.study.grid.cell import Cell, cell
from reslab.study.grid.keys import DEPTH, Key, is_plain, with_depth
from reslab.train.life import shown
from reslab.train.recipe import draft, merged, names, unchecked

NONE = "none"  # the shortcut of a plain net


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A grid as it is asked for."""

    nets: Sequence[str]
    keys: Sequence[Key] = ()
    seeds: Sequence[int] = (0, 1, 2)
    data: str = "digits"
    recipe: str = "digits"
    net_options: Mapping[str, Any] = field(default_factory=dict)  # of every net
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the recipe
    options: Mapping[str, Any] = field(default_factory=dict)  # with which the data are loaded
    nproc: int = 1  # processes of each training


@dataclass(frozen=True, kw_only=True)
class Combination:
    """One net with one value of each key: a row of the table."""

    net: str
    family: str  # the net as it was asked for, before its depth was varied
    values: Mapping[str, Any]  # of the varied keys, for the table
    settings: Mapping[str, Any]  # of the work `train`, without the seed
    why_not: str = ""  # the reason if it cannot be trained

    @property
    def label(self) -> str:
        """resnet20 lr 0.1 shortcut B."""
        return " ".join([self.net, *(f"{key} {shown(value)}" for key, value in self.values.items() if key != DEPTH)])

    def cells(self, seeds: Sequence[int]) -> list[Cell]:
        return [cell("train", {**self.settings, "seed": seed}) for seed in seeds]


def combinations(asked: Asked) -> tuple[list[Combination], ImageData]:
    """Every combination in the order given, the last key varying fastest, and the data.

    A plain net has no shortcut: where only other shortcuts are asked for, it is trained once, without. Raises
    UsageError if nothing can be trained, or if two combinations are the same.
    """
    if not asked.nets:
        raise UsageError("name a net with ", arg("net"))
    if len(asked.seeds) < 1:
        raise UsageError(f"seeds must be positive, got {len(asked.seeds)}")
    if asked.nproc < 1:
        raise UsageError(arg("nproc"), f" must be at least 1, got {asked.nproc}")
    needs = needed(asked, {})  # it checks the recipe and the fixed changes, before the data are read
    loaded = load_data(asked.data, **{**asked.options, **needs})
    loaded.announce()
    found: list[Combination] = []
    for net in asked.nets:
        for values in itertools.product(*(key.values for key in asked.keys)):
            found.append(combination(asked, loaded, net, dict(zip((k.name for k in asked.keys), values, strict=True))))
        found += plain_twins(asked, loaded, net, found)
    if not any(not one.why_not for one in found):
        raise UsageError(f"none of the {len(found)} combinations can be trained: {found[0].label}: {found[0].why_not}")
    refuse_twice(found)
    return found, loaded


def combination(asked: Asked, data: ImageData, net: str, values: Mapping[str, Any]) -> Combination:
    """One combination, checked."""
    kinds = {key.name: key.kind for key in asked.keys}
    options = {**asked.net_options, **{key: value for key, value in values.items() if kinds[key] == "net"}}
    changes = {key: value for key, value in values.items() if kinds[key] == "recipe"}
    why = ""
    if is_plain(net):
        if values.get("shortcut", NONE) != NONE:
            why = "a plain net has no shortcut; it is trained without"
        options = {key: value for key, value in options.items() if key != "shortcut" or value == NONE}
    settings: dict[str, Any] = {}
    family = net
    try:
        net = with_depth(net, values.get(DEPTH))
        suited(spec(net, **options), classes=len(data.classes), shape=data.shape)
        settings = settings_of(asked, data, net, options, changes)
    except UsageError as error:
        why = why or str(error)
    return Combination(net=net, family=family, values=dict(values), settings=settings, why_not=why)


def plain_twins(asked: Asked, data: ImageData, net: str, found: Sequence[Combination]) -> list[Combination]:
    """A plain net without shortcut, once for the other keys, if only other shortcuts are asked for."""
    keys = {key.name: key.values for key in asked.keys}
    if not is_plain(net) or NONE in keys.get("shortcut", (NONE,)):
        return []
    others = {name: values for name, values in keys.items() if name != "shortcut"}
    order = list(keys)
    twins = []
    for values in itertools.product(*others.values()):
        all_values = {**dict(zip(others, values, strict=True)), "shortcut": NONE}
        twins.append(combination(asked, data, net, {name: all_values[name] for name in order}))
    return twins


def settings_of(
    asked: Asked, data: ImageData, net: str, options: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings of the work `train`. A recipe from a file is stored whole: its name does not say what it holds."""
    made = draft(asked.recipe, {**asked.changes, **changes})[0]
    if asked.recipe in names():
        recipe: str | None = asked.recipe
        changed = {key: value for key, value in {**asked.changes, **changes}.items() if key != "seed"}
    else:
        recipe = None
        changed = {key: value for key, value in asdict(made).items() if key != "seed"}
        changed |= {key: one for key, one in (("threads", 1), ("precision", "fp32"), ("memory_format", "NCHW"),
                                              ("compile", "off")) if changed[key] in (0, "auto")}  # fmt: skip
    return {
        "net": net, "options": dict(options), "recipe": recipe, "changes": changed,
        "data": {"word": absolute(asked.data, WORDS), "fingerprint": data.fingerprint,
                 "options": storable({**asked.options, **needed(asked, changes)})},
        **({"nproc": asked.nproc} if asked.nproc > 1 else {}),
    }  # fmt: skip


def needed(asked: Asked, changes: Mapping[str, Any]) -> dict[str, Any]:
    """How the data must be loaded for the recipe's augmentation."""
    return NEEDED.get(merged(unchecked(asked.recipe), {**asked.changes, **changes}).augment, {})


def refuse_twice(found: Sequence[Combination]) -> None:
    """Raise UsageError if two combinations are the same training."""
    seen: dict[str, Combination] = {}
    for one in found:
        if not one.why_not:
            same = seen.setdefault(json.dumps(one.settings, sort_keys=True, default=str), one)
            if same is not one:
                raise UsageError(f"{one.label} is asked for twice; leave out one of the two nets or values")
