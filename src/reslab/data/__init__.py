"""Data: a word becomes a data set, a data set becomes batches."""

from reslab.data.augment import Augment
from reslab.data.batches import Batch, training_batches
from reslab.data.decode import BrokenImage, decode
from reslab.data.images import Encoded, ImageData, Part, Pixels
from reslab.data.load import load
from reslab.data.normalize import Normalize, measure
from reslab.data.order import batch_indices
from reslab.data.read import sort_out
from reslab.data.views import view_batches
from reslab.data.workers import worth

__all__ = [
    "Augment",
    "Batch",
    "BrokenImage",
    "Encoded",
    "ImageData",
    "Normalize",
    "Part",
    "Pixels",
    "batch_indices",
    "decode",
    "load",
    "measure",
    "sort_out",
    "training_batches",
    "view_batches",
    "worth",
]
