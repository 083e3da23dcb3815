"""Write the metrics to TensorBoard as well (extra `track`)."""

from typing import Any

from reslab.extras import need
from reslab.run import Run


class Tracker:
    """Writes the numbers of every event to <run>/tensorboard; a resumed run overwrites repeated iterations."""

    def __init__(self, run: Run, iteration: int) -> None:
        tensorboard = need("torch.utils.tensorboard", extra="track", why="writing TensorBoard events")
        purge = iteration + 1 if iteration else None
        self.writer = tensorboard.SummaryWriter(str(run.path("tensorboard")), purge_step=purge, flush_secs=10)

    def add(self, iteration: int, event: dict[str, Any]) -> None:
        name = event["event"] if event["event"] != "eval" else event["part"]
        for key, value in event.items():
            if isinstance(value, int | float):
                self.writer.add_scalar(f"{name}/{key}", value, iteration)
        self.writer.flush()
