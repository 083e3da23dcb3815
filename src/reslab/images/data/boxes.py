"""Random boxes of images: the crops of random-resized-crop, and the rectangles that random erasing erases."""

import math
from collections.abc import Sequence

import numpy as np

TRIES = 10  # as in torchvision's RandomResizedCrop and RandomErasing
UNITS = 2 * TRIES + 2  # uniform numbers for one box: areas, aspect ratios, top, left
ERASED = (
    0.02,
    1 / 3,
)  # share of the image's area: torchvision's; Zhong et al. (1708.04896, section 4.1) end at 0.4
ERASED_ASPECT = 1 / 0.3  # the same section: between 0.3 and 1 / 0.3


def crop_boxes(sizes: np.ndarray, units: np.ndarray, *, area: float, aspect: float) -> np.ndarray:
    """One random box (top, left, height, width) in each image of `sizes` (B, 2), (height, width): int64 (B, 4).

    Szegedy et al. 2014 (1409.4842, section 6), as torchvision samples it: the box covers a share of the image that is
    uniform in [area, 1], its width / height is log-uniform in [1 / aspect, aspect], its place is uniform. Of ten such
    boxes the first that fits is taken. If none does, the box is the largest centered one with an aspect ratio in that
    range. units (B, UNITS): uniform in (0, 1).
    """
    H, W = sizes.T
    h, w, fits = _sampled(sizes, units, area=(area, 1.0), aspect=aspect)
    fallback_h = np.minimum(H, np.rint(W * aspect)).astype(np.int64)
    fallback_w = np.minimum(W, np.rint(H * aspect)).astype(np.int64)
    h, w = np.where(fits, h, fallback_h), np.where(fits, w, fallback_w)
    top = np.where(fits, _place(units[:, -2], H - h), (H - h) // 2)
    left = np.where(fits, _place(units[:, -1], W - w), (W - w) // 2)
    return np.stack([top, left, h, w], axis=1)


def crop_box(height: int, width: int, units: Sequence[float], *, area: float, aspect: float) -> tuple[int, ...]:
    """`crop_boxes` of one image, (top, left, height, width), in a twentieth of its time."""
    for share, turn in zip(units[:TRIES], units[TRIES : 2 * TRIES], strict=True):
        target, ratio = height * width * (area + (1.0 - area) * share), math.exp(math.log(aspect) * (2 * turn - 1))
        h, w = round(math.sqrt(target / ratio)), round(math.sqrt(target * ratio))
        if 0 < h <= height and 0 < w <= width:
            return math.floor(units[-2] * (height - h + 1)), math.floor(units[-1] * (width - w + 1)), h, w
    h, w = min(height, round(width * aspect)), min(width, round(height * aspect))
    return (height - h) // 2, (width - w) // 2, h, w


def erased_boxes(sizes: np.ndarray, units: np.ndarray) -> np.ndarray:
    """One random rectangle (top, left, height, width) in each image, int64 (B, 4); of height 0 if ten did not fit.

    Random erasing, 1708.04896, algorithm 1: a share of the area in ERASED, an aspect ratio in
    [1 / ERASED_ASPECT, ERASED_ASPECT] (log-uniform, as in torchvision, so that upright and flat ones are as frequent).
    """
    h, w, fits = _sampled(sizes, units, area=ERASED, aspect=ERASED_ASPECT)
    h, w = np.where(fits, h, 0), np.where(fits, w, 0)
    H, W = sizes.T
    return np.stack([_place(units[:, -2], H - h), _place(units[:, -1], W - w), h, w], axis=1)


def cut_box(height: int, width: int, *, share: float, center: tuple[float, float]) -> tuple[int, int, int, int]:
    """(top, left, height, width) of CutMix's box: `share` of the area around a center given in 0..1, cut at the edges.

    1905.04899, section 3.1: the box has the image's aspect ratio, and its center is uniform in the image.
    """
    half_h, half_w = height * share**0.5 / 2, width * share**0.5 / 2
    y, x = center[0] * height, center[1] * width
    top, bottom = (min(max(round(edge), 0), height) for edge in (y - half_h, y + half_h))
    left, right = (min(max(round(edge), 0), width) for edge in (x - half_w, x + half_w))
    return top, left, bottom - top, right - left


def _sampled(
    sizes: np.ndarray, units: np.ndarray, *, area: tuple[float, float], aspect: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(heights, widths, whether one fits) of the first box of each image that fits: int64, int64 and bool (B,)."""
    H, W = sizes.T[:, :, None].astype(np.float64)
    low, high = area
    target = H * W * (low + (high - low) * units[:, :TRIES])
    ratio = np.exp(np.log(aspect) * (2 * units[:, TRIES : 2 * TRIES] - 1))
    h, w = np.rint(np.sqrt(target / ratio)), np.rint(np.sqrt(target * ratio))
    good = (h > 0) & (w > 0) & (h <= H) & (w <= W)
    first = good.argmax(axis=1)
    rows = np.arange(len(sizes))
    return h[rows, first].astype(np.int64), w[rows, first].astype(np.int64), good[rows, first]


def _place(units: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Uniform integers in 0..room."""
    return np.floor(units * (room + 1)).astype(np.int64)
