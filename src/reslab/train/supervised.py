"""What a process of several, a rank, owes to the supervisor that started it (reslab/launch); without one, nothing."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

SUPERVISOR = "RESLAB_SUPERVISOR"  # in the environment of a rank: the supervisor's process id
SAVED = "RESLAB_SAVED"  # of rank 0: the open file to which it writes a byte for each checkpoint
CORES = "RESLAB_CORES"  # how many cores are its share
AGAIN = 75  # exit code of a rank whose failure may be gone at the next try: see passing.py
PR_SET_PDEATHSIG = 1  # of Linux's prctl
LOOK = 0.5  # seconds between two looks at the parent, on other systems


def supervised() -> bool:
    """Whether a supervisor of reslab started this process."""
    return SUPERVISOR in os.environ


def tie() -> None:
    """End this process as soon as its supervisor is gone, even by SIGKILL; without a supervisor do nothing.

    Linux kills it (prctl); elsewhere a thread looks at the parent twice a second. A SIGINT that the supervisor held
    back while Python started, as it would end in a traceback, arrives here: KeyboardInterrupt.
    """
    if not supervised():
        return
    parent = int(os.environ[SUPERVISOR])
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it was killed before
        os.kill(os.getpid(), signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def watch(parent: int) -> None:
    """Look at the parent until it is another; then end this process."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGKILL)


def tell_saved() -> None:
    """Tell the supervisor, if there is one, that a checkpoint of later steps was written: restarts are counted anew."""
    if SAVED in os.environ:
        with contextlib.suppress(OSError, ValueError):  # a full pipe tells it, too
            os.write(int(os.environ[SAVED]), b".")


def share(cores: int) -> int:
    """How many of the machine's usable cores are for this process: its share where a supervisor started several."""
    try:
        return max(1, min(cores, int(os.environ[CORES])))
    except (KeyError, ValueError):
        return cores
