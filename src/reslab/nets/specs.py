"""A stored spec -> its dataclass, whatever the family."""

from dataclasses import MISSING, fields
from typing import Any

from reslab.errors import UsageError, nearest


def make(kind: type, values: dict[str, Any], what: str) -> Any:
    """The dataclass of these fields. Raises UsageError for one that is unknown or missing."""
    known = {field.name for field in fields(kind)}
    for key in values:
        if key not in known:
            raise UsageError(f"{what} has the unknown field {key!r}{nearest(key, known)}")
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    if lacking := [name for name in needed if name not in values]:
        raise UsageError(f"{what} is incomplete: it lacks {', '.join(lacking)}")
    return kind(**values)
