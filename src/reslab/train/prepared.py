"""What is trained of a net, and how it is run: frozen layers, rates, random depth, cached features, precision."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from reslab.errors import UsageError, tell
from reslab.look.graph.example import rows
from reslab.progress import Progress
from reslab.run import Run
from reslab.train.batch import Batch
from reslab.train.checkpoint import damaged
from reslab.train.depth import RandomDepth
from reslab.train.exchange import spread
from reslab.train.features import Caching, cached_head, extract
from reslab.train.freeze import freeze
from reslab.train.fusing.built import library
from reslab.train.gradient import cut, several_numbers
from reslab.train.gradient_sum import GradientSum
from reslab.train.heap import keep_freed
from reslab.train.layers import layers_of
from reslab.train.optimizer import make_optimizer
from reslab.train.recipe import Recipe
from reslab.train.several import Several
from reslab.train.task import Task
from reslab.train.tune import NUMBERS, Choice, Inputs, candidates, choose
from reslab.train.world import ALONE, World

SAMPLES = 2  # of the first batch, for a look at the net


class Prepared:
    """A net ready to be trained: `net`, placed; `choice`, how it runs; `blocks`, its random depth; `frozen` layers.

    `saved`: the checkpoint from which the training resumes, or None. Raises UsageError for a net without the layers
    that the recipe names.
    """

    def __init__(
        self, task: Task, net: nn.Module, *, recipe: Recipe, run: Run, saved: dict[str, Any] | None,
        progress: Progress, stopped: Callable[[], int], world: World = ALONE,
    ) -> None:  # fmt: skip
        self.task, self.recipe, self.run, self.fresh = task, recipe, run, saved is None
        self.world = world
        if task.device.type == "cpu":
            keep_freed()
        net = net.to(task.device)
        by_layer = recipe.freeze != "none" or recipe.layer_decay < 1 or recipe.head_rate != 1
        self.layers = layers_of(net, self.example) if by_layer else None
        self.frozen = freeze(net, self.layers, recipe.freeze) if self.layers and recipe.freeze != "none" else None
        if self.frozen:
            self.frozen.tell()
            if self.fresh:
                run.log(event="frozen", iteration=0, **asdict(self.frozen))
        self.blocks = RandomDepth(net, recipe, lambda: self.example)
        self.head = None
        if self.layers and self.frozen and self.frozen.backbone:
            self.head = cached_head(task, net, self.layers, self.batch.x)
        if saved is None:
            found = world.first(lambda: self.choose(net, progress, stopped).as_dict())  # the others wait
            self.choice = Choice.stored(found)
        else:
            self.choice = self.stored_choice(saved)
        self.net = self.choice.place(net, task.device)
        vars(self).pop("batch", None)  # it is not needed any more

    @cached_property
    def batch(self) -> Batch:
        """The first batch with an image that can be read; of several processes, this one's part of it."""
        first = next(iter(self.task.batches(0, 1)), None)
        if first and len(first.y):
            return first
        return next(one for one in self.task.batches(1, self.recipe.length(self.task.examples)) if len(one.y))

    @property
    def example(self) -> Inputs:
        """The first samples of that batch."""
        return rows(self.batch.x, 0, SAMPLES)

    def choose(self, net: nn.Module, progress: Progress, stopped: Callable[[], int]) -> Choice:
        """Find the fastest way to run on the first batch, and log it in the metrics.

        Without trials if features are computed once, which takes no longer than trials.
        """
        recipe = self.recipe
        if self.blocks.random or self.synced:
            # The net changes each step, or its norms wait for other processes.
            recipe = replace(recipe, compile="off", fuse="off")
        if self.head is not None:
            choice = candidates(recipe, self.task.device)[-1]
        else:
            some = next(cut(self.batch.x, self.batch.y, recipe.accumulate))  # all of it may not fit into memory
            steps = recipe.length(self.task.examples) * recipe.accumulate
            with several_numbers():
                choice = choose(net, some, self.task.loss, recipe=recipe, steps=steps, progress=progress,
                                asked=stopped)  # fmt: skip
        self.run.log(event="choice", iteration=0, **choice.as_dict())
        return choice

    def stored_choice(self, saved: dict[str, Any]) -> Choice:
        """How the checkpoint's steps were run. Raises ReslabError for a choice that does not exist."""
        try:
            return usable(Choice.stored(saved["choice"]))
        except UsageError as error:
            raise damaged(self.run, error) from error

    def optimizer(self) -> torch.optim.Optimizer:
        """The recipe's optimizer of what is trained of the net."""
        return make_optimizer(self.net, self.recipe, self.layers.weights(self.net) if self.layers else None)

    @property
    def synced(self) -> bool:
        """Whether BatchNorm takes its statistics from the batch of all processes."""
        return self.recipe.sync_bn and not self.world.alone

    def several(self) -> Several:
        """The steps of several processes, which have the same weights from here on."""
        with torch.no_grad():
            for value in self.net.state_dict().values():
                value.copy_(spread(value.cpu().contiguous()))
        summed = GradientSum(self.net, synced=self.synced, early=not self.recipe.checkpointing)
        return Several(self.world, summed, seed=self.recipe.seed)

    def forward(self, progress: Progress, stopped: Callable[[], int]) -> Callable[..., Any]:
        """What each step runs: the net or, on features that are computed here from its present weights, its head."""
        trained = self.net if self.head is None else self.cache(self.head, progress, stopped)
        return torch.compile(trained) if self.choice.compile else trained

    def cache(self, head: str, progress: Progress, stopped: Callable[[], int]) -> nn.Module:
        """Compute the inputs of the head, report it, and return the head."""
        assert isinstance(self.task, Caching)
        began = time.perf_counter()
        what = self.task.cache(lambda x: extract(self.net, head, self.choice, x), head, progress=progress,
                               stopped=stopped)  # fmt: skip
        seconds = time.perf_counter() - began
        tell("the features of %s were computed once, in %s s; each step runs the head alone", what, f"{seconds:.1f}")
        if self.fresh:
            self.run.log(event="features", iteration=0, seconds=round(seconds, 2))
        return self.net.get_submodule(head)


def usable(choice: Choice) -> Choice:
    """The choice of a checkpoint, without fused norms where they cannot be compiled."""
    if choice.fused and isinstance(why := library(NUMBERS[choice.precision]), str):
        tell("BatchNorm is not fused any more, so rounding differs from here: %s", why)
        return replace(choice, fused=False)
    return choice
