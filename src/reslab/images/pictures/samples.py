"""results/samples.json: some training images as the net sees them, for the run's page."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from reslab.images.data import training_batches
from reslab.images.pictures.thumbnails import encode, picture
from reslab.images.task import ImageTask
from reslab.run import Run

SAMPLES = "results/samples.json"
MANY = 24  # pictures
SHARE = 0.005  # the least share of a class that is told


def keep_samples(run: Run, task: ImageTask) -> None:
    """Store the first images of the first epoch as they are augmented; nothing if nothing about them is random."""
    if task.augment.random:
        run.write_json(SAMPLES, gather(task))


def gather(task: ImageTask) -> dict[str, Any]:
    """What `samples.json` holds: for each picture its thumbnail and its classes or labels, [number, share] pairs.

    These are the first images that the training sees, but for mixup and cutmix, whose shares belong to a whole batch.
    """
    count = min(MANY, task.order.batch)
    count = max(count - count % task.order.repeats, task.order.repeats)
    order = replace(task.order, batch=count)
    batches = training_batches(
        task.train, batch=count, start=0, stop=1, seed=order.seed, augment=task.augment, normalize=task.normalize,
        device=task.device, classes=task.classes, order=order,
    )  # fmt: skip
    pictures: list[dict[str, Any]] = []
    for batch in batches:
        assert isinstance(batch.x, Tensor)
        pixels = (task.normalize.undo(batch.x[:MANY]) * 255).round().clamp(0, 255).to(torch.uint8).cpu()
        labels = batch.y[:MANY]
        pictures += [
            {"thumbnail": encode(picture(x)), "shares": shares(y)} for x, y in zip(pixels, labels, strict=True)
        ]
    return {"pictures": pictures, "repeats": order.repeats}


def shares(y: Tensor) -> list[list[float]]:
    """[class, share] of a target: a class int64 (), or shares or several labels (K,)."""
    if y.dim() == 0:
        return [[int(y), 1.0]]
    return [[k, round(share, 4)] for k, share in enumerate(y.tolist()) if share > SHARE]
