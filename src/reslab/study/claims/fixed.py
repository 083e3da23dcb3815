"""A prediction is fixed before the run: a digest of all that decides a verdict, in the claim's file and in a ledger."""

import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from reslab.errors import UsageError
from reslab.stored.files import parse_toml
from reslab.stored.typed import typed
from reslab.study.claims.record import Claim

DECIDES = ("sentence", "experiment", "settings", "data", "seeds", "fixed")  # not `false`: no verdict comes from it
PREDICTED = ("quantity", "unit", "direction", "threshold", "margin")  # not `why` and `spread`, which decide nothing


class Entry(TypedDict):
    """A claim as it was fixed. Entries are only ever added."""

    name: str
    date: str
    hash: str
    superseded: NotRequired[str]  # the name of the claim that took its place; its own file is gone


def digest(claim: Claim) -> str:
    """32 hexadecimal digits of SHA-256 over what decides the verdict, as JSON with sorted keys."""
    decides: dict[str, Any] = {key: getattr(claim, key) for key in DECIDES}
    decides["prediction"] = {key: getattr(claim.prediction, key) for key in PREDICTED}
    text = json.dumps(decides, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def checked(claim: Claim) -> None:
    """Raise UsageError if the claim was changed after its prediction was fixed; an empty hash: it is not fixed yet."""
    if claim.hash and claim.hash != digest(claim):
        raise UsageError(
            f"the claim was changed after {claim.fixed}, when its prediction was fixed: a changed prediction is a new "
            "claim; give it a new name and date, and an empty hash"
        )


@cache
def ledger() -> list[Entry]:
    """Every claim that was ever fixed, in that order."""
    file = files("reslab.study.claims").joinpath("ledger.toml")
    return entries(parse_toml(file.read_bytes(), "ledger.toml"))


def in_ledger(claim: Claim, known: list[Entry], path: Path) -> None:
    """Raise UsageError for a claim of reslab that is not as it was fixed; before anything was fixed, all are right."""
    entry = next((one for one in known if one["name"] == claim.name and "superseded" not in one), None)
    if (claim.fixed, claim.hash) != ((entry["date"], entry["hash"]) if entry else (claim.fixed, "")):
        raise UsageError(f"{path.name}: its day and digest are not those of reslab's ledger, so the file was changed: "
                         "a changed prediction is a new claim, with a name of its own")  # fmt: skip


def entries(content: dict[str, Any]) -> list[Entry]:
    """Those of a ledger's content."""
    found: dict[str, list[Entry]] = typed(dict[str, list[Entry]], content)
    return found.get("claim", [])
