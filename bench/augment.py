"""Augmentation: ours, a batch at a time, against Pillow image by image and against kornia, per CPU second.

    PYTHONPATH=src python bench/augment.py [--photos ../shared/data/photos/originals]

Two pipelines on images in memory, at 64 and at 224 pixels, in batches of 64: "crop": resized crop, flip, color jitter,
normalize; "policy": flip, TrivialAugment, normalize, erasing. Pillow: the operations of torchvision's transforms, one
image after another. kornia, where it is installed: its augmentation modules. Then single operations on the same batch
and factors: ours and kornia's functions. One torch thread, in turn, median of the rounds and their range.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from reslab.images.data import Augment, Normalize
from reslab.images.data import color as ours_color
from reslab.images.data import policy as ours_policy
from reslab.images.data.augmented import augmented
from reslab.images.data.boxes import UNITS, crop_boxes, erased_boxes
from reslab.images.data.chance import Chance
from reslab.images.data.images import to_tensor
from reslab.images.data.warp import crop_resized
from reslab.train.order import draws

BATCH = 64
JITTER = (0.4, 0.4, 0.4, 0.1)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMALIZE = Normalize(torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1))
Pipeline = Callable[[Tensor, int], Tensor]


def ours_crop(x: Tensor, t: int) -> Tensor:
    augment = Augment(kind="resized-crop", jitter=JITTER)
    return augmented(x, numbers(t), augment=augment, normalize=NORMALIZE, boxed=True)


def ours_policy_pipeline(x: Tensor, t: int) -> Tensor:
    augment = Augment(kind="crop", pad=0, policy="trivial", erase=0.25)
    return augmented(x, numbers(t), augment=augment, normalize=NORMALIZE)


def numbers(t: int) -> Chance:
    def draw(stream: int) -> np.ndarray:
        return draws(10**6, batch=BATCH, iteration=t, seed=0, stream=stream)

    return Chance.of(draw, kept=list(range(BATCH)))


def pillow_crop(x: Tensor, t: int) -> Tensor:
    rng, out = np.random.default_rng(t), []
    for image in map(pillow, x):
        size = np.array([[image.height, image.width]])
        top, left, h, w = crop_boxes(size, rng.random((1, UNITS)), area=0.08, aspect=4 / 3)[0].tolist()
        image = image.crop((left, top, left + w, top + h)).resize(image.size, Image.Resampling.BILINEAR)
        image = mirrored(image, rng)
        for k in rng.permutation(4):
            s = JITTER[k]
            if k < 3:
                enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[k]
                image = enhance(image).enhance(rng.uniform(1 - s, 1 + s))
            else:
                image = turned(image, rng.uniform(-s, s))
        out.append(normalized(image))
    return torch.stack(out)


def pillow_policy(x: Tensor, t: int) -> Tensor:
    rng, out = np.random.default_rng(t), []
    for image in map(pillow, x):
        image = trivial(mirrored(image, rng), int(rng.integers(14)), rng.integers(31) / 30, rng.choice((-1, 1)))
        x = normalized(image)
        if rng.random() < 0.25:
            top, left, h, w = erased_boxes(np.array([x.shape[1:]]), rng.random((1, UNITS)))[0].tolist()
            x[:, top : top + h, left : left + w] = 0
        out.append(x)
    return torch.stack(out)


def trivial(image: Image.Image, k: int, s: float, sign: int) -> Image.Image:
    """Operation k of TrivialAugment (wide) with Pillow, as torchvision applies it to Pillow images."""
    a, shift = sign * s, sign * int(32 * s)
    if k in range(1, 5):
        maps = ((1, 0.99 * a, 0, 0, 1, 0), (1, 0, 0, 0.99 * a, 1, 0), (1, 0, shift, 0, 1, 0), (1, 0, 0, 0, 1, shift))
        return image.transform(image.size, Image.Transform.AFFINE, maps[k - 1], Image.Resampling.BILINEAR)
    if k in range(6, 10):
        enhance = (ImageEnhance.Brightness, ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Sharpness)[k - 6]
        return enhance(image).enhance(1 + 0.99 * a)
    others: dict[int, Callable[[], Image.Image]] = {
        5: lambda: image.rotate(135 * a, Image.Resampling.BILINEAR),
        10: lambda: ImageOps.posterize(image, 8 - round(6 * s)),
        11: lambda: ImageOps.solarize(image, round(255 * (1 - s))),
        12: lambda: ImageOps.autocontrast(image),
        13: lambda: ImageOps.equalize(image),
    }
    return others[k]() if k in others else image


def pillow(x: Tensor) -> Image.Image:
    return Image.fromarray(x.permute(1, 2, 0).numpy())


def mirrored(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


def turned(image: Image.Image, shift: float) -> Image.Image:
    h, s, v = image.convert("HSV").split()
    levels = np.asarray(h).astype(np.int16) + round(255 * shift)
    return Image.merge("HSV", (Image.fromarray((levels % 256).astype(np.uint8)), s, v)).convert("RGB")


def normalized(image: Image.Image) -> Tensor:
    return to_tensor(image).contiguous().float().div_(255).sub_(NORMALIZE.mean).div_(NORMALIZE.std)


def kornia_pipelines(size: int) -> dict[str, Pipeline]:
    """kornia's modules; it applies one operation of TrivialAugment to the whole batch."""
    try:
        import kornia.augmentation as K
        from kornia.augmentation.auto import TrivialAugment
    except ImportError:
        return {}
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    brightness, contrast, saturation, hue = JITTER
    crop = torch.nn.Sequential(
        K.RandomResizedCrop((size, size)), K.RandomHorizontalFlip(),
        K.ColorJitter(brightness, contrast, saturation, hue, p=1.0), K.Normalize(mean, std),
    )  # fmt: skip
    policy = torch.nn.Sequential(
        K.RandomHorizontalFlip(), TrivialAugment(), K.Normalize(mean, std), K.RandomErasing(p=0.25)
    )
    return {"crop": lambda x, t: crop(x.float() / 255), "policy": lambda x, t: policy(x.float() / 255)}


