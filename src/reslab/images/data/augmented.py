"""All random changes of one batch on the device, in their order."""

import numpy as np
from torch import Tensor

from reslab.images.data.augment import Augment, crop_and_flip, shift_colors
from reslab.images.data.boxes import UNITS, crop_boxes
from reslab.images.data.chance import AREA, ERASE, JITTER, MIX, OPERATIONS, Chance
from reslab.images.data.color import jitter
from reslab.images.data.mix import erase, mix, soft
from reslab.images.data.normalize import Normalize
from reslab.images.data.policy import apply_policy
from reslab.images.data.warp import crop_resized
from reslab.train.order import COLOR, CROP

__all__ = ["augmented", "mixed", "resized_crops"]


def resized_crops(pixels: Tensor, chance: Chance, *, augment: Augment) -> Tensor:
    """A random box of each image of pixels, uint8 (B, C, H, W), resized to H x W: float32 in 0..1."""
    sizes = np.tile(pixels.shape[2:], (len(pixels), 1))
    boxes = crop_boxes(sizes, chance.units(AREA, UNITS), area=augment.area, aspect=augment.aspect)
    return crop_resized(pixels, boxes).div_(255)


def augmented(pixels: Tensor, chance: Chance, *, augment: Augment, normalize: Normalize) -> Tensor:
    """Images (B, C, H, W), uint8 or float32 in 0..1, changed at random and normalized; `pixels` may be overwritten.

    Policy and color jitter come before the normalization, since they are defined for pixels in 0..1; padding, flip and
    erasing come after it, where 0 is the mean.
    """
    x = pixels
    if any(augment.jitter) or augment.policy != "none":
        x = x.float().div_(255) if not x.is_floating_point() else x
    if augment.policy != "none":
        ops = 1 if augment.policy == "trivial" else augment.policy_ops
        x = apply_policy(x, chance.units(OPERATIONS, 4 * ops), name=augment.policy, ops=ops,
                         magnitude=augment.policy_magnitude)  # fmt: skip
    if any(augment.jitter):
        x = jitter(x, chance.units(JITTER, 8), strengths=augment.jitter)
    x = normalize(x)
    if augment.kind != "none":
        if augment.color:
            x = shift_colors(x, chance.words(COLOR), normalize=normalize)
        pad = augment.pad if augment.kind == "crop" else 0
        x = crop_and_flip(x, chance.words(CROP), pad=pad, flip=augment.flip)
    if augment.erase:
        x = erase(x, chance.units(ERASE, UNITS + 1), probability=augment.erase)
    return x


def mixed(x: Tensor, y: Tensor, chance: Chance, *, augment: Augment, classes: int, step: int) -> tuple[Tensor, Tensor]:
    """The batch after mixup or cutmix, and its labels as shares, float32 (B, K); without both, x and y as they are.

    The partner of an image is the one `step` places before it in the batch.
    """
    if not augment.mixes:
        return x, y
    return mix(x, soft(y, classes), chance.shared(MIX), mixup_alpha=augment.mixup, cutmix_alpha=augment.cutmix,
               step=step)  # fmt: skip
