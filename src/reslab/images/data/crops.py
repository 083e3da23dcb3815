"""A random box of an encoded image, resized to the size of the images."""

import math
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from reslab.images.data.boxes import crop_boxes
from reslab.images.data.decode import resize_box
from reslab.images.data.images import Encoded, to_tensor


def random_crop(part: Encoded, i: int, units: np.ndarray, *, area: float, aspect: float) -> Tensor:
    """A random box of image i (see boxes.py) resized to H x W, antialiased: uint8 (C, H, W).

    The box is chosen in the image's own pixels. A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if the box then still
    has at least H x W pixels. units (boxes.UNITS,). Raises BrokenImage.
    """
    _, H, W = part.shape
    chosen = _Box(units=units, area=area, aspect=aspect, height=H, width=W)
    image = part.image(i, near=chosen.near)
    left, top, right, bottom = chosen.edges
    x, y = image.width / chosen.whole[0], image.height / chosen.whole[1]  # 1 unless decoded smaller
    edges = left * x, top * y, min(right * x, image.width), min(bottom * y, image.height)
    return to_tensor(resize_box(image, edges, height=H, width=W, interpolation=part.reading.interpolation))


@dataclass(kw_only=True)
class _Box:
    """A box that is chosen when the decoder knows the size of the image, before it decodes."""

    units: np.ndarray
    area: float
    aspect: float
    height: int  # of the result
    width: int
    whole: tuple[int, int] = field(init=False)  # (width, height) of the image
    edges: tuple[int, int, int, int] = field(init=False)  # left, top, right, bottom

    def near(self, width: int, height: int) -> int:
        """The shorter side from which on a decoded image is large enough."""
        sizes = np.array([[height, width]])
        top, left, h, w = crop_boxes(sizes, self.units[None], area=self.area, aspect=self.aspect)[0].tolist()
        self.whole, self.edges = (width, height), (left, top, left + w, top + h)
        return math.ceil(min(width, height) / max(1.0, min(h / self.height, w / self.width)))
