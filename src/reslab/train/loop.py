"""The one training loop. A task brings batches, a loss and an evaluation; a recipe decides the rest."""

import time
from typing import Any

from torch import nn

from reslab.progress import Phase, Progress
from reslab.progress.row import duration, per_second
from reslab.run import Run
from reslab.train.exchange import of_all
from reslab.train.expected import Expected, expected, tell_if_long
from reslab.train.recipe import Recipe
from reslab.train.signals import Interrupted, Stop
from reslab.train.task import Task
from reslab.train.training import Training
from reslab.train.world import ALONE, World


def fit(
    task: Task, net: nn.Module, *, recipe: Recipe, run: Run, progress: Progress, depth: int = 0, world: World = ALONE
) -> Training:  # fmt: skip
    """Train `net` to the end of the recipe, resuming from the folder's last checkpoint if there is one.

    `world`: the processes that train it, each with its part of every batch; a signal to one stops all of them. Raises
    Interrupted after a checkpoint on SIGTERM or Ctrl-C, ReslabError for a loss that is not finite.
    """
    with Stop() as stop:
        training = Training(task, net, recipe=recipe, run=run, depth=depth, progress=progress,
                            stopped=lambda: stop.asked, world=world)  # fmt: skip
        training.net.train()
        log_every = max(1, min(100, task.examples // recipe.batch))
        check_every = 1 if task.device.type == "cpu" else 25  # a check waits for the device
        if training.over:
            progress(training.iteration, training.total, Phase(f"{resuming(training)}: no step is left"))
        if training.iteration == 0:
            training.save()  # keeps the choice, and finds a full disk before the work
        saved_at, note = time.perf_counter(), ""

        def look() -> tuple[int, bool]:
            return stop.asked, time.perf_counter() - saved_at > recipe.checkpoint_seconds

        if not training.over:
            began = time.perf_counter()
            trained: Any = getattr(training.forward, "_orig_mod", training.forward)  # of a compiled net, the net
            found = world.by_first(lambda: expected(
                task, trained, recipe=recipe, choice=training.choice, start=training.iteration, progress=progress,
                stopped=lambda: stop.asked))  # fmt: skip
            progress(training.iteration, training.total, Phase(plan(training, found)))
            if found:
                tell_if_long(found, task.shorter)
            training.pause(time.perf_counter() - began)
        for batch in () if training.over else task.batches(training.iteration, training.total):
            before = training.iteration
            vote = world.vote(look)
            training.iteration = batch.iteration  # one whose images are all broken gives no batch
            training.step(batch)
            if training.iteration == batch.iteration:  # no update: of several processes, none could read an image
                training.iteration = before
                vote()
                continue
            after, last = training.iteration, training.iteration == training.total
            if training.iteration % check_every == 0 or last:
                training.check()
            if training.iteration % log_every == 0 or last:
                note = describe(training.log(), task.unit)
            progress(training.iteration, training.total, note)
            epochs = after * recipe.batch // task.examples
            if epochs > before * recipe.batch // task.examples or (last and not epochs):
                training.close_epoch()
            if last or recipe.evaluates(before, after, task.examples):
                progress(training.iteration, training.total, "evaluating")
                training.evaluate()
                last = training.over
            asked, due = vote()
            if asked or last or due:
                training.save()
                saved_at = time.perf_counter()
            if asked and not last:
                raise of_all(Interrupted(f"stopped at iteration {training.iteration} of {training.total}; "
                                         "run the same command again to resume", asked))  # fmt: skip
            if last:
                break
    progress(training.iteration, training.iteration, note)
    training.asked = stop.asked
    training.keep_best()
    if training.blocks.random:
        training.blocks.fold_in_chances(training.kept)
    if recipe.precise_bn:
        task.average_norms(training.kept)
    if recipe.precise_bn or training.blocks.random:
        training.evaluated = None  # it was of the net before
    return training


def plan(training: Training, found: Expected | None = None) -> str:
    """What is about to be done and, if it was `found` or steps have been timed, how long it will take."""
    task, choice, left = training.task, training.choice, training.total - training.iteration
    batch = training.recipe.batch
    epochs = f"{training.total * batch / task.examples:.3g} epochs in all"
    step = training.recipe.accumulate * choice.milliseconds.get(str(choice), 0)  # timed on one part of a batch
    lasts = f", about {duration(left * step / 1000)}" if step else ""
    if found:
        lasts = f", about {duration(found.seconds)}, evaluations included"
    begins = f"training {left:,} iterations of {batch} {task.unit}"
    if training.resumed:
        begins = f"{resuming(training)}, {batch} {task.unit} each"
    many = "" if training.world.alone else f", {training.world.size} processes"
    return f"{begins} ({epochs}), {choice}, {task.device}{many}{lasts}"


def resuming(training: Training) -> str:
    return f"resuming at iteration {training.iteration:,} of {training.total:,}"


def describe(line: dict[str, Any], unit: str) -> str:
    """A line of the log in words."""
    return (f"loss {line['loss']:.4f}, training error {line['error']:.2f} % since the last line, "
            f"learning rate {line['lr']:.4g}, {per_second(line['examples_per_second'])} {unit}/s")  # fmt: skip
