"""Read the table of claims: TOML files, ours or a user's own; each fault is a sentence with the file."""

import datetime
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from reslab.errors import UsageError, arg, nearest
from reslab.stored.bounds import LARGEST
from reslab.stored.claims import Paper
from reslab.stored.files import named, parse_toml, read_bytes
from reslab.stored.typed import Mistyped, typed
from reslab.study.claims import given, settings
from reslab.study.claims.experiments import EXPERIMENTS
from reslab.study.claims.fixed import checked, in_ledger, ledger
from reslab.study.claims.record import DATA_KEYS, Claim, Prediction

HERE = files("reslab.study.claims")
PAPERS = "papers.toml"
UNPUBLISHED = 9999  # a year: they come last
KINDS = ("digits", "mnist", "cifar10", "any", *given.KINDS)  # of data tables
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SHOWN = ("axis", "label", "x_axis", "y_axis", "beside", "deviations", "needs")  # texts of the page, whatever they hold
OPTIONAL = {"seeds", "extra", "deviations"}
TEXTS = ("title", "paper", "where", "sentence", "formula", "experiment", "turns", "fixed")


def claims(own: Path | None = None, *, faults: dict[str, UsageError] | None = None) -> dict[str, Claim]:
    """Every claim of reslab by name, with those of the folder `own`; in the order of papers, then of names.

    Raises for the first file that cannot be read; with `faults`, each is left out, and its error is stored there.
    """
    found, bad = dict(_ours()[0]), dict(_ours()[1])
    if own is not None:
        known = papers(own)
        for path in of_folder(own):
            try:
                if path.stem in found or path.stem in bad:
                    raise UsageError(f"{named(path)}: reslab has a claim of this name; give the file another")
                found[path.stem] = read(path, known=known, strangers=True)
            except UsageError as error:
                bad.setdefault(path.stem, error)
    if faults is not None:
        faults.update(bad)
    elif bad:
        raise next(iter(bad.values()))
    return found


@cache
def _ours() -> tuple[dict[str, Claim], dict[str, UsageError]]:
    """Those that come with reslab, and the errors of files that were changed."""
    known, found, bad = papers(), [], {}
    order = list(known)
    for path in sorted(Path(str(HERE)).joinpath("table").glob("*.toml")):
        try:
            one = read(path, known=known)
            in_ledger(one, ledger(), path)
            found.append(one)
        except UsageError as error:
            bad[path.stem] = error
    return {one.name: one for one in sorted(found, key=lambda one: (order.index(one.paper), one.name))}, bad


def papers(own: Path | None = None) -> dict[str, Paper]:
    """The papers by key, oldest first, with those of the user's papers.toml in the folder `own`, if it has one."""
    found = papers_in(HERE.joinpath(PAPERS).read_bytes(), PAPERS)
    if own is not None and (own / PAPERS).is_file():
        found = {**papers_in(read_bytes(own / PAPERS), named(own / PAPERS)), **found}
    return dict(sorted(found.items(), key=lambda item: item[1].get("year", UNPUBLISHED)))


def papers_in(content: bytes, name: str) -> dict[str, Paper]:
    """Those of one file. Raises UsageError for one without authors, title and link."""
    try:
        found: dict[str, Paper] = typed(dict[str, Paper], parse_toml(content, name))
    except Mistyped as error:
        raise UsageError(f"{name}: ", error) from error
    for key, one in found.items():
        if lacking := [field for field in ("authors", "title", "link") if field not in one]:
            raise UsageError(f"{name}: {key}.{lacking[0]} is missing")
        one["key"] = key
    return found


def of_folder(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"{named(folder)} is not a folder; ", arg("own"), " names one with claims as TOML files")
    found = sorted(path for path in folder.glob("*.toml") if path.name != PAPERS)
    if not found:
        raise UsageError(f"{named(folder)} has no claims: no .toml file in it")
    return found


def read(path: Path, *, known: Mapping[str, Paper] | None = None, strangers: bool = False) -> Claim:
    """The claim in a file, whose name is the claim's. `strangers`: the file is not ours and may name no code.

    Raises UsageError for anything that is unknown, missing or of a wrong type, and for a prediction that was changed.
    """
    content = parse_toml(read_bytes(path), named(path))
    try:
        claim = made(path.stem, content)
        check(claim, papers() if known is None else known)
        if strangers:
            no_code([content.get("settings"), content.get("data"), content.get("false")])
            not_later(claim.fixed)
        checked(claim)
    except (Mistyped, UsageError) as error:
        raise UsageError(f"{named(path)}: ", error) from error
    return claim


def made(name: str, content: dict[str, Any]) -> Claim:
    """The claim of a file's content, whose keys are all known, and its types right."""
    only_known(content, Claim, "", given={"name"})
    prediction = content["prediction"]
    if not isinstance(prediction, dict):
        raise UsageError("prediction must be a table: [prediction]")
    only_known(prediction, Prediction, "prediction.")
    found: Claim = typed(Claim, {"deviations": [], **content, "name": name})
    return found


