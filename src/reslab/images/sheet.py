"""A sheet of thumbnails: some images of each class, small enough for one page."""

import base64
import io
from dataclasses import dataclass

import torch
from PIL import Image

from reslab.errors import BrokenImage
from reslab.images.account import name_of
from reslab.images.data.counts import of_class
from reslab.images.data.images import Encoded, ImageData, Part

SIDE = 72  # pixels of a thumbnail's longer side
TILES, EACH = 120, 8  # thumbnails on a sheet, and of one class
BYTES = 900_000  # of all thumbnails: the page stays under 1.5 MB


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A thumbnail as a data URL, and the image's place."""

    url: str
    name: str


def sheet(data: ImageData) -> list[tuple[str, list[Tile]]]:
    """(class, thumbnails of its training images): evenly spaced classes and images, as many as fit."""
    K = len(data.classes)
    many, each = min(K, TILES), max(1, min(EACH, TILES // max(K, 1)))
    found, room = [], BYTES
    for label in (k * K // many for k in range(many)):
        tiles = []
        rows = torch.nonzero(of_class(data.train.labels, label)).flatten().tolist()
        n = min(each, len(rows))
        for i in (rows[k * len(rows) // n] for k in range(n)):
            tile = _tile(data.train, i)
            if tile is not None and len(tile.url) <= room:
                room -= len(tile.url)
                tiles.append(tile)
        found.append((data.classes[label], tiles))
    return found


def _tile(part: Part, i: int) -> Tile | None:
    """Image i, None if it is broken."""
    try:
        image = part.image(i, near=SIDE) if isinstance(part, Encoded) else _picture(part.pixels[i])
    except BrokenImage:
        return None
    out = io.BytesIO()
    if max(image.size) <= SIDE // 2:  # small images are shown to the pixel
        image.save(out, "PNG")
    else:
        scale = SIDE / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image.resize(size, Image.Resampling.BOX).save(out, "JPEG", quality=82)
    kind = "png" if out.getvalue().startswith(b"\x89PNG") else "jpeg"
    data = base64.b64encode(out.getvalue()).decode()
    return Tile(url=f"data:image/{kind};base64,{data}", name=name_of(part, i))


def _picture(pixels: torch.Tensor) -> Image.Image:
    """uint8 (C, H, W) as an image."""
    values = pixels.permute(1, 2, 0).numpy()
    return Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
