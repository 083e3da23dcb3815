"""The claim: fine-tuning ResNet-18 on photographs at 224 pixels is at least 2.5x as fast as with the usual loop.

    PYTHONPATH=src:../shared/tools/peers PEERS/bin/python bench/photos_train.py ../shared/data/photos/originals

PEERS is an environment with torch and torchvision (shared/tools/peers/install makes one). Theirs: torchvision's
resnet18, ImageFolder, RandomResizedCrop, flip, ToTensor and Normalize in a DataLoader with 2 workers, fp32, eager, SGD.
Ours: the same net through `timm:` or `torchvision:` words, the recipe `finetune`, in the precision and memory format
that `auto` finds, with fused norms where they pay, not compiled, 2 workers. Both read the same JPEG files from disk in
every epoch, in batches of 32, and update the whole net. Each round trains some updates of theirs, then of ours, from
the first batch to the last update; evaluation is not counted in either. Prints images per second of wall time, and
images per CPU second of all processes, with the interval of the mean ratio over rounds. Both share one process, so
both have the memory settings of ours.
"""

import argparse
import contextlib
import itertools
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from reslab.statistics import mean, mean_interval

BATCH, WORKERS, SIZE, CLASSES = 32, 2, 224, 10


def cpu_seconds() -> float:
    """CPU seconds of this process and of its ended children."""
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in both)


def as_classes(photos: Path, folder: Path) -> Path:
    """Links to the photographs in ten class folders, in a train and a test part; the labels mean nothing."""
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for i, file in enumerate(files):
        part = "test" if i % 15 == 14 else "train"
        place = folder / part / f"class{i % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.jpg").symlink_to(file.resolve())
    return folder


def theirs(folder: Path, updates: int) -> Callable[[], int]:
    """The usual loop; returns the number of images of one round."""
    from torchvision import models, transforms
    from torchvision.datasets import ImageFolder

    steps = [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
             transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]  # fmt: skip
    data = ImageFolder(str(folder / "train"), transforms.Compose(steps))
    net = models.resnet18(num_classes=CLASSES).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def batches() -> Iterator[Any]:
        while True:
            yield from DataLoader(data, BATCH, shuffle=True, num_workers=WORKERS, drop_last=True)

    def run() -> int:
        for x, y in itertools.islice(batches(), updates):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        return updates * BATCH

    return run


def ours(folder: Path, updates: int) -> tuple[Callable[[], int], str]:
    """The same net, data and batch through reslab's task and training step."""
    from reslab.images.data import load
    from reslab.images.task import ImageTask
    from reslab.nets import build, spec
    from reslab.run import Run
    from reslab.train.recipe import change, read
    from reslab.train.training import Training

    recipe = change(read("finetune"), batch=BATCH, workers=WORKERS, iterations=10**6, validation=0, mean="imagenet",
                    std=True, keep="last", look=0, compile="off")  # fmt: skip
    images = load(str(folder), size=SIZE, memory=0)
    task = ImageTask(images, recipe, torch.device("cpu"))
    net: nn.Module = build(spec("torchvision:resnet18", classes=CLASSES, channels=3, size=SIZE))
    run = Run(folder / "run")
    run.make()
    training = Training(task, net, recipe=recipe, run=run)
    training.net.train()

    def steps() -> int:
        for batch in task.batches(training.iteration, training.iteration + updates):
            training.step(batch)
        training.check()
        return updates * BATCH

    return steps, str(training.choice)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=8, help="of each side in a round")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with contextlib.suppress(ImportError):
        import torchvision_cpu  # noqa: F401 - lets torchvision's CUDA package import beside CPU torch
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        folder = as_classes(args.photos, Path(place))
        mine, choice = ours(folder, args.updates)
        sides = {"the usual loop, fp32": theirs(folder, args.updates), f"reslab, {choice}": mine}
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for k in range(args.rounds + 1):
            for name, side in sides.items():
                wall, cpu = time.perf_counter(), cpu_seconds()
                images = side()
                if k:  # the first round warms up
                    seen[name].append((images / (time.perf_counter() - wall), images / (cpu_seconds() - cpu)))
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {args.rounds} rounds of {args.updates} updates"
    )
    for name, rates in seen.items():
        for i, unit in enumerate(("images/s", "images per CPU second")):
            values = [rate[i] for rate in rates]
            print(f"{name}: {statistics.median(values):.1f} {unit} ({min(values):.1f} to {max(values):.1f})")
    first, second = seen.values()
    for i, what in enumerate(("wall time", "CPU time")):
        ratios = [b[i] / a[i] for a, b in zip(first, second, strict=True)]
        low, high = min(ratios), max(ratios)
        interval = mean_interval(ratios)
        of_mean = (
            f"; mean {mean(ratios):.2f}, 95 % interval {interval.low:.2f} to {interval.high:.2f}" if interval else ""
        )
        print(f"reslab is {statistics.median(ratios):.2f}x as fast by {what} ({low:.2f} to {high:.2f}, "
              f"n = {len(ratios)}{of_mean})")  # fmt: skip


if __name__ == "__main__":
    main()
