"""One plan while it is made: the table of times, the steps until the target is reached, and the result."""

import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from reslab.errors import ReslabWarning, UsageError, arg
from reslab.look.graph.passes import as_it_was
from reslab.look.measure import Metric
from reslab.slim.planning.choices import Choices, Removed
from reslab.slim.planning.copies import shortened
from reslab.slim.planning.items import Items
from reslab.slim.planning.meter import Meter, sizes
from reslab.slim.planning.passes import Passes
from reslab.slim.planning.ranking import ranked
from reslab.slim.planning.search import Node, Search
from reslab.slim.planning.state import State, fits
from reslab.slim.planning.table import Table, table_of
from reslab.slim.planning.targets import Target, reached_by_size, unreachable_speed
from reslab.slim.planning.timing import in_turn, ratio, timing_of
from reslab.slim.record import By, Plan, Step

PATIENCE = 2  # steps above the error that is to be kept, after which the search ends: it may fall again


@dataclass
class Job:
    """What all stages share."""

    model: nn.Module
    choices: Choices
    goal: Target
    by: By
    beam: int
    race: bool
    metrics: dict[str, Metric]
    items: Items
    share: float  # of the samples that are held out
    state: State
    meter: Meter
    timed: Any  # the input whose pass is timed
    notes: list[str] = field(default_factory=list)
    measured: dict[Removed, tuple[float, float, float]] = field(default_factory=dict)  # speedups by their own time
    count: int = 0  # items that the steps are measured on

    def __post_init__(self) -> None:
        self.meter.steps = max(0, len(self.state.levels) - 1)

    def time(self) -> Table:
        """The time of a pass and of each block: read if it was measured like this, else measured."""
        now = timing_of([0.0], self.model, self.timed)
        if self.state.table is None or not fits(self.state.table, now):
            free = {block.index: block.module for block in self.choices.free}
            whole = [block for block in self.choices.free if block.kind != "part"]
            loose = [b for b in self.choices.free if b.kind == "part"
                     and not any(b.module.startswith(f"{one.module}.") for one in whole)]  # fmt: skip
            without = shortened(self.model, [*whole, *loose])
            self.state.table = table_of(self.model, shortened(self.model), without, free, self.timed,
                                        pause=self.meter.pause)  # fmt: skip
            self.state.write()
        return self.state.table

    def search(self) -> Removed:
        """Remove one block after the other until the target is reached; the sets of each step are in the state."""
        levels = self.state.levels
        with torch.no_grad(), as_it_was(self.model):
            search, seconds = self.begin()
            levels[:1] = [[search.start()]]
            order = self.order()
        most = int(self.goal.value) if self.goal.goal == "remove" else len(self.choices.all())
        sets = sizes(self.choices, levels[-1][0].removed, max(0, most + 1 - len(levels)), self.beam)
        self.meter.announce(self.choices, self.items, sets, seconds, self.by)
        level, chosen = 0, self.reached(0)
        while chosen is None:
            level += 1
            self.meter.steps = len(levels) - 1
            if level == len(levels):
                with torch.no_grad(), as_it_was(self.model):
                    found = search.next(levels[-1], order)
                if not found:
                    return self.unreached()
                levels.append(found)
                for node in levels[-2]:  # they are not needed any more, and hold memory
                    node.model, node.tally = None, None
                self.state.write()
            chosen = self.reached(level)
        if not search.passes.grows:
            self.notes.append(f"each candidate needed a pass of its own: {search.passes.why}")
        if search.dropped:
            self.notes.append(f"{100 * search.dropped / max(1, self.meter.done):.0f} % of the measurements were saved: "
                              "candidates that were clearly worse on the first samples were stopped")  # fmt: skip
        return chosen

    def begin(self) -> tuple[Search, float]:
        """Measure the intact model: what all steps share, and the seconds of one pass of all samples."""
        began = time.perf_counter()
        passes = Passes(self.model, self.items, self.metrics, self.choices.blocks.merges, pause=self.meter.pause)
        seconds = time.perf_counter() - began
        self.state.same_model(passes.outputs, passes.rounding)
        if passes.whole_batches:
            self.notes.append("the model gives a sample other scores in a smaller batch, or does not accept one: "
                              "batches are not divided, none are held out, and no candidate is stopped")  # fmt: skip
        else:
            self.items.hold_out(self.share)
        self.count = int(passes.measured_on(passes.intact).sizes.sum())
        measure = next(iter(self.metrics))
        return Search(passes, self.choices, measure, self.beam, self.race, self.meter.step), seconds

    def order(self) -> list[int] | None:
        """The order of a one-shot score; None for the greedy search."""
        if self.by == "disabling":
            return None
        if self.state.scores is None:
            self.state.scores = ranked(self.model, self.items, self.choices.blocks.merges, self.choices.free, self.by,
                                       self.meter.pause)  # fmt: skip
        return sorted(self.state.scores, key=lambda i: (self.state.scores[i], i))  # type: ignore[index]

    def reached(self, level: int) -> Removed | None:
        """The best set of a step if it reaches the target; for an error to be kept, the last step that did."""
        nodes, goal = self.state.levels[level], self.goal
        if goal.goal in ("remove", "max_macs"):
            return next((n.removed for n in nodes if level and reached_by_size(goal, self.choices, n.removed)), None)
        if goal.goal == "speedup":
            return next((n.removed for n in nodes if level and self.fast(n.removed)), None)
        allowed = self.state.levels[0][0].values["error"] + goal.value / 100
        above = [all(node.values["error"] > allowed + 1e-9 for node in one) for one in self.state.levels[: level + 1]]
        if len(above) <= PATIENCE or not all(above[-PATIENCE:]):
            return None
        return self.kept(allowed)

    def kept(self, allowed: float) -> Removed:
        """The largest set whose error is allowed."""
        good = [node.removed for level in self.state.levels for node in level if node.values["error"] <= allowed + 1e-9]
        found = max(good, key=len)
        if not found:
            first = min(node.values["error"] for node in self.state.levels[1])
            near = -int(-1e4 * (first - self.state.levels[0][0].values["error"]) // 1) / 100
            raise UsageError(f"removing any block raises the error of {self.choices.blocks.model} by at least {near:g} "
                             "points; the nearest is ", arg(self.goal.goal, near))  # fmt: skip
        return found

    def fast(self, removed: Removed) -> bool:
        """Whether the model without these blocks is as fast as asked: by the table, and then by its own time, twice.

        Of many sets of which each is timed once, the first that seems fast enough is often only a lucky measurement.
        """
        assert self.state.table is not None
        if self.state.table.speedup(removed) < self.goal.value:
            return False
        return all(self.own(removed, again=again)[0] >= self.goal.value for again in (False, True))

    def own(self, removed: Removed, *, again: bool = False) -> tuple[float, float, float]:
        """The speedup as measured: both models in turn."""
        if again or removed not in self.measured:
            gone = [self.choices.blocks[i] for i in removed]
            self.measured[removed] = ratio(*in_turn([self.model, shortened(self.model, gone)], self.timed,
                                                    pause=self.meter.pause))  # fmt: skip
        return self.measured[removed]

    def unreached(self) -> Removed:
        """No block is left. For an error to be kept that is the end; otherwise the target cannot be reached."""
        levels = self.state.levels
        if self.goal.goal == "keep_error":
            return self.kept(levels[0][0].values["error"] + self.goal.value / 100)
        best = levels[-1][0].removed
        if self.goal.goal == "speedup":
            raise unreachable_speed(self.own(best)[0], "measured")
        raise UsageError(f"no further block of {self.choices.blocks.model} can be removed; the nearest is ",
                         arg("remove", len(best)))  # fmt: skip

    def result(self, chosen: Removed, data: str) -> Plan:
        """The plan: the steps to the chosen set, and those that were measured beyond it."""
        table, levels = self.state.table, self.state.levels
        assert table is not None
        known = {node.removed: node for level in levels for node in level}
        path = max((node.removed for node in known.values() if node.removed[: len(chosen)] == chosen), key=len)
        steps = tuple(self.step(known[path[:i]]) for i in range(len(path) + 1))
        self.check(chosen, table)
        self.tell_what_chose()
        self.state.write()
        return Plan(
            model=self.choices.blocks.model, blocks=self.choices.blocks.blocks, measure=next(iter(self.metrics)),
            by=self.by, goal=self.goal.goal, target=self.goal.value, reached=True, chosen=len(chosen), steps=steps,
            n=self.count, data=data, timing=table.timing, table={str(i): value for i, value in table.blocks.items()},
            beam=self.beam, seconds=self.state.seconds, notes=tuple(self.notes),
        )  # fmt: skip

    def check(self, chosen: Removed, table: Table) -> None:
        """Compare the table with the time of the model without the blocks, and warn if they do not agree."""
        self.notes += self.choices.protected()
        if not chosen:
            return
        expected, around, (found, low, high) = table.speedup(chosen), table.range(chosen), self.own(chosen, again=True)
        self.notes.append(f"the model without these blocks, timed in turn with the intact one: {found:.2f}x as fast "
                          f"({low:.2f} to {high:.2f}); by the table of the blocks' times {expected:.2f}x")  # fmt: skip
        if around.high < low or high < around.low:
            warnings.warn(ReslabWarning(
                f"the blocks' times do not add up: by their table the model would be {expected:.2f}x as fast "
                f"({around.low:.2f} to {around.high:.2f}), but timed itself it is {found:.2f}x ({low:.2f} to "
                f"{high:.2f}); its own time counts"), stacklevel=2)  # fmt: skip

    def tell_what_chose(self) -> None:
        """Which samples chose the blocks, and how that biases what is stated."""
        if self.items.are_held_out:
            self.notes.append(f"a random {self.items.chosen_by:,} of the samples chose the blocks; values and "
                              f"intervals are of the {self.items.measured_on:,} others")  # fmt: skip
        elif self.by == "disabling":
            self.notes.append("the same samples chose the blocks and measured the steps, so the steps look better than "
                              "they are, and the intervals do not cover that")  # fmt: skip
        if self.goal.goal == "keep_error":
            self.notes.append(
                "the error is kept by its estimate: the upper end of its interval may lie above the target; the "
                "samples on which the steps are measured chose how many blocks are removed, so the last step looks "
                "better than it is"
            )
        self.notes.append("an interval is of the samples, for this order of blocks; another search, or other samples, "
                          "may choose other blocks")  # fmt: skip

    def step(self, node: Node) -> Step:
        assert self.state.table is not None
        block = node.removed[-1] if node.removed else None
        return Step(
            block=block, module="" if block is None else self.choices.blocks[block].module, values=node.values,
            change=node.change, low=node.low, high=node.high, macs=self.choices.macs(node.removed),
            params=self.choices.params(node.removed), milliseconds=self.state.table.milliseconds(node.removed),
            ranges=node.ranges,
        )  # fmt: skip
