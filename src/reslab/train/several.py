"""What a step of one of several processes does besides that of one alone."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from reslab.train.batch import Batch
from reslab.train.exchange import all_json
from reslab.train.generators import seed_all
from reslab.train.gradient_sum import GradientSum
from reslab.train.order import seed_of
from reslab.train.same_weights import digest, refuse_difference
from reslab.train.task import Task
from reslab.train.tune import Choice
from reslab.train.world import World


class Several:
    """The steps of this process of several: gradients are summed over all, broken images are gathered.

    What the net itself draws at random, as dropout does, is drawn anew in each step and process: a function of seed,
    iteration and rank, so that nothing of it has to be saved.
    """

    def __init__(self, world: World, summed: GradientSum, *, seed: int) -> None:
        self.world, self.summed, self.seed = world, summed, seed
        self.met: dict[str, int] = {}  # broken images that this process met since the last checkpoint, and when

    def gradients(
        self, task: Task, forward: Callable[..., Any], batch: Batch, *, iteration: int, choice: Choice, parts: int
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """As `GradientSum.add`."""
        for name in batch.skipped:
            self.met.setdefault(name, iteration)
        seed_all(seed_of(self.seed, iteration, self.world.rank))
        return self.summed.add(task, forward, batch, choice=choice, parts=parts)

    def meet(self, net: nn.Module, iteration: int) -> dict[str, None]:
        """Check that all have the same weights; the broken images that they met since the last time, in order.

        The order is that in which one process would meet them. Raises ReslabError in all of them if weights differ.
        """
        every = all_json({"met": self.met, "digest": digest(net)})
        refuse_difference(net, [one["digest"] for one in every], iteration=iteration, world=self.world)
        found = [(when, rank, name) for rank, one in enumerate(every) for name, when in one["met"].items()]
        self.met = {}
        return dict.fromkeys(name for *_, name in sorted(found, key=lambda one: one[:2]))
