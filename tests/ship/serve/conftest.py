"""Servers of the page, as long as a test lasts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stand_in import StandIn


@pytest.fixture
def serve() -> Iterator["Callable[..., StandIn]"]:
    """serve("colors", token="..."): a server of these models, until the end of the test."""
    from stand_in import StandIn, serving

    with ExitStack() as stack:
        yield lambda *names, **how: stack.enter_context(serving(StandIn(list(names), **how)))
