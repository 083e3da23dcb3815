"""How several processes of one training find each other and part again.

Each is started with torchrun's variables: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch

from reslab.errors import ReslabError, UsageError
from reslab.train.exchange import Lost, is_of_all
from reslab.train.variables import NEEDED
from reslab.train.world import ALONE, Group, World

BESIDE = "LOCAL_WORLD_SIZE"  # torchrun gives it; others may not
MEETING = timedelta(minutes=10)  # in which all processes must be there
ANSWER = timedelta(minutes=30)  # in which each must come to what all do together
PARTING = 10.0  # seconds for which rank 0 waits until the others have read its last word
BRIEF = 0.02  # seconds between two looks at that
GONE = "reslab/gone"  # how many of the others have


def here(environment: Mapping[str, str] = os.environ) -> World:
    """Which of several processes this is. Raises UsageError if only some of the variables are set, or to no numbers."""
    found = [name for name in NEEDED[:2] if environment.get(name)]
    if not found or (environment.get("WORLD_SIZE") == "1" and environment.get("RANK", "0") == "0"):
        return ALONE
    if missing := [name for name in NEEDED if not environment.get(name)]:
        raise UsageError(f"{found[0]} is set, but {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not: "
                         "several processes are started by torchrun, which sets all of them; to train in one process, "
                         f"unset {' and '.join(found)}")  # fmt: skip
    rank, size, local, port = (number(environment, name) for name in NEEDED if name != "MASTER_ADDR")
    beside = number(environment, BESIDE) if environment.get(BESIDE) else min(size, local + 1)
    if not rank < size:
        raise UsageError(f"RANK must be below WORLD_SIZE {size}, got {rank}")
    if not local < beside <= size:
        raise UsageError(f"LOCAL_RANK must be below {BESIDE} {beside}, and that at most WORLD_SIZE {size}, got {local}")
    if not 0 < port < 65536:
        raise UsageError(f"MASTER_PORT must be from 1 to 65535, got {port}")
    return World(rank=rank, size=size, local=local, beside=beside)


def number(environment: Mapping[str, str], name: str) -> int:
    value = environment[name]
    if not (value.isascii() and value.isdecimal()) or len(value) > 9:
        raise UsageError(f"{name} must be a whole number, got {value!r}")
    return int(value)


class Connection:
    """This program's connection to the others', which lasts as long as it; each training has its own part of it."""

    store: Any = None
    used = 0  # how often processes have joined


@contextlib.contextmanager
def joined() -> Iterator[World]:
    """Inside, this process is connected to the others of its training; alone, it is as ever. A program may do it again.

    Raises UsageError for variables that make no sense, Lost if the others cannot be reached within MEETING.
    """
    world = here()
    if world.alone:
        yield ALONE
        return
    if torch.distributed.is_initialized():
        raise UsageError("this program has started torch.distributed itself; leave that to reslab")
    group = connect(world)
    try:
        yield replace(world, group=group)
    except ReslabError as error:
        if is_of_all(error):  # after another failure it would wait for processes that wait for this one
            leave(world, group)
        raise
    leave(world, group)


def leave(world: World, group: Group) -> None:
    """End the connection at an end that all processes come to."""
    part(world, group)
    torch.distributed.destroy_process_group()


def connect(world: World) -> Group:
    """Start the process group: gloo for the CPU and, where there are CUDA devices, NCCL for these."""
    place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    cuda = torch.cuda.is_available() and torch.distributed.is_nccl_available()
    try:
        if Connection.store is None:
            Connection.store, _, _ = next(
                torch.distributed.rendezvous("env://", world.rank, world.size, timeout=MEETING)
            )
            Connection.store.set_timeout(MEETING)
        Connection.used += 1
        store = torch.distributed.PrefixStore(f"reslab/{Connection.used}", Connection.store)
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", store=store, rank=world.rank,
                                             world_size=world.size, timeout=ANSWER)  # fmt: skip
    except (RuntimeError, ValueError, OSError) as error:
        raise Lost(f"process {world.rank} of {world.size} could not meet the others at {place} within "
                   f"{MEETING.total_seconds() / 60:g} minutes: start all {world.size} with the same MASTER_ADDR and "
                   f"MASTER_PORT ({first_words(error)})") from error  # fmt: skip
    return Group(store=store)


def part(world: World, group: Group, *, seconds: float = PARTING) -> None:
    """Leave at an end that all processes come to: rank 0 last, as what it decided is stored in it.

    Else who has not read its last word finds it gone, and takes that for a failure. One that does not come in time is
    not waited for.
    """
    end = time.monotonic() + seconds
    with contextlib.suppress(RuntimeError):  # rank 0 is gone already
        if not world.leads:
            group.store.add(GONE, 1)
            return
        while group.store.add(GONE, 0) < world.size - 1 and time.monotonic() < end:
            time.sleep(BRIEF)


def first_words(error: BaseException) -> str:
    """The beginning of torch's message, without its address in the source."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.rpartition("] ")[2][:120]
