"""A family's training beside a teacher, in a run folder that says so."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from reslab.errors import OtherSettings
from reslab.run import Run
from reslab.slim.healing.beside import Beside, Pair
from reslab.slim.healing.distilled import Distillation, Distilled
from reslab.slim.healing.divergence import Divergence, of_classes
from reslab.train.checkpoint import LAST, as_file
from reslab.train.life import TEACHER, Account, Family, Work, shown
from reslab.train.start import mark_of
from reslab.train.task import Task
from reslab.train.training import Training


class Taught:
    """A family (reslab.train.life) whose net is trained beside a teacher.

    `pairs`: blocks whose outputs are compared, if `how.features`. `divergence`: of the family's own task.
    """

    taught = True
    depth = 0

    def __init__(
        self, family: Family, teacher: nn.Module, how: Distillation, *, pairs: Sequence[Pair] = (),
        divergence: Callable[[Any], Divergence] = lambda task: of_classes,
    ) -> None:  # fmt: skip
        how.check()
        self.family, self.teacher, self.how, self.divergence = family, teacher, how, divergence
        self.pairs = tuple(pairs) if how.features else ()
        self.what, self.needs, self.made = family.what, family.needs, (*family.made, TEACHER)
        self.own: Task | None = None
        self.beside: Beside | None = None

    def read(self, run: Run) -> None:
        self.family.read(run)
        self.depth = self.family.depth

    def load(self, work: Work) -> tuple[str, str]:
        return self.family.load(work)

    def changes(self, run: Run) -> str:
        return self.family.changes(run)

    def build(self, work: Work) -> tuple[Task, nn.Module]:
        self.own, net = self.family.build(work)
        net.to(self.own.device)
        self.beside = Beside(net, self.teacher, pairs=self.pairs)
        return Distilled(self.own, self.how, divergence=self.divergence(self.own)), net

    def finish(self, work: Work, training: Training, account: Account) -> dict[str, Any]:
        """As the family does it, with its own task and a net that answers alone."""
        assert self.own is not None
        assert self.beside is not None
        self.beside.remove()
        training.task = self.own
        return self.family.finish(work, training, account)


def mark_taught(run: Run, teacher: nn.Module, how: Distillation) -> None:
    """Store that this run's net learns from a teacher, and how, or find the same there.

    Raises OtherSettings if the folder is of a training with other settings, or without a teacher.
    """
    about = {**how.as_dict(), "teacher": mark_of(as_file(teacher.state_dict()))}
    if not run.has(TEACHER) and not run.has(LAST) and not run.has("weights.safetensors"):
        run.write_json(TEACHER, about)
        return
    there: dict[str, Any] = run.read_json(TEACHER) if run.has(TEACHER) else {}
    differ = [f"{key}: {shown(there.get(key))} there, {shown(value)} requested" for key, value in about.items()
              if there.get(key) != value]  # fmt: skip
    if differ:
        raise OtherSettings(f"{run.folder} already contains a run with different settings ({'; '.join(differ)}); "
                            "choose another folder")  # fmt: skip
