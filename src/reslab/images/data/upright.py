"""How an image lies: the orientation that cameras write, and what it does to sizes and boxes."""

from PIL import Image, ImageOps

from reslab.images.data.png import about

PADDED_LEFT, PADDED_ABOVE = (2, 3, 6, 7), (3, 4, 7, 8)  # turns that take the right or lower edge there
ORIENTED = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")  # where Pillow looks
Edges = tuple[float, float, float, float]  # left, top, right, bottom


def upright_size(image: Image.Image, turn: int) -> tuple[int, int]:
    """(width, height) of the image as it is shown; `turn`: its orientation."""
    width, height = image.size
    return (height, width) if turn >= 5 else (width, height)  # EXIF: 5 to 8 are quarter turns


def is_upright(image: Image.Image) -> bool:
    """Whether an opened image lies as it is shown: nothing in it says that it is to be turned."""
    return orientation(image) == 1


def orientation(image: Image.Image) -> int:
    """1 to 8, as EXIF numbers them: from what Pillow's exif_transpose reads, before and after the image is loaded."""
    if image.format == "TIFF":  # Pillow rotates TIFFs itself
        return 1
    try:
        unread = image.format == "PNG" and getattr(image, "fp", None) is not None and getattr(image, "tile", None)
        found = about(image) if unread else image
        if found is None or not any(key in found.info for key in ORIENTED):
            return 1
        value = found.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block does not mean damaged pixels
        return 1
    return value if value in range(1, 9) else 1


def upright(image: Image.Image) -> Image.Image:
    """The image as it is shown."""
    if orientation(image) == 1:
        return image
    return ImageOps.exif_transpose(image)


def moved(box: Edges, size: tuple[int, int], small: tuple[int, int], shrink: int, turn: int) -> Edges:
    """The box of an upright image of `size`, in its pixels, where that was shrunk to `small`, which is rounded up.

    The decoder pads right and below; of a turned photograph, that may be left and above.
    """
    left, top, right, bottom = box
    x = small[0] * shrink - size[0] if turn in PADDED_LEFT else 0
    y = small[1] * shrink - size[1] if turn in PADDED_ABOVE else 0
    return left + x, top + y, right + x, bottom + y
