"""The metrics to TensorBoard as well (extra `track`)."""

from typing import Any

from reslab.errors import UsageError
from reslab.run import Run


class Tracker:
    """Writes the numbers of every event under <run>/tensorboard; a resumed run overwrites what it repeats."""

    def __init__(self, run: Run, iteration: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except (ImportError, RuntimeError, OSError) as error:
            raise UsageError("--tensorboard needs the extra: pip install 'reslab[track]'") from error
        purge = iteration + 1 if iteration else None
        self.writer = SummaryWriter(str(run.path("tensorboard")), purge_step=purge, flush_secs=10)

    def add(self, iteration: int, event: dict[str, Any]) -> None:
        name = event["event"] if event["event"] != "eval" else event["part"]
        for key, value in event.items():
            if isinstance(value, int | float):
                self.writer.add_scalar(f"{name}/{key}", value, iteration)
        self.writer.flush()
