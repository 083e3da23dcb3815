"""The ranks of one machine, from their start to the end of the last; and why they ended."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reslab.launch.process import Process
from reslab.train import signals

LINGER = 30.0  # seconds for which the others may outlive rank 0 when it has ended well
GRACE = 5.0  # seconds from SIGTERM to SIGKILL
SETTLE = 2.0  # seconds in which the other ranks' codes are awaited: theirs may be the cause
CLEAR = (1, 2)  # exit codes of a failure that one sentence explains: another try would fail alike
ASKED = 128  # + n: exit code of a rank that saved and left as signal n asked
STOPS = frozenset(ASKED + number for number in (*signals.ASKED, *signals.WARNED))
STOPPED = "stopped; run the same command again to resume"
WELL = frozenset((0, *STOPS, ASKED + signal.SIGPIPE))  # the last: whoever read its output is gone


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the ranks of a machine ended. `again`: the next try may succeed. `killed`: by a signal, the first cause.

    `why`: what no rank has said on the screen.
    """

    code: int
    why: str = ""
    again: bool = False
    killed: bool = False
    shown: tuple[str, ...] = ()  # what ranks other than 0 printed before they failed, with their numbers

    @property
    def well(self) -> bool:
        """They finished, or saved and left as they were asked to."""
        return self.code in WELL


class Group:
    """The ranks of one machine: `look` often, until it says how they ended, and then until they are `gone`."""

    def __init__(
        self, command: Sequence[str], environments: Mapping[int, Mapping[str, str]], *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.clock = clock
        self.failed_at: float | None = None  # when the first failure was seen
        self.first: list[Process] = []  # the ranks that had failed then
        self.kill_at: float | None = None
        self.passed = 0  # the signal that was passed on
        self.done_at: float | None = None  # when rank 0 was seen to have ended well
        self.ranks: list[Process] = []
        try:
            for number, environment in environments.items():
                self.ranks.append(Process(number, command, environment))
        except BaseException:
            self.close()
            raise

    @property
    def pipes(self) -> list[int]:
        return [rank.pipe for rank in self.ranks if rank.pipe is not None]

    @property
    def gone(self) -> bool:
        """Whether every rank has ended."""
        return all(rank.code is not None for rank in self.ranks)

    @property
    def asked(self) -> int:
        """The signal that a rank was sent by someone else and left after, or 0."""
        return next((code - ASKED for rank in self.ranks if (code := rank.code) in STOPS and code), 0)

    def take_saved(self) -> bool:
        """Whether rank 0 has written a checkpoint since it was last asked for."""
        saved = sum(rank.saved for rank in self.ranks)
        for rank in self.ranks:
            rank.saved = 0
        return saved > 0

    def look(self) -> Ended | None:
        """Read what they print, kill what has outlived its grace, and say how they ended, if they have."""
        for rank in self.ranks:
            rank.read()
        if self.kill_at is not None:
            if self.clock() >= self.kill_at:
                self.kill()
            return None
        return self.verdict()

    def verdict(self) -> Ended | None:
        """How they ended: as soon as one was killed; after another failure once its cause may have shown."""
        codes = {rank: self.own_way(rank.code) for rank in self.ranks}
        if self.ranks[0].number == 0 and codes[self.ranks[0]] in WELL:
            return self.after_rank_0()
        failed = {rank: code for rank, code in codes.items() if code is not None and code not in WELL}
        if not failed:
            if None in codes.values():
                return None
            return Ended(code=max(code or 0 for code in codes.values()))
        if self.failed_at is None:
            self.failed_at, self.first = self.clock(), list(failed)
        killed = {rank: code for rank, code in failed.items() if code < 0}
        if not killed and None in codes.values() and self.clock() < self.failed_at + SETTLE:
            return None
        clear = {rank: code for rank, code in failed.items() if code in CLEAR}
        for found in (killed, clear, {rank: code for rank, code in failed.items() if rank in self.first}):
            if found:
                break
        rank, code = next(iter(found.items()))
        if rank.number == 0 and code in CLEAR:  # it has printed its sentence where the supervisor does
            return Ended(code=code)
        said = {one: one.lines() for one in found if one.number}
        if code > 0:
            said[rank] = said.get(rank, [])[:-1]  # the reason names the last line
        shown = tuple(f"[rank {one.number}] {line}" for one, lines in said.items() for line in lines)
        return Ended(code=code if code in CLEAR else 1, why=reason(rank, code), again=code not in CLEAR,
                     killed=code < 0, shown=shown)  # fmt: skip

    def own_way(self, code: int | None) -> int | None:
        """The exit code of a rank that saved and left, also for one that the signal passed on to it has ended."""
        return ASKED - code if code and code == -self.passed else code

    def after_rank_0(self) -> Ended | None:
        """Rank 0 has ended well: all that is kept is written, so that it does not matter how the others end."""
        if self.done_at is None:
            self.done_at = self.clock()
        if not self.gone:
            if self.clock() > self.done_at + LINGER:
                self.kill()
            return None
        code = self.ranks[0].code
        assert code is not None
        return Ended(code=ASKED - code, why=STOPPED) if code < 0 else Ended(code=code)

    def pass_on(self, number: int) -> None:
        """Pass on a signal that asks to save and leave; one that comes before or after the training ends a rank."""
        self.passed = number
        self.send(number)

    def send(self, number: int, *, all_of_them: bool = False) -> None:
        """Send a signal to the ranks, or to what they have started, too."""
        for rank in self.ranks:
            if all_of_them:
                rank.send_all(number)
            else:
                rank.send(number)

    def end(self, *, at_once: bool = False) -> None:
        """Ask those that run to leave, and kill them after a grace, or at once."""
        if at_once:
            self.kill_at = self.clock()
            self.kill()
        elif self.kill_at is None:
            self.kill_at = self.clock() + GRACE
            self.send(signal.SIGTERM)

    def kill(self) -> None:
        self.send(signal.SIGKILL, all_of_them=True)

    def close(self) -> None:
        """Kill what is left; let go of the pipes."""
        for rank in self.ranks:
            rank.close()


def reason(rank: Process, code: int) -> str:
    """Why a rank failed, as the beginning of a sentence."""
    if code > 0:
        last = "".join(rank.lines()[-1:]).removeprefix("reslab: ")
        return f"rank {rank.number} ended with exit code {code}" + (f" ({last})" if last else "")
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        name = "a real-time signal"
    return f"rank {rank.number} was killed by signal {-code} ({name}{'; out of memory?' * (code == -signal.SIGKILL)})"
