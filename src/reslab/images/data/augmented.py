"""All random changes of one batch on the device, in their order."""

import numpy as np
import torch
from torch import Tensor

from reslab.images.data.augment import Augment, crop_and_flip, mirror, shift_colors
from reslab.images.data.boxes import UNITS, crop_boxes
from reslab.images.data.chance import AREA, CUTOUT, ERASE, JITTER, MIX, OPERATIONS, Chance
from reslab.images.data.color import jitter
from reslab.images.data.mix import cutout, erase, mix, soft
from reslab.images.data.normalize import Normalize
from reslab.images.data.policy import apply_policy
from reslab.images.data.warp import crop_resized
from reslab.train.order import COLOR, CROP

CACHED = 4 * 2**20  # bytes of float32 images that are changed at a time on a CPU


def augmented(
    pixels: Tensor, chance: Chance, *, augment: Augment, normalize: Normalize, boxed: bool = False,
    mirrored: bool = False,
) -> Tensor:  # fmt: skip
    """Images uint8 (B, C, H, W) changed at random and normalized: float32 (B, C, H, W).

    `boxed`: the random boxes of "resized-crop" are still to be cropped. `mirrored`: half of the images are mirrored
    already. On a CPU, a few images at a time: what a change needs in between then stays in the cache. An image comes
    out the same whatever else is in its batch.
    """
    if any(augment.jitter) or augment.operations or augment.color:
        pixels = pixels.contiguous()  # what follows takes color by color
    B, few, out = len(pixels), len(pixels), None
    if pixels.device.type == "cpu":
        few = max(1, CACHED // (4 * pixels[0].numel()))
        out = torch.empty_like(pixels, dtype=torch.float32)  # also the same layout in memory
    if few >= B or out is None:
        return _changed(pixels, chance, augment=augment, normalize=normalize, boxed=boxed, mirrored=mirrored, out=out)
    for k in range(0, B, few):
        part = slice(k, k + few)
        made = _changed(pixels[part], chance.only(part), augment=augment, normalize=normalize, boxed=boxed,
                        mirrored=mirrored, out=out[part])  # fmt: skip
        if made.data_ptr() != out[part].data_ptr():
            out[part] = made
    return out


def _changed(
    x: Tensor, chance: Chance, *, augment: Augment, normalize: Normalize, boxed: bool, mirrored: bool,
    out: Tensor | None,
) -> Tensor:  # fmt: skip
    """Policy and color jitter come before the normalization, since they are defined for pixels in 0..1; padding, flip
    and erasing come after it, where 0 is the mean. The normalization writes into `out`.
    """
    if boxed:
        boxes = crop_boxes(np.tile(x.shape[2:], (len(x), 1)), chance.units(AREA, UNITS), area=augment.area,
                           aspect=augment.aspect)  # fmt: skip
        x = crop_resized(x, boxes).div_(255)
    if (any(augment.jitter) or augment.operations) and not x.is_floating_point():
        x = x.float().div_(255)
    if augment.policy != "none" and augment.operations:
        x = apply_policy(x, chance.units(OPERATIONS, 4 * augment.operations), name=augment.policy,
                         ops=augment.operations, magnitude=augment.policy_magnitude)  # fmt: skip
    if any(augment.jitter):
        x = jitter(x, chance.units(JITTER, 8), strengths=augment.jitter)
    x = normalize(x, out=out)
    if augment.kind != "none":
        if augment.color:
            x = shift_colors(x, chance.words(COLOR), normalize=normalize)
        if augment.kind == "crop":
            x = crop_and_flip(x, chance.moves(CROP), pad=augment.pad, flip=augment.flip)
        elif augment.flip and not mirrored:
            x = mirror(x, chance.moves(CROP))
    if augment.erase:
        x = erase(x, chance.units(ERASE, UNITS + 1), probability=augment.erase)
    if augment.cutout:
        x = cutout(x, chance.words(CUTOUT), side=augment.cutout)
    return x


def mixed(x: Tensor, y: Tensor, chance: Chance, *, augment: Augment, classes: int, step: int) -> tuple[Tensor, Tensor]:
    """The batch after mixup or cutmix, and its labels as shares, float32 (B, K); without both, x and y as they are.

    The partner of an image is the one `step` places before it in the batch.
    """
    if not augment.mixes:
        return x, y
    return mix(x, soft(y, classes), chance.shared(MIX), mixup_alpha=augment.mixup, cutmix_alpha=augment.cutmix,
               step=step)  # fmt: skip
