"""Load image data sets by name or path, and turn them into batches."""

from reslab.errors import BrokenImage
from reslab.images.data.augment import Augment
from reslab.images.data.batches import training_batches
from reslab.images.data.decode import Reading, decode
from reslab.images.data.images import Encoded, ImageData, Part, Pixels
from reslab.images.data.load import load
from reslab.images.data.normalize import Normalize, measure
from reslab.images.data.read import sort_out
from reslab.images.data.views import view_batches
from reslab.train.batch import Batch
from reslab.train.order import batch_indices
from reslab.train.workers import decoding_workers

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
