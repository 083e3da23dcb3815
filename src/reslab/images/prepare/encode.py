"""An image as it goes into a shard: at most so large, upright, as JPEG; small JPEGs byte for byte."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from reslab.errors import BrokenImage
from reslab.images.data.decode import Reading, decode_shorter, resize_shorter
from reslab.images.data.gray import GRAY_MODES
from reslab.images.data.opened import opened, reason
from reslab.images.data.upright import is_upright

LONGEST = 65_500  # pixels: no side of a JPEG is longer; such a strip is written as PNG


@dataclass(frozen=True, kw_only=True)
class Written:
    """The file's bytes, the ending of its name, and whether they are those of the source."""

    content: bytes
    ending: str
    copied: bool = False


@dataclass(frozen=True, kw_only=True)
class Form:
    """How images are written: the shorter side in pixels, at most, and the quality of JPEG."""

    side: int
    quality: int
    reading: Reading

    def written(self, source: bytes | Path, *, name: str) -> Written:
        """The image of a data set. Raises BrokenImage."""
        try:
            with opened(source, limit=self.reading.limit) as image:
                gray = image.mode in GRAY_MODES
                if self.fits(image):
                    image.load()  # damaged pixels must not be copied
                    content = source if isinstance(source, bytes) else source.read_bytes()
                    return Written(content=content, ending="jpg", copied=True)
        except Exception as error:  # Pillow's readers raise nearly anything
            raise BrokenImage(name, reason(error)) from error
        return self.encoded(
            decode_shorter(source, self.side, channels=1 if gray else 3, name=name, reading=self.reading)
        )

    def fits(self, image: Image.Image) -> bool:
        """Whether an opened image can stay as it is."""
        return (image.format == "JPEG" and image.mode in ("RGB", "L") and min(image.size) <= self.side
                and is_upright(image))  # fmt: skip

    def encoded(self, image: Image.Image) -> Written:
        """A decoded image, 8-bit gray or RGB, as a file."""
        if min(image.size) > self.side:
            image = resize_shorter(image, self.side, interpolation=self.reading.interpolation)
        out = io.BytesIO()
        if max(image.size) > LONGEST:
            image.save(out, "PNG")
            return Written(content=out.getvalue(), ending="png")
        image.save(out, "JPEG", quality=self.quality)
        return Written(content=out.getvalue(), ending="jpg")
