"""The claim: training images are decoded, cropped and normalized at least twice as fast as in torchvision's pipeline.

    PYTHONPATH=src:../shared/tools/peers PEERS/bin/python bench/photos.py ../shared/data/photos/originals

PEERS is an environment with torch and torchvision (shared/tools/peers/install makes one). Theirs: Pillow's decoding,
RandomResizedCrop(224), RandomHorizontalFlip, ToTensor and Normalize, stacked in batches of 32. Ours: the same as
`training_batches` gives it, from the same files, and from copies with a shorter side of 288 pixels and quality 90, as
`reslab data prepare` writes them. Also what decoding alone costs. All read the files from disk, in one process and
thread, in turn; images per CPU second, median and range of the rounds. Then by how much the pixels differ.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reslab.images.data import Augment, Encoded, jpeg, training_batches
from reslab.images.data.boxes import UNITS, crop_box
from reslab.images.data.crops import random_crop
from reslab.images.data.decode import decode, resize_box, resize_shorter
from reslab.images.data.images import to_tensor
from reslab.images.data.normalize import IMAGENET_MEAN, IMAGENET_STD, Normalize
from reslab.images.sources.encoded import Files

BATCH, SIZE, SHORTER, QUALITY = 32, 224, 288, 90
AUGMENT = Augment(kind="resized-crop")
NORMALIZE = Normalize(*(torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD)))


def encoded(folder: Path, names: list[str]) -> Encoded:
    about = {"rows": torch.arange(len(names)), "labels": torch.zeros(len(names), dtype=torch.int64)}
    return Encoded(sources=Files(folder, names), **about, shape=(3, SIZE, SIZE))


def prepared(folder: Path, names: list[str], place: Path) -> None:
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        image = decode(folder / name, channels=3, name=name)
        if min(image.size) > SHORTER:
            image = resize_shorter(image, SHORTER, interpolation="bicubic")
        image.save(place / name, "JPEG", quality=QUALITY)


def ours(part: Encoded, turn: int) -> int:
    steps = len(part) // BATCH
    batches = training_batches(part, batch=BATCH, start=turn * steps, stop=(turn + 1) * steps, seed=0, augment=AUGMENT,
                               normalize=NORMALIZE, device="cpu")  # fmt: skip
    return sum(len(batch.index) for batch in batches)


def theirs(files: list[str]) -> Callable[[int], int] | None:
    """torchvision's pipeline; None without torchvision."""
    try:
        from torchvision import transforms
        from torchvision.datasets.folder import default_loader
    except (ImportError, RuntimeError):
        return None
    change = transforms.Compose([transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(),
                                 transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])  # fmt: skip

    def run(turn: int) -> int:
        steps = len(files) // BATCH
        for k in range(steps):
            torch.stack([change(default_loader(file)) for file in files[k * BATCH : (k + 1) * BATCH]])
        return steps * BATCH

    return run


def alone(files: list[str], by: Callable[[str], object], turn: int) -> int:
    for file in files:
        by(file)
    return len(files)


def by_pillow(file: str) -> None:
    Image.open(file).convert("RGB")


def by_turbo(file: str) -> None:
    module = jpeg.turbo()
    with contextlib.suppress(ValueError):
        module and module.decode_jpeg(Path(file).read_bytes())


def apart(part: Encoded) -> list[float]:
    """Mean difference in levels of 256 of each image's crop from the same box as Pillow decodes and resizes it."""
    found = []
    for i, units in enumerate(np.random.default_rng(0).random((len(part), UNITS))):
        image = part.image(i)
        top, left, h, w = crop_box(image.height, image.width, units.tolist(), area=0.08, aspect=4 / 3)
        wanted = to_tensor(resize_box(image, (left, top, left + w, top + h), height=SIZE, width=SIZE))
        got = random_crop(part, i, units, area=0.08, aspect=4 / 3)
        found.append((got.int() - wanted.int()).abs().float().mean().item())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("photos", type=Path, help="a folder of JPEG files")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with contextlib.suppress(ImportError):
        import torchvision_cpu  # noqa: F401 - lets torchvision's CUDA package import beside CPU torch
    names = sorted(str(file.relative_to(options.photos)) for file in options.photos.rglob("*")
                   if file.suffix.lower() in (".jpg", ".jpeg"))  # fmt: skip
    if len(names) < BATCH:
        print(f"{options.photos} holds {len(names)} JPEG files, fewer than a batch of {BATCH}: nothing is measured")
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        prepared(options.photos, names, place)
        report(options.photos, place, names, rounds=options.rounds)


def report(photos: Path, place: Path, names: list[str], *, rounds: int) -> None:
    files, small = ([str(folder / name) for name in names] for folder in (photos, place))
    sides: dict[str, Callable[[int], int]] = {
        "reslab, originals": partial(ours, encoded(photos, names)),
        f"reslab, {SHORTER} pixels": partial(ours, encoded(place, names)),
        "decoded only: Pillow, originals": partial(alone, files, by_pillow),
        "decoded only: simplejpeg, originals": partial(alone, files, by_turbo),
        f"decoded only: simplejpeg, {SHORTER} pixels": partial(alone, small, by_turbo),
    }
    peer = theirs(files)
    if peer is not None:
        sides = {"torchvision": peer, **sides}
    seen: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            began = time.process_time()
            images = side(turn)
            if turn:  # the first round warms up
                seen[name].append(images / (time.process_time() - began))
    print(f"{len(names)} photographs, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {rounds} rounds")
    for name, rates in seen.items():
        line = f"{name:40} {statistics.median(rates):5.0f} images per CPU second ({min(rates):.0f} to {max(rates):.0f})"
        if peer is not None:
            ratios = [a / b for a, b in zip(rates, seen["torchvision"], strict=True)]
            line += f", {statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
        print(line)
    found = apart(encoded(photos, names))
    print(f"pixels of a random crop, against Pillow's: {statistics.mean(found):.2f} of 255 levels apart on average, "
          f"{max(found):.2f} in the image that differs most")  # fmt: skip
    if peer is None:
        print("torchvision cannot be imported here: nothing is compared with it")


if __name__ == "__main__":
    main()
