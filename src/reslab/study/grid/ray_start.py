"""Connect to a Ray cluster, or start Ray on this machine alone; nothing is reported to its makers."""

import os
import signal
import socket
import threading
import warnings
from typing import Any

from reslab.errors import ReslabError, UsageError, arg, first_line
from reslab.extras import need
from reslab.train.cores import usable_cores

LOCAL = "127.0.0.1"
ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # 0: as on Windows, Ray listens to this machine alone, on Linux too


def connected(address: str, *, jobs: int) -> Any:
    """Ray, connected to the cluster at the address or, without one, started on this machine alone.

    Raises UsageError if no cluster answers, ReslabError if Ray would listen to other machines.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if not address:
        os.environ[ALONE] = "0"
    elif ":" in address and "//" not in address:
        refuse_silent(address)  # Ray itself would try for minutes
    ray: Any = need("ray", extra="cluster", why="running a grid on a Ray cluster")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Ray's, of its own changes to come
        try:
            if address:
                ray.init(address=address, **quiet)
            else:
                ray.init(address="local", num_cpus=jobs or usable_cores(), include_dashboard=False, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise no_answer(address or "this machine", error) from error
        finally:
            os.environ.pop(ALONE, None)
    if threading.current_thread() is threading.main_thread():
        for number, handler in before.items():
            signal.signal(number, handler)  # Ray replaces them
    if not address and ray.util.get_node_ip_address() != LOCAL:
        ray.shutdown()
        raise ReslabError(f"Ray would listen to other machines, not to {LOCAL} alone, as it was imported before; "
                          "start a cluster yourself and give its address as ", arg("on", "ray:HOST:6379"))  # fmt: skip
    return ray


def refuse_silent(address: str) -> None:
    """Raise UsageError if nothing listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise no_answer(address, error) from error


def no_answer(where: str, error: Exception) -> UsageError:
    return UsageError(f"no Ray cluster answers at {where} ({first_line(error)}); give its address as ",
                      arg("on", "ray:HOST:6379"))  # fmt: skip
