"""Check parsed data against their type: msgspec checks, one sentence says what is wrong and where."""

import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

from reslab.errors import ReslabError

PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?:key` in `)?\$(?P<path>.*)`)?$", re.DOTALL)
STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
NAMES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
SHOWN = 60  # characters of a value


class Mistyped(ReslabError):  # noqa: N818 - what it says
    """Data have the wrong type; the sentence names field and value, not the file."""


def typed(kind: Any, value: Any) -> Any:
    """The value as a `kind`: a dataclass is built; all else is checked and stays as it is, unknown keys included.

    Raises Mistyped: `.test.accuracy must be a number, got 'high'`.
    """
    import msgspec

    try:
        made = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Mistyped(sentence(str(error), kind, value)) from error
    except UnicodeError as error:  # a lone surrogate among the keys or the words
        raise Mistyped(f"it holds half a character: {error}") from error
    except (RecursionError, OverflowError) as error:
        raise Mistyped(f"it cannot be read: {error}") from error
    return made if is_dataclass(kind) else value


def sentence(message: str, kind: Any, value: Any) -> str:
    """msgspec's message in our words, with the value that it is about."""
    found = PLACE.match(message)
    assert found is not None
    what, path = found["what"], found["path"] or ""
    steps = [key or (place if place == "..." else int(place)) for key, place in STEP.findall(path)]
    subject, wanted = path or "it", re.search(r"got `(\w+)`", what)
    places = list(at(value, steps, ""))
    exact = next(((where, one) for where, one in places if not wanted or is_named(one, wanted[1])), None)
    if exact:
        subject = exact[0] or "it"
    if "missing required field" in what:
        return f"{subject} lacks {what.split('`')[1]}"
    shown = f", got {short(exact[1])}" if exact else ""
    if what.startswith("Invalid enum value"):
        known = choices(kind, steps)
        return (
            f"{subject} must be one of {', '.join(known)}{shown}" if known else f"{subject} has an unknown value{shown}"
        )
    limit = re.match(r"Expected `(\w+)` (>=|<=|>|<) (\S+)", what)
    if limit:
        how = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}[limit[2]]
        return f"{subject} must be {NAMES.get(limit[1], limit[1])} of {how} {limit[3]}{shown}"
    if length := re.match(r"Expected `array` of length (\d+)", what):
        return f"{subject} must be a list of {length[1]}{shown}"
    if expected := re.match(r"Expected `([^`]*)`", what):
        kinds = [NAMES.get(one, one) for one in expected[1].split(" | ")]
        return f"{subject} must be {' or '.join(kinds)}{shown}"
    return f"{subject}: {what}{shown}"


def at(value: Any, steps: list[Any], where: str) -> Iterator[tuple[str, Any]]:
    """The values at a path, each with its full path; `...` matches any key of an object."""
    if not steps:
        yield where, value
        return
    step, rest = steps[0], steps[1:]
    if step == "..." and isinstance(value, dict):
        for key, one in value.items():
            yield from at(one, rest, f"{where}[{key}]" if isinstance(key, int) else f"{where}.{key}")
    elif isinstance(step, int) and isinstance(value, list | tuple) and step < len(value):
        yield from at(value[step], rest, f"{where}[{step}]")
    elif isinstance(value, dict) and step in value:
        yield from at(value[step], rest, f"{where}.{step}")


def is_named(value: Any, name: str) -> bool:
    """Whether msgspec uses this name for the value's type."""
    names = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null", dict: "object", list: "array"}
    return names.get(type(value), "array" if isinstance(value, tuple) else name) == name


def short(value: Any) -> str:
    """A value as JSON, shortened if it is long; a list or an object by its size."""
    if isinstance(value, dict | list | tuple):
        one = "object" if isinstance(value, dict) else "list"
        return f"a{'n' * (one == 'object')} {one} of {len(value)}" if value else f"an empty {one}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**SHOWN:
        return f"a number of more than {SHOWN} digits"
    if value is not None and not isinstance(value, str | int | float):
        return f"a {type(value).__name__}"
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def brief(value: Any) -> str:
    """A value's Python repr, shortened if it is long."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 2 * SHOWN else f"{text[: 2 * SHOWN]}…"


def choices(kind: Any, steps: list[Any]) -> tuple[str, ...]:
    """The allowed words of a field, found by its path."""
    for step in steps:
        kind = inner(kind, step)
    return tuple(map(str, words)) if (words := next((typing.get_args(one) for one in members(kind)
                                     if typing.get_origin(one) is typing.Literal), ())) else ()  # fmt: skip


def inner(kind: Any, step: Any) -> Any:
    """The type of a field, or of the elements of a list or an object."""
    for one in members(kind):
        if isinstance(step, str) and step != "..." and hasattr(one, "__annotations__"):
            return typing.get_type_hints(one).get(step)
        if arguments := typing.get_args(one):
            return arguments[-1 if step == "..." or arguments[-1] is not ... else 0]
    return None


def members(kind: Any) -> tuple[Any, ...]:
    """The types of a union, without the wrappers that say whether a key may be absent."""
    while typing.get_origin(kind) in (typing.Required, typing.NotRequired, typing.Annotated):
        kind = typing.get_args(kind)[0]
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
