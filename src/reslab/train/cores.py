"""How many cores this process may use."""

import os
from pathlib import Path

from reslab.train.supervised import share

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # a container's limit: microseconds of CPU time per period


def usable_cores() -> int:
    """Cores that this process may use: those of its affinity mask, or fewer if the container's quota is lower.

    Where a supervisor started several processes, the share of this one.
    """
    return share(cores_of_the_machine())


def cores_of_the_machine() -> int:
    """Cores that all processes together may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2, or "max": no quota
        return allowed
