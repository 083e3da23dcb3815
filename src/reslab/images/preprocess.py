"""One image as a run's net was trained on it: decoded, resized, cropped and normalized in the same way."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from reslab.errors import BrokenImage, ReslabError
from reslab.images.data.decode import FILTERS, Reading, eight_bits, fit
from reslab.images.data.gray import GRAY_MODES, KINDS, checked, kind_of
from reslab.images.data.images import Shape, to_tensor
from reslab.images.data.normalize import Normalize
from reslab.images.data.opened import opened, reason
from reslab.images.inputs import Source, source_of
from reslab.run import Run

REMARKS = {  # what may have been changed of an image: one image, several
    "gray": ("1 gray image read as RGB", "{:,} gray images read as RGB"),
    "color": ("1 color image converted to gray", "{:,} color images converted to gray"),
    "scale": (
        "1 gray image of more than 8 bits scaled by its own values (there was none in training)",
        "{:,} gray images of more than 8 bits scaled each by its own values (there was none in training)",
    ),
    "frames": (
        "1 animated image: only its first frame was read",
        "{:,} animated images: only their first frames were read",
    ),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Preprocess:
    """`model.preprocess`: any image -> float32 (C, H, W), normalized, as the net was trained on it.

    An image is a file's path or bytes, a PIL image, an array or a tensor (see `inputs.source_of`). It can be the
    transform of a torchvision data set, and be sent to worker processes.
    """

    shape: Shape
    reading: Reading = field(repr=False)
    normalize: Normalize = field(repr=False)

    def __call__(self, image: Any) -> Tensor:
        """Raises BrokenImage for a file that cannot be read, UsageError for what is no image."""
        pixels, _ = self.pixels(source_of(image))
        x: Tensor = self.normalize(pixels[None])[0]
        return x

    def pixels(self, source: Source) -> tuple[Tensor, list[str]]:
        """uint8 (C, H, W), and the keys of REMARKS that apply. Raises BrokenImage."""
        name = str(source) if isinstance(source, Path) else "image"
        try:
            if isinstance(source, Image.Image):
                return self._pixels(source)
            with opened(source, limit=self.reading.limit) as image:
                return self._pixels(image)
        except Exception as error:  # on damaged bytes, Pillow's readers raise nearly anything
            raise BrokenImage(name, reason(error)) from error

    def _pixels(self, image: Image.Image) -> tuple[Tensor, list[str]]:
        C, H, W = self.shape
        gray, kind = image.mode in GRAY_MODES, kind_of(image.mode, image.format)
        said = {
            "gray": gray and C == 3,
            "color": not gray and C == 1,
            "scale": kind is not None and kind not in self.reading.gray,
            # phones put a second picture into a JPEG, which is then an MPO
            "frames": image.format != "MPO" and getattr(image, "is_animated", False),
        }
        pixels = to_tensor(fit(eight_bits(image, channels=C, reading=self.reading), height=H, width=W,
                               interpolation=self.reading.interpolation))  # fmt: skip
        return pixels, [key for key, applies in said.items() if applies]

    def to(self, device: Any) -> "Preprocess":
        """The same with its mean and std on another device."""
        return replace(self, normalize=self.normalize.to(device))


def of_run(run: Run) -> Preprocess:
    """How the images of a run's data were read. Raises ReslabError for files that are missing or damaged."""
    about = run.read_json("data.json", "shape", "options")
    shape, normalize = about["shape"], Normalize.from_dict(run.read_json("normalize.json", "mean", "std"))
    if len(shape) != 3 or shape[0] not in (1, 3) or 0 in shape or len(normalize.mean) != shape[0]:
        raise ReslabError(f"{run.path('data.json')} or normalize.json is damaged: images of shape {shape}, means for "
                          f"{len(normalize.mean)} channels; restore a copy of it")  # fmt: skip
    C, H, W = shape
    return Preprocess(shape=(C, H, W), reading=reading_of(about), normalize=normalize)


def reading_of(about: Mapping[str, Any]) -> Reading:
    """How images are decoded, from the data.json of a run."""
    options, white = about["options"], about["options"].get("white")
    asked: dict[str, Any] = dict.fromkeys(KINDS, (0.0, float(white))) if isinstance(white, int | float) else white or {}
    gray = {kind: checked(ends) for kind, ends in {**asked, **about.get("gray", {})}.items()}
    how: Any = options.get("interpolation") or "bilinear"
    if how not in FILTERS:
        raise ReslabError(f"interpolation in data.json must be {' or '.join(FILTERS)}, got {how!r}")
    return Reading(gray=gray, limit=options.get("max_pixels"), interpolation=how)


def remarked(counts: Counter[str]) -> tuple[str, ...]:
    """The remarks as sentences, for counts by key."""
    return tuple(one if n == 1 else many.format(n) for key, (one, many) in REMARKS.items() if (n := counts[key]))
