"""Keys and types of env.json: what results depend on besides the recipe."""

from typing import TypedDict

from reslab.stored.numbers import Count, Whole


class Env(TypedDict, total=False):
    """env.json."""

    reslab: str
    torch: str
    python: str
    platform: str
    machine: str
    device: str | None
    device_name: str | None
    threads: Whole
    processes: Count  # that trained it together; absent: one
    commit: str | None
