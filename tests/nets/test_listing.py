"""The stored counts that `reslab nets` prints are those that counting gives."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from reslab.nets import count, names, spec
from reslab.nets.listing import listing

STORED = Path(__file__).parents[2] / "src" / "reslab" / "nets" / "counts.json"
DEEP = [name for name in names() if spec(name).depth > 200]


def counted(name: str) -> dict[str, Any]:
    one = spec(name)
    return {"net": name, "depth": one.depth, "size": one.size, **asdict(count(one))}


def write(names: list[str]) -> None:
    """One line for each net, so that a change is read as one line."""
    STORED.write_text("[\n" + ",\n".join(json.dumps(counted(name)) for name in names) + "\n]\n", encoding="utf-8")


def test_every_net_is_listed_in_order(overwrite: bool) -> None:
    if overwrite:
        write(names())
    assert [row["net"] for row in listing()] == names()


@pytest.mark.parametrize("name", [name for name in names() if name not in DEEP])
def test_stored_counts_are_the_computed_ones(name: str) -> None:
    assert {row["net"]: row for row in listing()}[name] == counted(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", DEEP)
def test_stored_counts_of_the_deepest_nets(name: str) -> None:
    assert {row["net"]: row for row in listing()}[name] == counted(name)
