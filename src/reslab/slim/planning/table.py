"""Which share of a pass goes with each block: the table by which targets in milliseconds are planned.

A block's time is taken inside the pass, between the moment when its module starts and the moment when it ends, once in
the intact model and once where the blocks are bypassed; the difference goes with the block. The difference of whole
passes with and without one block would have the noise of the whole pass: one block of ResNet-56 is 4 % of it.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from reslab.look.graph.example import Example
from reslab.slim.planning.timing import ROUNDS, SECONDS, WARM, Stamps, device_of, in_turn, timing_of
from reslab.slim.record import Timing
from reslab.statistics import Interval, median_interval

Key = int | str  # of a span: a block's index, or "between 3"


@dataclass(frozen=True, kw_only=True)
class Table:
    """The time of a pass of the intact model, and what of it goes with each block."""

    timing: Timing
    blocks: dict[int, float]  # milliseconds by index of the block: medians
    low: dict[int, float]  # 95 % intervals of the medians
    high: dict[int, float]

    def milliseconds(self, removed: Sequence[int]) -> float:
        """Of a pass without these blocks."""
        return max(self.timing.milliseconds - sum(self.blocks[index] for index in removed), 1e-6)

    def speedup(self, removed: Sequence[int]) -> float:
        return self.timing.milliseconds / self.milliseconds(removed)

    def range(self, removed: Sequence[int]) -> Interval:
        """The speedup without these blocks, by the ends of the blocks' intervals."""
        whole = self.timing.milliseconds
        least, most = sum(self.low[index] for index in removed), sum(self.high[index] for index in removed)
        return Interval(low=whole / max(whole - least, 1e-6), high=whole / max(whole - most, 1e-6))


class Watch:
    """Takes the time of some modules within a pass of a model, and of what lies between them."""

    def __init__(self, model: nn.Module, paths: Mapping[int, str]) -> None:
        self.stamps = Stamps(device_of(model))
        self.spans: dict[Key, list[tuple[Any, Any]]] = {}
        self.began: list[Any] = []  # of the modules that are running
        self.last: Any = None  # the end of the last span
        self.between = 0
        self.outer: set[Key] = set()  # spans that lie in no other one: together they are the pass
        self.handles = [model.register_forward_pre_hook(self.starts_pass), model.register_forward_hook(self.ends_pass)]
        for key, path in paths.items():
            module = model.get_submodule(path)
            self.handles.append(module.register_forward_pre_hook(self.starts))
            self.handles.append(module.register_forward_hook(self.ends(key)))

    def starts_pass(self, *_: Any) -> None:
        self.began.clear()
        self.last, self.between = self.stamps.now(), 0

    def ends_pass(self, *_: Any) -> None:
        self.gap(self.stamps.now())

    def gap(self, now: Any) -> None:
        self.add(f"between {self.between}", (self.last, now), outer=True)
        self.between += 1

    def add(self, key: Key, span: tuple[Any, Any], *, outer: bool) -> None:
        self.spans.setdefault(key, []).append(span)
        if outer:
            self.outer.add(key)

    def starts(self, *_: Any) -> None:
        now = self.stamps.now()
        if not self.began:
            self.gap(now)
        self.began.append(now)

    def ends(self, key: int) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            now = self.stamps.now()
            self.add(key, (self.began.pop(), now), outer=not self.began)
            self.last = now

        return hook

    def read(self) -> dict[Key, float]:
        """Milliseconds of each span in the passes since the last call."""
        self.stamps.synchronize()
        found = {key: sum(self.stamps.milliseconds(*span) for span in spans) for key, spans in self.spans.items()}
        self.spans.clear()
        return found

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


def table_of(
    intact: nn.Module, watched: nn.Module, bypassed: nn.Module, paths: Mapping[int, str], example: Example, *,
    rounds: tuple[int, int] = ROUNDS, seconds: float = SECONDS, pause: Callable[[], None] = lambda: None,
) -> Table:  # fmt: skip
    """The time of each block's module in `watched`, a copy of the intact model, minus its time in `bypassed`.

    `bypassed` is a copy in which all these blocks pass their input on: what remains there, such as a projection, does
    not go with the block. The intact model itself is timed without a watch, and the blocks' shares of the watched pass
    are shares of that time. Shares, because other programs interrupt nearly every pass of a busy machine, but few spans
    of one block: medians of spans add up to less than the median of passes.
    """
    watches = {1: Watch(watched, paths), 2: Watch(bypassed, existing(bypassed, paths))}
    seen: dict[int, list[dict[Key, float]]] = {1: [], 2: []}

    def after(i: int) -> None:
        if i in watches:
            seen[i].append(watches[i].read())

    try:
        times = in_turn([intact, watched, bypassed], example, rounds=rounds, seconds=seconds, least=0, after=after,
                        pause=pause)  # fmt: skip
    finally:
        for watch in watches.values():
            watch.remove()
    one, other = seen[1][WARM:], seen[2][WARM:]
    timing = timing_of(times[0], intact, example)
    whole = sum(statistics.median(spans[key] for spans in one) for key in watches[1].outer)
    scale = timing.milliseconds / whole
    goes = {i: [scale * max(0.0, a[i] - b.get(i, 0.0)) for a, b in zip(one, other, strict=True)] for i in paths}
    around = {i: median_interval(values) for i, values in goes.items()}
    return Table(
        timing=timing,
        blocks={i: statistics.median(values) for i, values in goes.items()},
        low={i: interval.low for i, interval in around.items()},
        high={i: interval.high for i, interval in around.items()},
    )


def existing(model: nn.Module, paths: Mapping[int, str]) -> dict[int, str]:
    """Those whose module is still there: a part goes with the block around it."""
    known = dict(model.named_modules(remove_duplicate=False))
    return {key: path for key, path in paths.items() if path in known}
