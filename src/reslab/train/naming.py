"""Where a run goes without --out: its name holds the changed options, so that each setting has its own folder."""

import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from reslab.errors import OtherSettings, ReslabError, ReslabWarning, UsageError, tell
from reslab.run import Run, slug
from reslab.stored.read import read_toml
from reslab.train.recipe import Recipe, read

UNNAMED = ("seed", "threads", "workers", "checkpoint_seconds", "tensorboard", "look")  # the seed has its own place
LONGEST = 60  # characters of the changed options in a name


def words(changes: Mapping[str, Any]) -> str:
    """The changed options as a part of a folder's name: "-epochs3-lr0.05-no-flip"; "" if there are none."""
    text = "".join(f"-{word(key, value)}" for key, value in changes.items())
    if len(text) <= LONGEST:
        return text
    mark = sha256(text.encode()).hexdigest()[:6]
    return f"{text[: text.rfind('-', 0, LONGEST)]}-{mark}"


def word(key: str, value: Any) -> str:
    """One option: lr0.05, schedule-cosine, flip, no-flip, drops0.5+0.75."""
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return name if value else f"no-{name}"
    if isinstance(value, list | tuple):
        return name + "+".join(number(one) for one in value)
    return f"{name}{number(value)}" if isinstance(value, int | float) else f"{name}-{slug(str(value))}"


def number(value: Any) -> str:
    return f"{value:.6g}".replace("e-0", "e-").replace("+", "") if isinstance(value, float) else slug(str(value))


def changed(given: Mapping[str, Any], recipe: str) -> dict[str, Any]:
    """The given options that differ from the recipe's values, without those that no result depends on."""
    try:
        default = read(recipe)
    except UsageError:  # it is not complete without them
        default = Recipe()
    return {key: value for key, value in given.items() if key not in UNNAMED and plain(value) != getattr(default, key)}


def plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def source(start: str | None) -> dict[str, str]:
    """The run or file that a training starts from, as a changed option."""
    return {} if start is None else {"from": Path(start).stem if Path(start).is_file() else Path(start).name}


def short(name: str) -> str:
    """A name of data or of a net as a part of a folder's name, without its end if it is long."""
    text = slug(name)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}-{sha256(text.encode()).hexdigest()[:6]}"


def prepared(
    names: Iterable[str], prepare: Callable[[Path], Run], *, before: Callable[[], Run | None] = lambda: None
) -> Run:
    """The run that `prepare` makes or finds under runs/, in the first folder that holds no other.

    `names`: the name, then those that older versions of reslab gave, which are tried if there is a run; it is warned of
    one that cannot be used, as it is damaged. If a folder holds a run with other settings, the name is numbered on: -2,
    -3, ... `before` is asked for a run that the same command made in an older version, with other defaults, unless
    there is one with these. Raises what else `prepare` raises.
    """
    name, *older = names
    if found := existing(name, prepare) or before():
        return found
    unused: dict[Path, ReslabError] = {}
    for old in older:
        if old != name and holds(old) and not holds(name):
            try:
                return prepare(Path("runs") / old)
            except OtherSettings:
                continue
            except ReslabError as error:  # damaged, or of data that have changed
                unused[Path("runs") / old] = error
    for k in itertools.count(1):
        try:
            run = prepare(Path("runs") / (name if k == 1 else f"{name}-{k}"))
        except OtherSettings as error:
            why = str(error).rpartition(";")[0]
            continue
        if k > 1:
            tell("%s; this run is %s", why, run.folder)
        for folder, fault in unused.items():
            warnings.warn(ReslabWarning(f"the run in {folder} cannot be continued (", fault, "); a new one begins in "
                                        f"{run.folder}"), stacklevel=2)  # fmt: skip
        return run
    raise AssertionError  # there is no last name


def existing(name: str, prepare: Callable[[Path], Run]) -> Run | None:
    """The run with these settings that there is under the name, numbered on or not."""
    for k in itertools.count(1):
        numbered = name if k == 1 else f"{name}-{k}"
        if not holds(numbered):
            return None
        try:
            run = prepare(Path("runs") / numbered)
        except OtherSettings as error:
            why = str(error).rpartition(";")[0]
            continue
        if k > 1:
            tell("%s; this run is %s", why, run.folder)
        return run
    raise AssertionError  # there is no last name


def holds(name: str) -> bool:
    """Whether there is a run, or an ensemble of runs."""
    return any(Run(folder).has("spec.json") for folder in (Path("runs") / name, Path("runs") / name / "s0"))


def of_several(name: str, changes: Mapping[str, Any]) -> Path:
    """The folder under runs/ of several trainings, with the changed options of their recipe in its name.

    An older one without them in its name is used if its recipe has these values.
    """
    old, new = Path("runs") / name, Path("runs") / f"{name}{words(changes)}"
    if old == new or new.exists():
        return new
    for path in sorted([*old.glob("recipe.toml"), *old.glob("*/recipe.toml")]):
        stored = read_toml(path)
        return old if all(plain(stored.get(key)) == plain(value) for key, value in changes.items()) else new
    return new
