"""One net being trained: all that changes from step to step, and how it is logged, saved and resumed."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, arg
from reslab.progress import Progress, silent
from reslab.run import Run
from reslab.train.average import Average
from reslab.train.batch import Batch
from reslab.train.belonging import state_to_resume
from reslab.train.best import Best
from reslab.train.checkpoint import damaged, odd_tensor, write_last
from reslab.train.exchange import of_all
from reslab.train.generators import generators, set_generators
from reslab.train.gradient import add_gradients
from reslab.train.norm_log import NormLog
from reslab.train.optimizer import restore_optimizer
from reslab.train.prepared import Prepared
from reslab.train.recipe import Recipe
from reslab.train.schedule import Schedule
from reslab.train.supervised import tell_saved
from reslab.train.task import Task
from reslab.train.track import Tracker
from reslab.train.world import ALONE, World


class Training:
    """One net being trained in one run folder: all that changes from step to step, and how it is saved."""

    def __init__(
        self, task: Task, net: nn.Module, *, recipe: Recipe, run: Run, depth: int = 0, progress: Progress = silent,
        stopped: Callable[[], int] = lambda: 0, world: World = ALONE,
    ) -> None:  # fmt: skip
        self.task, self.recipe, self.run, self.world = task, recipe, run, world
        self.total = recipe.length(task.examples)
        self.schedule = Schedule(recipe, examples=task.examples, depth=depth)
        saved, self.of = world.leading(lambda: state_to_resume(run))
        self.prepared = Prepared(task, net, recipe=recipe, run=run, saved=saved, progress=progress, stopped=stopped,
                                 world=world)  # fmt: skip
        self.choice, self.blocks, self.net = self.prepared.choice, self.prepared.blocks, self.prepared.net
        self.several = None if world.alone else self.prepared.several()
        self.optimizer = self.prepared.optimizer()
        self.weights = list(self.net.parameters())
        self.ema = Average(self.net) if recipe.ema else None
        self.iteration, self.seconds = 0, 0.0
        self.skipped: dict[str, None] = {}  # broken images met so far, in order
        self.epoch_error = float("nan")  # training error (%) of the last full epoch; of a shorter run, of all of it
        self.watched = Best(recipe)
        self.sums = torch.zeros(2, 3, dtype=torch.float64, device=sum_device(task.device))
        self.bad = torch.full((), -1, device=task.device)  # the first iteration whose loss was not finite
        self.resumed = bool(saved)
        if saved:
            self.restore(saved)
        self.first = self.iteration  # of this process
        self.began = time.perf_counter() - self.seconds
        self.forward = self.prepared.forward(progress, stopped)
        self.speed_from = (self.iteration, time.perf_counter())
        self.tracker = Tracker(run, self.iteration) if recipe.tensorboard and world.leads else None
        self.norms = NormLog(self.net, run, recipe.look if world.leads else 0)
        self.asked = 0  # a signal that came after the last step
        self.evaluated: dict[str, Any] | None = None  # what the last evaluation in this process found, by part

    @property
    def epoch(self) -> float:
        return self.iteration * self.recipe.batch / self.task.examples

    @property
    def kept(self) -> nn.Module:
        """The net that is evaluated and saved: the averaged one if the recipe keeps an average of the weights."""
        return self.ema.module if self.ema else self.net

    def pause(self, seconds: float) -> None:
        """Leave seconds that were not spent on training out of its time and speed."""
        self.began += seconds
        self.speed_from = (self.iteration, time.perf_counter())

    def step(self, batch: Batch) -> None:
        """One update on one batch; only logging the gradients' norms waits for the device.

        There is none, and no new iteration, if none of several processes could read an image of the batch.
        """
        rate = self.schedule.lr(self.iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.zero_grad()
        with self.blocks.drawn(self.iteration):
            found = self.gradients(batch)
        if found is None:
            return
        loss, wrong, n = found
        self.norms(self.iteration + 1)
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.weights, self.recipe.clip)
        self.optimizer.step()
        if self.ema:
            self.ema.follow(min(self.recipe.ema, (1 + self.iteration) / (10 + self.iteration)))  # less at the start
        self.bad = torch.where((self.bad < 0) & ~torch.isfinite(loss), self.iteration, self.bad)
        tally = torch.stack([loss * n, wrong, n])
        self.sums += tally.to(self.sums)  # row 0: since the last line of the log; row 1: since the epoch began
        self.iteration += 1

    def gradients(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor] | None:
        """Compute the gradient of the whole batch; (loss, wrong predictions, examples), or None if there are none.

        `batch` is what this process has of it.
        """
        how: dict[str, Any] = {"choice": self.choice, "parts": self.recipe.accumulate}
        if self.several:
            return self.several.gradients(self.task, self.forward, batch, iteration=self.iteration, **how)
        self.skipped.update(dict.fromkeys(batch.skipped))
        loss, wrong = add_gradients(self.task, self.forward, batch, **how)
        return loss, wrong, torch.full_like(loss, len(batch.y))

    def check(self) -> None:
        """Raise ReslabError if some loss since the last check was not finite, with its batch's rows saved."""
        bad = int(self.bad)
        if bad < 0:
            return
        rows, rate = self.task.rows(bad), self.schedule.lr(bad)
        path = self.run.write_json("nan.json", {"iteration": bad, "lr": rate, "rows": rows})
        raise of_all(ReslabError(
            f"loss or weights were not finite at iteration {bad} (lr {rate:g}); its batch's rows are in {path}, "
            "the last checkpoint is as it was; a lower ", arg("lr"), ", ", arg("clip", 1), " or ",
            arg("precision", "fp32"), " in a new folder may cure it",
        ))  # fmt: skip

    def log(self) -> dict[str, float]:
        """Log the mean training loss and error (%) since the last line, and report the error to the schedule."""
        loss, wrong, n = self.sums[0].tolist()
        since, then = self.speed_from
        now = time.perf_counter()
        speed = (self.iteration - since) * self.recipe.batch / max(now - then, 1e-9)
        self.speed_from = (self.iteration, now)
        rate = self.schedule.lr(max(0, self.iteration - 1))
        self.sums[0] = 0
        line = {"epoch": round(self.epoch, 4), "loss": loss / max(n, 1), "error": 100 * wrong / max(n, 1), "lr": rate,
                "examples_per_second": round(speed, 1)}  # fmt: skip
        self.record(event="train", **line)
        self.log_rate_change(self.schedule.saw_training(self.iteration, line["error"]))
        return line

    def log_rate_change(self, reason: str | None) -> None:
        """Log a change of the learning rate."""
        if reason and self.iteration < self.total:
            self.record(event="lr", lr=self.schedule.lr(self.iteration), reason=reason)

    def record(self, **event: Any) -> None:
        self.run.log(iteration=self.iteration, **event)
        if self.tracker:
            self.tracker.add(self.iteration, event)

    def close_epoch(self) -> None:
        """Store the training error of the ended epoch; without a validation part it drives the plateau schedule."""
        _, wrong, n = self.sums[1].tolist()
        self.epoch_error = 100 * wrong / max(n, 1)
        self.sums[1] = 0
        if not self.task.validates:
            self.log_rate_change(self.schedule.saw_epoch(self.epoch_error))

    def evaluate(self) -> None:
        """Log the errors on the validation and test parts; only the validation error drives the schedule."""
        self.meet()
        with self.blocks.expected(self.kept):
            found = {part: self.task.evaluate(self.kept, part, self.choice) for part in ("validation", "test")}
        for part, line in found.items():
            if line:
                self.record(event="eval", part=part, **line)
        if found["validation"]:
            self.log_rate_change(self.schedule.saw_epoch(found["validation"]["error"]))
            self.watched.compare(found["validation"], self.kept, self.iteration)
        self.evaluated = found

    @property
    def best(self) -> dict[str, Any]:
        """With early_stop or keep = "best": error (%), loss, iteration and weights of the best net so far."""
        return self.watched.found

    @property
    def over(self) -> bool:
        """Whether training is done: the recipe has ended, or early_stop evaluations brought no better net."""
        return self.iteration >= self.total or self.watched.stops

    def keep_best(self) -> None:
        """Replace the last net by the best one."""
        if self.best and self.best["iteration"] != self.iteration:
            self.kept.load_state_dict(self.best["weights"])
            self.record(event="kept", best=self.best["iteration"], error=self.best["error"])
            self.evaluated = None  # it was of the last one

    def save(self) -> None:
        """Write all that is needed to resume exactly from here."""
        self.meet()
        self.check()
        if not all(torch.isfinite(value).all() for value in self.net.state_dict().values()):
            self.bad.fill_(self.iteration - 1)  # the loss was still finite; the update was not
            self.check()
        self.world.first(self.write)

    def meet(self) -> None:
        """With other processes, gather the broken images that all have met. Raises ReslabError if weights differ."""
        if self.several:
            self.skipped.update(self.several.meet(self.net, self.iteration))

    def write(self) -> None:
        """Write last.pt."""
        write_last(self.run, {
            "iteration": self.iteration, "seconds": time.perf_counter() - self.began, "epoch_error": self.epoch_error,
            "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict() if self.ema else None, "schedule": self.schedule.state(),
            "best": self.best, "waited": self.watched.waited,
            "sums": self.sums, "skipped": list(self.skipped), "choice": self.choice.as_dict(),
            "generators": generators(self.task.device), "threads": torch.get_num_threads(), "of": self.of,
        })  # fmt: skip
        if self.iteration > self.first:  # else a failure that comes back at once would be tried again for ever
            tell_saved()

    def restore(self, saved: dict[str, Any]) -> None:
        """Restore what `save` wrote."""
        try:
            self.net.load_state_dict(saved["net"])
            restore_optimizer(self.optimizer, saved["optimizer"], self.run)
            if self.ema:
                self.ema.load_state_dict(saved["ema"])
            self.schedule.restore(saved["schedule"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ReslabError(f"{self.run.path('last.pt')} is of another net or recipe than this folder's") from error
        if odd := self.odd_value(saved):
            raise damaged(self.run, odd)
        self.sums.copy_(saved["sums"])
        try:
            set_generators(saved["generators"], self.task.device)
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(self.run, "its .generators are not states of random number generators") from error
        self.iteration, self.seconds, self.epoch_error = saved["iteration"], saved["seconds"], saved["epoch_error"]
        self.watched.found, self.watched.waited = saved.get("best", {}), saved.get("waited", 0)
        self.skipped = dict.fromkeys(saved["skipped"])
        self.run.forget_after(self.iteration)
        self.run.log(event="resume", iteration=self.iteration, threads=torch.get_num_threads())

    def odd_value(self, saved: dict[str, Any]) -> str:
        """What is wrong with a checkpoint of the right net: a value that no training has; "" if nothing is."""
        if saved["iteration"] > self.total:
            return f".iteration must be at most {self.total:,}, got {saved['iteration']:,}"
        best = saved.get("best", {})
        if best and (lacking := [key for key in ("error", "loss", "iteration", "weights") if key not in best]):
            return f".best lacks {', '.join(lacking)}"
        if best and (odd := odd_tensor(best["weights"], self.kept.state_dict(), ".best.weights")):
            return odd
        return odd_tensor(saved, {"sums": self.sums}, "")


def sum_device(device: torch.device) -> torch.device:
    """Where sums in float64 can be kept: MPS does not support it."""
    return torch.device("cpu") if device.type == "mps" else device
