"""Turn a stored spec of any family into its dataclass, and read that of a run folder."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, TypeVar

from reslab.errors import ReslabError, UsageError, nearest
from reslab.run import Run
from reslab.stored.typed import Mistyped, short, typed

S = TypeVar("S")
LARGEST = 2**31 - 1  # of a net's sizes: beyond it no tensor has an index
FAMILIES = {  # what their nets are for
    "resnet": "images",
    "vgg": "images",
    "model": "images",
    "qa": "questions",
    "table": "tables",
    "language": "texts",
}
MODULES = {"questions": "reslab.qa", "tables": "reslab.tables"}  # whose `load` opens a run of such a net


def read_stored(run: Run, use: str, parse: Callable[[dict[str, Any]], S]) -> S:
    """The spec of a run folder whose net is for `use`: "images", "questions", "tables" or "texts".

    Raises UsageError if the folder has none or its net is for something else, ReslabError if it is damaged.
    """
    return parse_stored(run.read_json("spec.json"), use, parse, where=f"{run.folder}", file=f"{run.path('spec.json')}")


def parse_stored(data: dict[str, Any], use: str, parse: Callable[[dict[str, Any]], S], *, where: str, file: str) -> S:
    """The spec that stored data describe; `where` they were found and in which `file`, for `read_stored`'s errors."""
    family = data.get("family")
    other = FAMILIES.get(family, use) if isinstance(family, str) else use
    if other != use:
        hint = f"; {MODULES[other]}.load opens it" if other in MODULES else ""
        hint = f"; transformers loads {where}/model" if other == "texts" else hint
        raise UsageError(f"{where} holds {data.get('name')}, a net for {other}, not for {use}{hint}")
    try:
        return parse(data)
    except UsageError as error:
        raise ReslabError(f"{file} is damaged: {error}; restore a copy of it") from error


def of_family(
    data: Mapping[str, Any], kinds: Mapping[str, Any], what: str, *, check: Callable[[Any], Any] | None = None
) -> Any:
    """The dataclass, of `kinds` by family, that a stored spec describes.

    Raises UsageError for another family, and as `make` does.
    """
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    family = values.pop("family", None)
    if not isinstance(family, str) or family not in kinds:
        raise UsageError(f"{what} cannot have the family {short(family)}; known: {', '.join(kinds)}")
    return make(kinds[family], values, what, check=check or itself)


def itself(made: Any) -> None:
    made.check()


def make(kind: Any, values: dict[str, Any], what: str, *, check: Callable[[Any], Any] = itself) -> Any:
    """The dataclass with these values, validated by its types and by `check` (default: its method `check`).

    Raises UsageError for an unknown or missing field, or a wrong type.
    """
    known = {field.name for field in fields(kind)}
    for key in values:
        if key not in known:
            raise UsageError(f"{what} has the unknown field {key!r}{nearest(key, known)}")
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    if lacking := [name for name in needed if name not in values]:
        raise UsageError(f"{what} is incomplete: it lacks {', '.join(lacking)}")
    try:
        made = typed(kind, {key: plain(value) for key, value in values.items()})
    except Mistyped as error:
        complain(kind, values, check)
        raise UsageError(f"{what} has an invalid value: {str(error).removeprefix('.')}") from error
    for key in known:
        refuse_large(key, getattr(made, key))
    check(made)
    return made


def plain(value: Any) -> Any:
    """A spec within a spec as data."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def complain(kind: Any, values: dict[str, Any], check: Callable[[Any], Any]) -> None:
    """Let the dataclass's own check report the error, if it checks types."""
    try:
        check(kind(**values))
    except ReslabError:
        raise
    except Exception:  # it trusts them
        return


def refuse_large(key: str, value: Any) -> None:
    """Raise UsageError for a size that no tensor has."""
    for one in value if isinstance(value, tuple) else (value,):
        if isinstance(one, int) and abs(one) > LARGEST:
            raise UsageError(f"{key} must be at most {LARGEST}, got {short(one)}")
