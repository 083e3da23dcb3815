"""Turn a stored spec of any family into its dataclass."""

from collections.abc import Callable
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any

from reslab.errors import ReslabError, UsageError, nearest
from reslab.stored.typed import Mistyped, short, typed

LARGEST = 2**31 - 1  # of a net's sizes: beyond it no tensor has an index


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
        raise UsageError(f"{what} has a value that cannot be: {str(error).removeprefix('.')}") from error
    for key in known:
        refuse_large(key, getattr(made, key))
    check(made)
    return made


def plain(value: Any) -> Any:
    """A spec within a spec as data."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def complain(kind: Any, values: dict[str, Any], check: Callable[[Any], Any]) -> None:
    """Let the dataclass say in its own words what is wrong, where it checks its types."""
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
