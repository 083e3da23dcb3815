"""A command that several processes run together, as torchrun or --nproc starts them: rank 0 alone prints."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cyclopts import App

from reslab.cli.failures import exit_code, sentence
from reslab.errors import ReslabError, UsageError
from reslab.train.variables import started

if TYPE_CHECKING:
    from reslab.progress import Progress, Rows
    from reslab.train.world import World

TOGETHER = {("train",), ("eval",), ("qa", "train"), ("tables", "train")}  # the commands that several processes can run
HELP = {"--help", "-h", "--version"}
met: list[bool] = []  # filled when the processes of a command look for each other
failed: list[bool] = []  # filled when a command failed that several processes run


@contextlib.contextmanager
def together() -> Iterator["World"]:
    """Inside, the command's processes are connected, and those that do not lead print nothing but their own errors."""
    from reslab.train.exchange import Lost, is_of_all
    from reslab.train.joined import here, joined
    from reslab.train.supervised import supervised

    world = here()
    if world.alone:
        with joined() as world:
            yield world
        return
    met.append(True)
    with contextlib.ExitStack() as stack:
        if not world.leads:
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            logging.getLogger("reslab").handlers = []
        try:
            with joined() as world:
                yield world
        except BaseException as error:
            failed.append(True)
            if not isinstance(error, Lost) and not is_of_all(error):
                world.fail(sentence(error), exit_code(error))
            if not world.leads:
                vars(error)["silent"] = is_of_all(error) or isinstance(error, Lost | KeyboardInterrupt)
                vars(error)["rank"] = "" if supervised() else f"process {world.rank} of {world.size}: "
            elif isinstance(error, Lost) and supervised():  # the supervisor says which process was lost, and goes on
                vars(error)["silent"] = True
            elif isinstance(error, Lost) and (found := world.failure()):
                raise explained(world, *found) from error
            raise


def explained(world: "World", rank: int, sentence: str, code: int) -> ReslabError:
    """The failure of another process in the place of its loss; on this machine it has printed its sentence itself."""
    error = ReslabError(f"process {rank} of {world.size}: {sentence}")
    error.exit_code = code
    vars(error)["silent"] = rank < world.beside
    return error


@contextlib.contextmanager
def board(world: "World") -> Iterator["Rows"]:
    """As reslab.progress.board, in the process that leads."""
    from reslab.progress import board, quiet

    with board() if world.leads else contextlib.nullcontext(quiet) as rows:
        yield rows


@contextlib.contextmanager
def shown(world: "World", name: str) -> Iterator["Progress"]:
    """As reslab.progress.shown, in the process that leads."""
    with board(world) as rows:
        yield rows(name)


def refuse_several(what: str) -> None:
    """Raise UsageError where several processes run the command."""
    size = started()[1]
    if size > 1:
        raise UsageError(f"{what} runs in one process, but {size} were started (WORLD_SIZE is {size}): leave out "
                         "torchrun, or unset WORLD_SIZE")  # fmt: skip


def check(app: App, words: Sequence[str]) -> None:
    """Raise UsageError where several processes run a command that is for one; not for its help."""
    if started()[1] == 1 or HELP & {*words}:
        return
    chain = tuple(app.parse_commands(words)[0])
    if chain not in TOGETHER:
        refuse_several(f"`{' '.join(('reslab', *chain))}`")


def is_echo() -> bool:
    """Whether this is one of several processes that all fail alike, before they meet: rank 0 alone prints."""
    return started()[0] > 0 and not met


def leave(code: int) -> None:
    """End a process whose command failed: a usual exit would wait for messages of processes that wait for this one."""
    if failed:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
