"""Images for an export: those that it is proved on, which no training has seen if possible, and others to calibrate."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reslab.errors import BrokenImage
from reslab.images.data.decode import Interpolation
from reslab.images.data.images import Encoded, ImageData, Part, Pixels
from reslab.images.pixels import fitted
from reslab.images.task import split
from reslab.run import Run
from reslab.ship.exportable import RANDOM, Examples
from reslab.train.folder import read_recipe
from reslab.train.order import shuffled
from reslab.train.recipe import Recipe

APART = 0.5  # of training images, where nothing was set aside: half to prove, half to calibrate


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The two parts, and in words which images they are."""

    proof: Part
    calibration: Part
    where: str


def parts_of(data: ImageData, run: Run | None) -> Parts:
    """As slimming plans: the data's own validation part, what a run's recipe set aside, or training images."""
    own = run is not None and run.read_json("data.json").get("fingerprint") == data.fingerprint
    if data.validation is not None:
        return Parts(proof=data.validation, calibration=data.train, where=f"the validation images of {data.name}")
    if own and run is not None and run.has("recipe.toml"):
        train, unseen = split(data.train, read_recipe(run))
        if unseen is not None:
            where = f"the images of {data.name} that the run set aside from the training part for validation"
            return Parts(proof=unseen, calibration=train, where=where)
    rest, held = split(data.train, Recipe(validation=APART))
    seen = ("as no others were set aside: the model has seen them, so its accuracy on them is too high" if own
            else "which the run was not trained on" if run is not None
            else "and whether the model was trained on them is not known")  # fmt: skip
    return Parts(proof=held if held is not None and len(held) else data.train, calibration=rest,
                 where=f"training images of {data.name}, {seen}")  # fmt: skip


def examples(
    part: Part, n: int, *, size: tuple[int, int], where: str, seed: int = 0, interpolation: Interpolation = "bilinear"
) -> Examples:
    """At most n images of a part, sampled by the seed, as uint8 (N, H, W, C), with their labels; broken ones left out.

    `size`: (H, W) of the net, to which images of another size are fitted, by its `interpolation`. Raises BrokenImage if
    all of them are broken.
    """
    rows = shuffled(len(part), seed)[:n].sort().values
    some = part.subset(rows)
    pixels, kept, broken = read(some)
    if not len(pixels):
        raise BrokenImage(broken[0].name, broken[0].reason, others=len(broken) - 1)
    said = f" ({len(rows):,} of {len(part):,}, sampled at random)" if len(rows) < len(part) else f" ({len(part):,})"
    left = f"; {len(broken)} that cannot be read left out" if broken else ""
    return Examples(inputs={"images": fitted(pixels, size, interpolation)}, targets=some.labels[kept].numpy(),
                    where=where + said + left)  # fmt: skip


def read(part: Part) -> tuple[np.ndarray, torch.Tensor, list[BrokenImage]]:
    """(uint8 (N, H, W, C), which of the part they are, the broken ones)."""
    if isinstance(part, Pixels):
        return part.pixels.permute(0, 2, 3, 1).contiguous().numpy(), torch.arange(len(part)), []
    assert isinstance(part, Encoded)
    found, kept, broken = list[Any](), list[int](), list[BrokenImage]()
    for i in range(len(part)):
        try:
            found.append(part.pixels(i).permute(1, 2, 0).numpy())
            kept.append(i)
        except BrokenImage as error:
            broken.append(error)
    C, H, W = part.shape
    pixels = np.ascontiguousarray(np.stack(found)) if found else np.empty((0, H, W, C), np.uint8)
    return pixels, torch.tensor(kept, dtype=torch.int64), broken


def noise(n: int, shape: tuple[int, int, int], *, seed: int) -> Examples:
    """Random pixels, from fine grain to single shades, so that not all of them look the same to a net."""
    C, H, W = shape
    rng = np.random.default_rng(seed)
    images = np.empty((n, H, W, C), np.uint8)
    for image in images:
        rough = rng.integers(1, max(2, min(H, W) + 1))  # squares of one color
        tiles = rng.integers(0, 256, (-(-H // rough), -(-W // rough), C))
        image[:] = np.repeat(np.repeat(tiles, rough, axis=0), rough, axis=1)[:H, :W]
    return Examples(inputs={"images": images}, where=RANDOM)
