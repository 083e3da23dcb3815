"""CIFAR's crop, flip and normalize: batched on uint8 in memory (ours) against per-image transforms in workers.

    PYTHONPATH=src python bench/images.py            # peer: torchvision's transforms, or the same in Pillow and torch

All give float32 (128, 3, 32, 32) batches of the same 50,000 random images in a random order: ours with one
torch thread, ours with two, theirs in two DataLoader workers. Measured alternately in one process, median of
five rounds. Other work slows two threads most (each step waits for the slower): see the printed load.
"""

import argparse
import contextlib
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from reslab.images.data import Augment, Pixels, measure, training_batches

BATCH, WORKERS, ROUNDS = 128, 2, 5


class PillowTransforms:
    """RandomCrop(32, padding=4), RandomHorizontalFlip(), ToTensor(), Normalize(...), without torchvision."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        self.mean, self.std = (torch.tensor(v).view(3, 1, 1) for v in (mean, std))

    def __call__(self, image: Image.Image) -> Tensor:
        padded = Image.new("RGB", (40, 40))
        padded.paste(image, (4, 4))
        top, left = torch.randint(0, 9, (2,)).tolist()
        image = padded.crop((left, top, left + 32, top + 32))
        if torch.rand(1) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return x.sub_(self.mean).div_(self.std)


def peer_transforms(mean: list[float], std: list[float]) -> tuple[Callable[[Image.Image], Tensor], str]:
    """The transforms and what to call them."""
    with contextlib.suppress(ImportError):
        import torchvision_cpu  # noqa: F401 - makes torchvision's CUDA package import beside CPU torch
    try:
        import torchvision
        from torchvision import transforms as T
    except (ImportError, RuntimeError, OSError):
        return PillowTransforms(mean, std), "the same transforms in Pillow and torch (no torchvision here)"
    steps = [T.RandomCrop(32, padding=4), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(mean, std)]
    return T.Compose(steps), f"torchvision {torchvision.__version__} transforms"


class PerImage(Dataset[Any]):
    """As torchvision's CIFAR10: an array of images; each becomes a Pillow image and is transformed."""

    def __init__(self, part: Pixels, transform: Callable[[Image.Image], Tensor]) -> None:
        self.images = part.pixels.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = part.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[i])), self.labels[i]


def rate(batches: Iterator[Any], images: int) -> float:
    """Images per second, measured from the second batch, so that starting workers does not count."""
    first = next(batches)
    assert tuple((first.x if hasattr(first, "x") else first[0]).shape) == (BATCH, 3, 32, 32)
    start = time.perf_counter()
    for _ in batches:
        pass
    return (images - BATCH) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--peer-images", type=int, default=100 * BATCH, help="a round of theirs (default: 12,800)")
    options = parser.parse_args()
    if options.peer_images < 2 * BATCH:
        parser.error(f"--peer-images must be at least {2 * BATCH}: rates are measured from the second batch")
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (50_000, 3, 32, 32), generator=generator, dtype=torch.uint8)
    part = Pixels(pixels=pixels, labels=torch.arange(50_000) % 10)
    normalize = measure(part, mean="channel", std=True)
    transform, peer = peer_transforms(normalize.mean.flatten().tolist(), normalize.std.flatten().tolist())
    theirs_data = PerImage(part, transform)
    iterations = len(part) // BATCH

    def ours(k: int, threads: int) -> float:
        torch.set_num_threads(threads)
        batches = training_batches(
            part,
            batch=BATCH,
            start=k * iterations,
            stop=(k + 1) * iterations,
            seed=0,
            augment=Augment(kind="crop"),
            normalize=normalize,
            device="cpu",
        )
        return rate(iter(batches), iterations * BATCH)

    def theirs() -> float:
        count = options.peer_images // BATCH * BATCH
        sampler = RandomSampler(theirs_data, num_samples=count)
        return rate(iter(DataLoader(theirs_data, BATCH, sampler=sampler, num_workers=WORKERS)), count)

    rounds = [(ours(k, 1), ours(k, 2), theirs()) for k in range(ROUNDS)]
    names = ("ours, 1 thread", "ours, 2 threads", f"{peer}, {WORKERS} workers")
    print(f"{cpu()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, batch {BATCH}")
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    for name, middle, column in zip(names, medians, zip(*rounds, strict=True), strict=True):
        print(f"{middle:10,.0f} images/s  {name}  (rounds: {', '.join(f'{rate:,.0f}' for rate in column)})")
    print(f"ratio: {medians[0] / medians[2]:.1f}x with 1 thread, {medians[1] / medians[2]:.1f}x with 2")


def cpu() -> str:
    """The processor's name, if known."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