def operations(size: int) -> dict[str, tuple[Callable[[Tensor], Any], Callable[[Tensor], Any]]]:
    """Single operations on float images: ours, and the same of kornia's functions."""
    try:
        import kornia.enhance as E
        import kornia.geometry.transform as G
    except ImportError:
        return {}
    rng = np.random.default_rng(0)
    f = rng.uniform(0.5, 1.5, BATCH)
    factor, bits, angles = (
        torch.tensor(f, dtype=torch.float32),
        rng.integers(2, 9, BATCH),
        rng.uniform(-135, 135, BATCH),
    )
    boxes = crop_boxes(np.tile([size, size], (BATCH, 1)), rng.random((BATCH, UNITS)), area=0.08, aspect=4 / 3)
    top, left, h, w = (torch.tensor(edge, dtype=torch.float32) for edge in boxes.T)
    right, bottom = left + w - 1, top + h - 1
    corners = torch.stack([left, top, right, top, right, bottom, left, bottom], dim=1).view(-1, 4, 2)
    turn, bit = torch.tensor(angles, dtype=torch.float32), torch.tensor(bits)
    return {
        "brightness": (lambda x: ours_color.brightness(x, f), lambda x: E.adjust_brightness_accumulative(x, factor)),
        "contrast": (lambda x: ours_color.contrast(x, f), lambda x: E.adjust_contrast_with_mean_subtraction(x, factor)),
        "saturation": (lambda x: ours_color.saturation(x, f),
                       lambda x: E.adjust_saturation_with_gray_subtraction(x, factor)),
        "hue": (lambda x: ours_color.hue(x, (f - 1) / 5), lambda x: E.adjust_hue(x, (factor - 1) / 5 * 2 * torch.pi)),
        "sharpness": (lambda x: ours_policy.sharpness(x, f), lambda x: E.sharpness(x, factor)),
        "posterize": (lambda x: ours_policy.posterize(x, bits), lambda x: E.posterize(x, bit)),
        "solarize": (lambda x: ours_policy.solarize(x, 127 * f), lambda x: E.solarize(x, factor / 2)),
        "equalize": (lambda x: ours_policy.equalize(x, f), lambda x: E.equalize(x)),
        "rotate": (lambda x: ours_policy.rotate(x, angles), lambda x: G.rotate(x, turn)),
        "resized crop": (lambda x: crop_resized(x, boxes), lambda x: G.crop_and_resize(x, corners, (size, size))),
    }  # fmt: skip


def rates(sides: dict[str, Callable[[int], Any]], *, rounds: int, images: int = BATCH) -> dict[str, list[float]]:
    """Images per CPU second of each side in each round, in turn; one call before does not count."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for call in sides.values():
        call(0)
    for t in range(1, rounds + 1):
        for name, call in sides.items():
            start = time.process_time()
            call(t)
            found[name].append(images / (time.process_time() - start))
    return found


def report(what: str, found: dict[str, list[float]]) -> None:
    first = statistics.median(next(iter(found.values())))
    for name, values in found.items():
        middle = statistics.median(values)
        print(f"{what:24} {name:8} {middle:9,.0f} images/s of CPU ({min(values):,.0f} to {max(values):,.0f}), "
              f"ours is {first / middle:.2f}x")  # fmt: skip


def pictures(photos: Path | None, size: int) -> Tensor:
    """A batch of uint8 images: the photographs' middles, or smooth noise."""
    files = sorted(photos.rglob("*.*"))[:BATCH] if photos else []
    if len(files) < BATCH:
        noise = torch.rand((BATCH, 3, 8, 8), generator=torch.Generator().manual_seed(0))
        return torch.nn.functional.interpolate(noise, (size, size), mode="bicubic").clamp(0, 1).mul(255).byte()
    return torch.stack([to_tensor(ImageOps.fit(Image.open(f).convert("RGB"), (size, size))) for f in files])


def compare(x: Tensor, size: int, *, rounds: int) -> None:
    """Pipelines and single operations on one batch."""
    kornia = kornia_pipelines(size)
    if not kornia:
        print("kornia is not installed: its part is skipped")
    for name, our, theirs in (("crop", ours_crop, pillow_crop), ("policy", ours_policy_pipeline, pillow_policy)):
        sides: dict[str, Pipeline] = {"ours": our, "Pillow": theirs} | ({"kornia": kornia[name]} if kornia else {})
        report(f"{name} at {size}", rates({side: partial(call, x) for side, call in sides.items()}, rounds=rounds))
    for name, pair in operations(size).items():
        single = {side: partial(alone, operation, x) for side, operation in zip(("ours", "kornia"), pair, strict=True)}
        report(f"{name} at {size}", rates(single, rounds=rounds))


def alone(operation: Callable[[Tensor], Any], x: Tensor, t: int) -> Tensor:
    """One operation on all images in 0..1, a new tensor: ours may overwrite it."""
    return operation(x.float().div_(255))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photos", type=Path, help="a folder of photographs in class folders")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, "
          f"torch {torch.__version__}, Pillow {PIL.__version__}, batch {BATCH}, n = {options.rounds}")  # fmt: skip
    for size in options.sizes:
        compare(pictures(options.photos, size), size, rounds=options.rounds)


if __name__ == "__main__":
    main()
