"""Options of a training for several processes, and the supervisor that starts them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from reslab.cli.options import whole
from reslab.errors import UsageError, one_line
from reslab.launch import supervise
from reslab.launch.supervise import RESTARTS
from reslab.train.supervised import supervised

WORDS: list[str] = []  # of the command, as `main` got them


@dataclass(frozen=True, kw_only=True)
class _Processes:
    nproc: Annotated[
        int | None,
        Parameter(
            help="Train with this many processes on this machine: each batch is divided among them, and they are "
            "started again from the last checkpoint if one is killed or runs out of memory.",
            converter=whole,
        ),
    ] = None
    nodes: Annotated[
        int | None,
        Parameter(help="Number of machines; run the command on each, with its own --node.", converter=whole),
    ] = None
    node: Annotated[int | None, Parameter(help="Number of this machine, from 0.", converter=whole)] = None
    master: Annotated[
        str | None, Parameter(help="HOST:PORT of machine 0, at which the machines meet (a free port).")
    ] = None
    restarts: Annotated[
        int | None,
        Parameter(
            help=f"Give up after this many restarts without a new checkpoint between them (default: {RESTARTS}); any "
            "error but a killed process and lack of memory ends all at once.",
            converter=whole,
        ),
    ] = None


ProcessFlags = Annotated[_Processes, Parameter(name="*", group="Several processes")]


class Left(Exception):  # noqa: N818 - not an error
    """The processes of the command have ended; they or their supervisor have printed why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def remember(words: Sequence[str]) -> None:
    """The words of the command, which its processes get, too."""
    WORDS[:] = words


def launched(flags: _Processes | None) -> None:
    """If several processes are asked for, run them to their end, then raise Left; in one of them, do nothing."""
    if flags is None or supervised():
        return
    if flags.nproc is None:
        raise UsageError("--nodes, --node, --master and --restarts are for --nproc: give it, too")
    raise Left(supervise(
        [sys.executable, "-m", "reslab", *WORDS], nproc=flags.nproc, nodes=1 if flags.nodes is None else flags.nodes,
        node=flags.node or 0, master=flags.master or "", say=say,
        restarts=RESTARTS if flags.restarts is None else flags.restarts,
    ))  # fmt: skip


def say(line: str) -> None:
    """A line of the supervisor, or of a rank that failed, on standard error."""
    own = "" if line.startswith("[rank ") else "reslab: "
    print(f"{own}{one_line(line)}", file=sys.stderr, flush=True)
