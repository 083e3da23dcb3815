"""Load image data sets by name or path, and turn them into batches. Modules are imported on first use.

Decoding, which needs no torch, must not import it: predicting with an exported folder starts in a moment.
"""

from typing import TYPE_CHECKING

from reslab.errors import BrokenImage
from reslab.images.data.decode import Reading, decode  # not lazily: the function has its module's name
from reslab.lazy import lazy

if TYPE_CHECKING:
    from reslab.images.data.augment import Augment
    from reslab.images.data.batches import training_batches
    from reslab.images.data.images import Encoded, ImageData, Part, Pixels
    from reslab.images.data.normalize import Normalize, measure
    from reslab.images.data.read import sort_out
    from reslab.images.data.views import view_batches
    from reslab.images.data.words import load
    from reslab.train.batch import Batch
    from reslab.train.order import batch_indices
    from reslab.train.workers import decoding_workers

HOME = {  # public name: its module
    "Augment": "reslab.images.data.augment",
    "Batch": "reslab.train.batch",
    "Encoded": "reslab.images.data.images",
    "ImageData": "reslab.images.data.images",
    "Normalize": "reslab.images.data.normalize",
    "Part": "reslab.images.data.images",
    "Pixels": "reslab.images.data.images",
    "batch_indices": "reslab.train.order",
    "decoding_workers": "reslab.train.workers",
    "load": "reslab.images.data.words",
    "measure": "reslab.images.data.normalize",
    "sort_out": "reslab.images.data.read",
    "training_batches": "reslab.images.data.batches",
    "view_batches": "reslab.images.data.views",
}

__all__ = [
    "Augment",
    "Batch",
    "BrokenImage",
    "Encoded",
    "ImageData",
    "Normalize",
    "Part",
    "Pixels",
    "Reading",
    "batch_indices",
    "decode",
    "decoding_workers",
    "load",
    "measure",
    "sort_out",
    "training_batches",
    "view_batches",
]

if not TYPE_CHECKING:  # otherwise a type checker accepts any name
    __getattr__, __dir__ = lazy(__name__, HOME, __all__)
