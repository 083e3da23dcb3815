"""Decode any image file to 8-bit gray or RGB."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from reslab.errors import BrokenImage


def decode(source: bytes | Path, *, channels: int, name: str, near: int | None = None) -> Image.Image:
    """The image as 8-bit gray (channels=1) or RGB (channels=3), turned upright, at its original size.

    Transparent areas become white. 16-bit gray is scaled to 8 bits, not clipped. `near`: a JPEG may be decoded
    at 1/2, 1/4 or 1/8 of its size, much faster, as long as its shorter side keeps at least `near` pixels.
    Raises BrokenImage if the image is damaged, truncated, or large enough to be a decompression bomb.
    """
    try:
        with _open(source) as image:
            if near is not None:
                image.draft(image.mode, (near, near))
            image.load()
            return _eight_bits(_upright(image), mode="L" if channels == 1 else "RGB")
    except Exception as error:  # on damaged bytes, Pillow's readers raise nearly anything
        raise BrokenImage(name, _reason(error)) from error


def header(source: bytes | Path, *, name: str) -> tuple[int, int, bool]:
    """(width, height, whether gray) of the upright image, read from its header only. Raises BrokenImage."""
    try:
        with _open(source) as image:
            width, height = image.size
            if _orientation(image) >= 5:  # EXIF: 5 to 8 are quarter turns
                width, height = height, width
            return width, height, image.mode in _GRAY_MODES
    except Exception as error:
        raise BrokenImage(name, _reason(error)) from error


def fit(image: Image.Image, *, height: int, width: int) -> Image.Image:
    """Resize the image (bilinear, antialiased) to just cover `height` x `width`, then center-crop it."""
    scale = max(height / image.height, width / image.width)
    size = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    if image.size == (width, height):
        return image
    return image.crop((left, top, left + width, top + height))


def resize_shorter(image: Image.Image, size: int) -> Image.Image:
    """The whole image resized to a shorter side of `size` pixels, aspect ratio kept (bilinear, antialiased)."""
    scale = size / min(image.size)
    width, height = max(size, round(image.width * scale)), max(size, round(image.height * scale))
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR)


_GRAY_MODES = {"1", "L", "LA", "La", "F", "I", "I;16", "I;16L", "I;16B", "I;16N"}


def _open(source: bytes | Path) -> Image.Image:
    if not source:
        raise ValueError("it is empty")
    image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    # Pillow only warns between its limit and twice its limit; a worker should refuse before it allocates.
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        image.close()
        raise Image.DecompressionBombError
    return image


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info or image.format == "TIFF":  # Pillow rotates TIFFs itself
        return 1
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block does not mean damaged pixels
        return 1
    return value if value in range(1, 9) else 1


def _upright(image: Image.Image) -> Image.Image:
    if _orientation(image) == 1:
        return image
    return ImageOps.exif_transpose(image)


def _eight_bits(image: Image.Image, *, mode: str) -> Image.Image:
    if image.mode == mode and "transparency" not in image.info:
        return image.copy() if image.readonly else image
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(image).convert(mode)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif image.mode == "P":
        image = image.convert("RGB")
    return image.convert(mode)


def _scaled(image: Image.Image) -> Image.Image:
    """16- or 32-bit gray to 8 bits: 0..65535 becomes 0..255; floats up to 1 become 0..255."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    top = values.max(initial=0.0)
    whites = (1.0, 255.0) if image.mode == "F" else (65535.0, 2.0**31 - 1)
    white = whites[0] if top <= whites[0] else whites[1]
    return Image.fromarray(np.rint(values.clip(0, white) * (255 / white)).astype(np.uint8))


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"it has more than {Image.MAX_IMAGE_PIXELS:,} pixels: refused as a decompression bomb"
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image that Pillow can read"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return str(error).strip() or type(error).__name__
