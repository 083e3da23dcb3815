"""Which of several processes this is, by torchrun's variables; nonsense is one sentence."""

import threading
import time
from typing import Any

import pytest
import torch

from reslab.errors import UsageError
from reslab.train.joined import here, part
from reslab.train.world import ALONE, Group, World

GOOD = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "node0",
        "MASTER_PORT": "29500"}  # fmt: skip


def test_the_variables_say_which_process_this_is() -> None:
    assert here(GOOD) == World(rank=3, size=4, local=1, beside=2)
    assert here({}) is here({"PATH": "/bin", "MASTER_ADDR": "node0"}) is ALONE
    assert here({**GOOD, "WORLD_SIZE": "1", "RANK": "0"}) is ALONE


@pytest.mark.parametrize(("changes", "said"), [
    ({"RANK": None}, "WORLD_SIZE is set, but RANK is not"),
    ({"WORLD_SIZE": None}, "RANK is set, but WORLD_SIZE is not"),
    ({"LOCAL_RANK": None, "MASTER_PORT": ""}, "RANK is set, but LOCAL_RANK, MASTER_PORT are not"),
    ({"RANK": "4"}, "RANK must be below WORLD_SIZE 4, got 4"),
    ({"RANK": "-1"}, "RANK must be a whole number, got '-1'"),
    ({"WORLD_SIZE": "two"}, "WORLD_SIZE must be a whole number, got 'two'"),
    ({"LOCAL_RANK": "2"}, "LOCAL_RANK must be below LOCAL_WORLD_SIZE 2"),
    ({"LOCAL_WORLD_SIZE": "9"}, "at most WORLD_SIZE 4"),
    ({"MASTER_PORT": "70000"}, "MASTER_PORT must be from 1 to 65535, got 70000"),
    ({"MASTER_PORT": "9" * 5000}, "MASTER_PORT must be a whole number"),
])  # fmt: skip
def test_nonsense_is_one_sentence(changes: dict[str, Any], said: str) -> None:
    given = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    with pytest.raises(UsageError, match=said):
        here(given)


@pytest.mark.parametrize("n", [0, 1, 3, 7, 128])
def test_the_parts_of_all_processes_are_everything_once(n: int) -> None:
    for size in (1, 2, 3, 4, 8):
        parts = [World(rank=rank, size=size).part(n) for rank in range(size)]
        assert [k for part in parts for k in part] == list(range(n))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_rank_0_leaves_last() -> None:
    """Not before both others have said that they go; after a deadline without one of them."""
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    zero, one, two = (World(rank=rank, size=3) for rank in range(3))
    gone = threading.Thread(target=part, args=(zero, Group(store=store)))
    gone.start()
    part(one, Group(store=store))
    gone.join(0.2)
    assert gone.is_alive()
    part(two, Group(store=store))
    gone.join(5)
    assert not gone.is_alive()
    began = time.monotonic()
    part(World(size=4), Group(store=store), seconds=0.1)
    assert 0.1 <= time.monotonic() - began < 5
