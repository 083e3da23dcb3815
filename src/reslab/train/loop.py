"""The one training loop. A task brings batches, a loss and an evaluation; a recipe decides the rest."""

import time

from torch import nn

from reslab.run import Run
from reslab.train.progress import Tell
from reslab.train.recipe import Recipe
from reslab.train.signals import Interrupted, Stop
from reslab.train.task import Task
from reslab.train.training import Training


def fit(task: Task, net: nn.Module, *, recipe: Recipe, run: Run, tell: Tell, depth: int = 0) -> Training:
    """Train `net` to the end of the recipe, going on from the folder's last checkpoint where there is one.

    Raises Interrupted after a checkpoint on SIGTERM or Ctrl-C, ReslabError for a loss that is not finite.
    """
    with Stop() as stop:
        training = Training(task, net, recipe=recipe, run=run, depth=depth)
        training.net.train()
        log_every = max(1, min(100, task.images // recipe.batch))
        check_every = 1 if task.device.type == "cpu" else 25  # a check waits for the device
        if training.iteration == 0:
            training.save()  # keeps the choice, and finds a full disk before the work
        saved_at = time.perf_counter()
        for batch in () if training.over else task.batches(training.iteration, training.total):
            before = training.epoch
            training.iteration = batch.iteration  # one whose images are all broken gives no batch
            training.step(batch)
            after, last = training.epoch, training.iteration == training.total
            if training.iteration % check_every == 0 or last:
                training.check()
            if training.iteration % log_every == 0 or last:
                tell(training.iteration, training.total, training.log(), training.choice)
            if int(after) > int(before) or (last and after < 1):
                training.close_epoch()
            if int(after / recipe.evaluate_every) > int(before / recipe.evaluate_every) or last:
                tell(training.iteration, training.total, {}, training.choice)
                training.evaluate()
                last = training.over
            if stop.asked or last or time.perf_counter() - saved_at > recipe.checkpoint_seconds:
                training.save()
                saved_at = time.perf_counter()
            if stop.asked and not last:
                raise Interrupted(f"stopped at iteration {training.iteration} of {training.total}; "
                                  "the same command goes on from there", stop.asked)  # fmt: skip
            if last:
                break
    training.asked = stop.asked
    training.keep_best()
    if training.blocks.random:
        training.blocks.fold_in_chances(training.kept)
    if recipe.precise_bn:
        task.average_norms(training.kept)
    if recipe.precise_bn or training.blocks.random:
        training.evaluated = None  # it was of the net before
    return training
