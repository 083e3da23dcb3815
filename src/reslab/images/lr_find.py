"""The range test of the learning rate for a training on images, which is prepared and never begun."""

import tempfile
from pathlib import Path

from reslab.errors import tell
from reslab.images.plan import Asked, Plan
from reslab.images.setup import planned
from reslab.images.train import OnImages
from reslab.progress import Progress, silent
from reslab.train.folder import configure, pick_device, read_recipe
from reslab.train.life import Work
from reslab.train.lr_find import RangeTest, range_test
from reslab.train.memory import explained
from reslab.train.session import session
from reslab.train.signals import Stop
from reslab.train.training import Training


def find_rate(asked: Asked, *, device: str = "auto", progress: Progress = silent) -> tuple[RangeTest, Plan]:
    """The range test of what is asked for, and its plan: net, random state and batches are those of its training.

    No run is made or changed. Raises as `setup.set_up` does.
    """
    plan = planned(asked)
    plan.data.announce()
    for reason in plan.reasons:
        tell(reason)
    with tempfile.TemporaryDirectory(prefix="reslab-") as folder:
        run = plan.prepare(Path(folder) / "run")
        recipe, family = read_recipe(run), OnImages(plan.data)
        work = Work(run=run, recipe=recipe, device=pick_device(device), progress=progress, command=asked.command)
        with explained(run, recipe), Stop() as stop:
            family.read(run)
            configure(recipe)
            family.load(work)
            with session(run, recipe, work.device, made=family.made):
                task, net = family.build(work)
                training = Training(task, net, recipe=recipe, run=run, depth=family.depth, progress=progress,
                                    stopped=lambda: stop.asked)  # fmt: skip
                return range_test(training, progress=progress, stopped=lambda: stop.asked), plan
