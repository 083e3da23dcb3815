"""One image as a run's net was trained on it: decoded, resized, cropped and normalized in the same way."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from reslab.errors import ReslabError
from reslab.images.data.decode import Reading
from reslab.images.data.normalize import Normalize
from reslab.images.inputs import Source, source_of
from reslab.images.pixels import PixelReader, Shape, reading_of
from reslab.run import Run


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
        """uint8 (C, H, W), and the keys of pixels.REMARKS that apply. Raises BrokenImage."""
        found, said = self.reader.read(source)
        return torch.from_numpy(found.copy()).permute(2, 0, 1), said  # a copy: Pillow's memory is read-only

    @property
    def reader(self) -> PixelReader:
        """The part of it that needs no torch."""
        return PixelReader(shape=self.shape, reading=self.reading)

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