def only_known(content: Mapping[str, Any], kind: type, where: str, *, given: Collection[str] = ()) -> None:
    """Raise UsageError for a key that `kind` does not have, and for one that is missing."""
    keys = [one.name for one in fields(kind) if one.name not in given]
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.name not in {*given, *OPTIONAL}]
    for key in content:
        if key not in keys:
            raise UsageError(f"unknown key {where}{key}{nearest(key, keys)}")
    if missing := [key for key in needed if key not in content]:
        raise UsageError(f"{where}{missing[0]} is missing")


def check(claim: Claim, known: Mapping[str, Paper]) -> None:
    """Raise UsageError for a claim that cannot be judged."""
    if not NAME.fullmatch(claim.name):
        raise UsageError(f"a claim's name is small letters, digits and hyphens, got {claim.name!r}")
    if empty := [key for key in TEXTS if not getattr(claim, key).strip()]:
        raise UsageError(f"{empty[0]} is empty")
    if len(claim.meaning) != 3 or not all(text.strip() for text in claim.meaning):
        raise UsageError(f"meaning must be three sentences, got {len(claim.meaning)}")
    if claim.paper not in known:
        raise UsageError(f"no paper {claim.paper!r} in papers.toml{nearest(claim.paper, known)}")
    if claim.experiment not in EXPERIMENTS:
        raise UsageError(f"no experiment {claim.experiment!r}{nearest(claim.experiment, EXPERIMENTS)} "
                         f"(available: {', '.join(EXPERIMENTS)})")  # fmt: skip
    try:
        day = datetime.date.fromisoformat(claim.fixed).isoformat()
    except ValueError:
        day = ""
    if day != claim.fixed:  # also of 2026-W48-1
        raise UsageError(f"fixed must be a day such as 2026-11-30, got {claim.fixed!r}")
    check_prediction(claim.prediction)
    check_data(claim)
    if not 1 <= claim.seeds <= 1000:
        raise UsageError(f"seeds must be 1 to 1000, got {claim.seeds}")
    if not claim.false:
        raise UsageError("false is empty: name changes of the settings for which the claim is false")
    if not (json_ready(claim.settings) and json_ready(claim.data) and json_ready(claim.false)):
        raise UsageError("settings, data and false hold texts, finite numbers, lists and tables: no dates, no nan")
    settings.check(claim)


def not_later(day: str) -> None:
    """Raise UsageError for a day that has not come yet, in any time zone."""
    if datetime.date.fromisoformat(day) > datetime.date.today() + datetime.timedelta(days=1):
        raise UsageError(f"fixed is a day in the future, {day}: write the day on which the prediction was fixed")


def check_prediction(one: Prediction) -> None:
    for key in ("threshold", "margin", *(["spread"] if one.spread is not None else [])):
        if not abs(getattr(one, key)) <= LARGEST:
            raise UsageError(f"prediction.{key} must be a finite number, got {getattr(one, key)}")
    if not (one.margin > 0 or (one.margin == 0 and one.direction == "exact")):
        raise UsageError(f"prediction.margin must be positive, got {one.margin:g}")
    if one.spread is not None and not one.spread > 0:
        raise UsageError(f"prediction.spread must be positive, got {one.spread:g}")
    if empty := [key for key in ("quantity", "why") if not getattr(one, key).strip()]:
        raise UsageError(f"prediction.{empty[0]} is empty")


def check_data(claim: Claim) -> None:
    if not claim.data:
        raise UsageError(f"no data: add one of {', '.join(f'[data.{kind}]' for kind in KINDS)}")
    for kind, table in claim.data.items():
        if kind not in KINDS:
            raise UsageError(f"unknown data {kind!r}{nearest(kind, KINDS)} (available: {', '.join(KINDS)})")
        for key, hint in DATA_KEYS.items():
            if key in table:
                try:
                    typed(hint, table[key])
                except Mistyped as error:
                    raise UsageError(f"data.{kind}.{key}: {error}") from error
        if not 1 <= table.get("seeds", 1) <= 1000:
            raise UsageError(f"data.{kind}.seeds must be 1 to 1000, got {table['seeds']}")


def json_ready(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def no_code(value: Any) -> None:
    """Raise UsageError for settings of a stranger's file that name code, weights or files: nets are reslab's own."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key not in SHOWN:
                no_code(one)
    elif isinstance(value, list):
        for one in value:
            no_code(one)
    elif isinstance(value, str) and re.search(r"[:/\\]|\.py\b|\.toml\b", value):
        raise UsageError(f"a claim's settings name no files and no code of others, got {value!r}")


def chosen(only: str, table: Mapping[str, Claim], faults: Mapping[str, UsageError] | None = None) -> list[Claim]:
    """The claims named in a list with commas, in the table's order; all for an empty one.

    Raises UsageError for an unknown name, with the nearest one, and the error of one whose file cannot be read.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if faults and name in faults:
            raise faults[name]
        if name not in table:
            guess = nearest(name, table) or "; `reslab claims list` lists them"
            raise UsageError(f"no claim named {name!r}{guess}")
    return [claim for name, claim in table.items() if not names or name in names]
