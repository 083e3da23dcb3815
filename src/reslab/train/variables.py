"""The variables by which torchrun tells each process which of several it is. Nothing here needs torch."""

import os
from collections.abc import Mapping

NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def started(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """(which, of how many) processes this is, if all variables are set and make sense; else (0, 1).

    Some of them alone are left from elsewhere: a job on a cluster may set WORLD_SIZE for its own use.
    """
    if not all(environment.get(name) for name in NEEDED):
        return 0, 1
    rank, size = (environment[name] for name in NEEDED[:2])
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        return 0, 1
    return int(rank), int(size)
