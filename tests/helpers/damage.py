"""Damage to a file, drawn at random: values of other types, keys left out, bytes flipped, cut and doubled."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

NESTED, GONE = "3,000 brackets", "left out"
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 3, 1.5, -1e-320, 1e308, 10**400, 2**63, float("nan"), float("inf"), "", "x", "\ud800", "é" * 300,
    "a\x00b", [], [1], [[]], [None], {}, {"a": 1}, {"\udfff": "\n"}, NESTED, GONE,
)  # fmt: skip


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in JSON's data, the whole first."""
    yield way
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*way, key))


def changed(value: Any, way: tuple[Any, ...], odd: Any) -> Any:
    """The data with another value at the end of the way, or without it."""
    if not way:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    if odd is GONE and len(way) == 1:
        del copy[way[0]]
    else:
        copy[way[0]] = changed(value[way[0]], way[1:], odd)
    return copy


def as_json(value: Any) -> bytes:
    text = json.dumps(value).replace(json.dumps(NESTED), "[" * 3000 + "]" * 3000)
    return text.encode()


def as_toml(values: Any) -> bytes:
    """Flat TOML, as a recipe is; a key may hold what TOML has not."""
    if not isinstance(values, dict):
        return as_json(values)
    return b"\n".join(f"{key} = ".encode(errors="replace") + as_json(value) for key, value in values.items())


@st.composite
def damaged(draw: st.DrawFn, data: bytes, value: Any, spell: Callable[[Any], bytes]) -> bytes:
    """The file with something wrong: three times in four a value of it, else its bytes."""
    if draw(st.integers(0, 3)):
        ways = WAYS.setdefault(id(value), list(places(value)))
        return spell(changed(value, draw(st.sampled_from(ways)), draw(st.sampled_from(ODD))))
    bits = bytearray(data)
    for place, bit in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 7)), max_size=4)):
        bits[place] ^= 1 << bit
    low, high = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
    how = draw(st.sampled_from(("keep", "cut", "drop", "double")))
    return {"keep": bytes(bits), "cut": bytes(bits[:high]), "drop": bytes(bits[:low] + bits[high:]),
            "double": bytes(bits[:high] + bits[low:])}[how]  # fmt: skip


WAYS: dict[int, list[tuple[Any, ...]]] = {}
