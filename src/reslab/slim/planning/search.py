"""Greedy search: in every step the block goes without which the model does best, measured again after each removal.

With a beam of K, the K best sets of blocks are kept in every step. Candidates race: all are measured on a first share
of the samples, and those that are clearly worse than the K-th best are not measured on the rest. Clearly: the interval
of the paired difference lies above zero, at a level that drops the best candidate in at most one of 1,000 steps.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from reslab.errors import ReslabError
from reslab.look.lesion.growing import Lesion
from reslab.look.lesion.silencing import agree
from reslab.slim.block import Block
from reslab.slim.planning.choices import Choices, Removed
from reslab.slim.planning.copies import shortened
from reslab.slim.planning.items import picked
from reslab.slim.planning.passes import Passes
from reslab.slim.planning.tally import Tally, difference, finite

RISK = 0.001  # the chance that a step drops its best candidate before it was measured on all samples


@dataclass
class Node:
    """A set of removed blocks, in the order in which they went, and what was measured without them."""

    removed: Removed
    values: dict[str, float]  # of the samples that steps are measured on
    change: float = 0.0  # of the measure, with its interval
    low: float = 0.0
    high: float = 0.0
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)  # of each metric's change
    tally: Tally | None = None  # None: read from a stored plan
    model: nn.Module | None = None  # without the blocks; made when needed


@dataclass
class Entry:
    """A candidate of one step: a block of one of the sets."""

    parent: Node
    block: Block
    tally: Tally
    running: bool = True


@dataclass
class Search:
    """What all steps share."""

    passes: Passes
    choices: Choices
    measure: str
    beam: int = 1
    race: bool = True
    step: Callable[[int, str], None] = lambda steps, note: None  # reports samples times candidates that are done
    dropped: int = field(default=0, init=False)  # samples times candidates that were not measured

    def start(self) -> Node:
        """The intact model."""
        passes = self.passes
        values = passes.measured_on(passes.intact).means()
        none = dict.fromkeys(values, (0.0, 0.0))
        return Node((), values, ranges=none, tally=passes.intact, model=shortened(passes.model))

    def next(self, nodes: Sequence[Node], order: Sequence[int] | None = None) -> list[Node]:
        """The best sets with one more block: by measuring all candidates, or by a fixed order."""
        if order is not None:
            block = next((self.choices.blocks[i] for i in order if i in self.free(nodes[0])), None)
            return [] if block is None else [self.measured(nodes[0], block, None)]
        entries = self.entries(nodes)
        self.run(entries)
        best = sorted((entry for entry in entries if entry.running), key=self.rank)[: self.beam]
        if best and not math.isfinite(best[0].tally.mean(self.measure)):
            raise ReslabError(f"without {best[0].block.module}, and without any other block, the model returns values "
                              "that are not finite, so the plan cannot continue")  # fmt: skip
        return [self.measured(entry.parent, entry.block, entry.tally) for entry in best]

    def free(self, node: Node) -> list[int]:
        return [block.index for block in self.choices.after(node.removed)]

    def entries(self, nodes: Sequence[Node]) -> list[Entry]:
        """Every candidate of every set; those that make equal sets once."""
        found: dict[frozenset[int], Entry] = {}
        for node in nodes:
            for block in self.choices.after(node.removed):
                empty = Tally.empty(list(self.passes.metrics), self.passes.items.n)
                found.setdefault(frozenset((*node.removed, block.index)), Entry(node, block, empty))
        return list(found.values())

    def run(self, entries: list[Entry]) -> None:
        """Measure the entries on one share of the samples after the other."""
        items = self.passes.items
        shares = items.shares(race=self.race and self.passes.itemwise and not self.passes.whole_batches)
        for parent in {id(entry.parent): entry.parent for entry in entries}.values():
            self.passes.check(self.model(parent), [lesion(e.block) for e in entries if e.parent is parent])
        for start, stop in shares:
            for parent in {id(entry.parent): entry.parent for entry in entries if entry.running}.values():
                self.share(parent, [e for e in entries if e.running and e.parent is parent], start, stop)
            if stop < items.chosen_by:
                before = sum(entry.running for entry in entries)
                self.drop(entries, stop, len(shares) - 1)
                left = (before - sum(entry.running for entry in entries)) * (items.chosen_by - stop)
                self.dropped += left
                self.step(left, self.note(entries))

    def share(self, parent: Node, entries: Sequence[Entry], start: int, stop: int) -> None:
        """Measure the candidates of one set; the set itself comes along, and must be what it was."""
        passes, rows = self.passes, self.passes.items.deciding(start, stop)
        base = Tally.empty(list(passes.metrics), passes.items.n)
        lesions = [lesion(entry.block) for entry in entries]
        tallies = [base, *(entry.tally for entry in entries)]

        def step(steps: int) -> None:
            self.step(steps, self.note(entries))

        passes.measure(self.model(parent), lesions, rows, tallies, step)
        known = parent.tally
        if known is None or passes.same(base, known, at := torch.cat([one.at for one in rows])):
            return
        if passes.grows:  # a pass that grew was wrong although the first samples agreed
            passes.grows, passes.why = False, "the output for a sample changes if more samples are in the batch"
            passes.measure(self.model(parent), lesions, rows, tallies, lambda steps: None)
        if not passes.same(base, known, at):
            names = ", ".join(self.choices.blocks[i].module for i in parent.removed) or "nothing"
            raise ReslabError(f"the model without {names} does not give the same twice, so no plan can be trusted: "
                              "does it draw random numbers, or keep something between passes?")  # fmt: skip

    def drop(self, entries: Sequence[Entry], stop: int, looks: int) -> None:
        """Stop the candidates that are clearly worse than the K-th best on the samples measured so far."""
        at = self.passes.items.order[:stop]
        running = [(entry, entry.tally.on(at)) for entry in entries if entry.running]
        if len(running) <= self.beam:
            return
        running.sort(key=lambda pair: pair[1].mean(self.measure))
        level = 1 - 2 * RISK / (len(running) * max(1, looks))  # one end of the interval counts
        last = running[self.beam - 1][1]
        for entry, tally in running[self.beam :]:
            if not math.isfinite(tally.mean(self.measure)) or difference(self.measure, tally, last, level).low > 0:
                entry.running = False

    def rank(self, entry: Entry) -> tuple[float, ...]:
        """What the best has least of: the measure; where it is equal, the other metrics, then the place."""
        means = entry.tally.means()
        return (means.pop(self.measure), *means.values(), *sorted((*entry.parent.removed, entry.block.index)))

    def note(self, entries: Sequence[Entry]) -> str:
        running = [entry for entry in entries if entry.running]
        many = f"{len(running)} candidate{'s' * (len(running) != 1)}"
        return f"block {len(running[0].parent.removed) + 1} to remove: {many}" if running else many

    def measured(self, parent: Node, block: Block, tally: Tally | None) -> Node:
        """The set with one more block, on the samples that steps are measured on."""
        passes = self.passes
        node = Node((*parent.removed, block.index), {}, tally=tally)
        rows = passes.items.measuring()
        seen = tally
        if tally is None or passes.items.are_held_out:
            seen = Tally.empty(list(passes.metrics), passes.items.n)
            passes.measure(self.model(node), [], rows, [seen], lambda steps: None)
        assert seen is not None
        now, before = passes.measured_on(seen), passes.measured_on(passes.intact)
        node.values = now.means()
        node.change = now.mean(self.measure) - before.mean(self.measure)
        for name, value in node.values.items():
            around = finite(difference(name, now, before), value - before.mean(name))
            node.ranges[name] = (around.low, around.high)
        node.low, node.high = node.ranges[self.measure]
        return node

    def model(self, node: Node) -> nn.Module:
        """The model without the blocks of the set, after a check that this is the model with them disabled."""
        if node.model is None:
            gone = [self.choices.blocks[i] for i in node.removed]
            node.model = shortened(self.passes.model, gone)
            number, rows, _ = self.passes.items.deciding()[0]
            example = picked(self.passes.items.batches[number][0], rows[:8] if not self.passes.whole_batches else rows)
            disabled = self.passes.lesioned(self.passes.model, Lesion().union(*map(lesion, gone)), example)
            if not agree(self.passes.alone(node.model, example), disabled):
                names = ", ".join(block.module for block in gone)
                raise ReslabError(f"the model without {names} does not give what it gives with them disabled; keep "
                                  "them, or report this model")  # fmt: skip
        return node.model


def lesion(block: Block) -> Lesion:
    """The residual connections that are disabled to measure it."""
    return Lesion(block.merges)
