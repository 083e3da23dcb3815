"""Random crops of photographs: JPEGs decoded smaller where the crop allows, against always decoding them whole.

    PYTHONPATH=src python bench/crops.py ../shared/data/photos/originals

Reading the file, decoding, a resized crop of 224 pixels and flip, in batches of 64 from 2 workers, in turn; images per
second of wall time and of CPU time of all processes. Then how much the pixels of the crops differ.
"""

import argparse
import os
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from reslab.images.data import Augment, Encoded, training_batches
from reslab.images.data.boxes import UNITS
from reslab.images.data.crops import random_crop
from reslab.images.data.normalize import Normalize
from reslab.images.sources.encoded import Files

BATCH, SIZE, JPEG = 64, 224, (".jpg", ".jpeg")
NORMALIZE = Normalize(torch.full((3, 1, 1), 0.45), torch.full((3, 1, 1), 0.225))


class Whole(Encoded):
    """The same images, JPEGs always decoded at their full size."""

    def image(self, i: int, *, near: Any = None) -> Image.Image:
        image = super().image(i)
        near(*image.size)  # chooses the box
        return image


def measure(photos: Path, *, rounds: int) -> None:
    """Decoding, random crop and flip to 224 pixels, with 2 workers: images/s of wall time and of CPU time."""
    names = sorted(str(file.relative_to(photos)) for file in photos.rglob("*") if file.suffix.lower() in JPEG)
    labels, shape = torch.zeros(len(names), dtype=torch.int64), (3, SIZE, SIZE)
    about = {"sources": Files(photos, names), "rows": torch.arange(len(names)), "labels": labels, "shape": shape}
    smaller, whole = Encoded(**about), Whole(**about)
    sides = {"decoded smaller where the box allows": smaller, "decoded whole": whole}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for t in range(rounds):
        for name, part in sides.items():
            start, before, steps = time.perf_counter(), cpu_seconds(), 2 * max(1, len(part) // BATCH)
            batches = training_batches(part, batch=BATCH, start=t * steps, stop=(t + 1) * steps, seed=0,
                                       augment=Augment(kind="resized-crop"), normalize=NORMALIZE, device="cpu",
                                       workers=2)  # fmt: skip
            n = sum(len(batch.index) for batch in batches)
            found[name].append((n / (time.perf_counter() - start), n / (cpu_seconds() - before)))
    for name, values in found.items():
        wall, cpu = ([f"{pick(column):,.0f}" for pick in (statistics.median, min, max)]
                     for column in zip(*values, strict=True))  # fmt: skip
        print(f"2 workers, JPEGs {name}: {wall[0]} images/s ({wall[1]} to {wall[2]}), {cpu[0]} images/s of CPU "
              f"({cpu[1]} to {cpu[2]})")  # fmt: skip
    units = np.random.default_rng(0).random((len(whole), UNITS))
    apart = [random_crop(smaller, i, units[i], area=0.08, aspect=4 / 3).int()
             - random_crop(whole, i, units[i], area=0.08, aspect=4 / 3).int() for i in range(len(whole))]  # fmt: skip
    each = [one.abs().float().mean().item() for one in apart]
    changed = [value for value in each if value > 0]
    print(f"decoded smaller: {len(changed)} of {len(each)} crops, whose pixels differ by "
          f"{statistics.mean(changed):.2f} of 255 levels on average (at most {max(changed):.2f})")  # fmt: skip


def cpu_seconds() -> float:
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in both)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("photos", type=Path, help="a folder of JPEG files")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, n = {options.rounds}")
    measure(options.photos, rounds=options.rounds)


if __name__ == "__main__":
    main()
