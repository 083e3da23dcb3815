"""`hf:NAME`: an image data set of the Hugging Face Hub, through the `datasets` library."""

from typing import Any

from reslab.errors import UsageError
from reslab.images.data.images import ImageData
from reslab.images.sources.assemble import Listing, assemble
from reslab.images.sources.encoded import HubCells, Rows
from reslab.images.sources.parquet import IMAGE_NAMES, LABEL_NAMES, classes_of, labels_of
from reslab.nets.hub import hub_data_set

TEST_SPLITS = ("test", "validation", "valid", "val")


def load_hub(name: str, *, size: int | None, memory: int) -> ImageData:
    """The data set `name` with its test (otherwise validation) split, or split 80/20 if it has neither.

    Raises UsageError if it holds no labeled images, ReslabError if it cannot be loaded.
    """
    splits = hub_data_set(name)
    if "train" not in splits:
        raise UsageError(f"hf:{name} has no split named train; it has {', '.join(splits)}")
    image, label, names = _columns(splits["train"].features, name)
    values = splits["train"][label][:]
    classes = names or classes_of(values)
    train = _listing(splits["train"], image, f"{name} train", values, classes, named=names is not None)
    held_out = next((split for split in TEST_SPLITS if split in splits), None)
    if held_out is not None:
        rows, values = splits[held_out], splits[held_out][label][:]
        test = _listing(rows, image, f"{name} {held_out}", values, classes, named=names is not None)
        about = f"The Hugging Face data set {name}, with its train and {held_out} splits"
    else:
        train, test = train.split(classes)
        about = f"The Hugging Face data set {name}, fixed 80/20 split within each class"
    return assemble(name=f"hf:{name}", train=train, test=test, classes=classes, size=size, memory=memory, about=about)


def _listing(
    split: Any, image: str, title: str, values: list[Any], classes: tuple[str, ...], *, named: bool
) -> Listing:
    import datasets

    encoded = split.cast_column(image, datasets.Image(decode=False)).select_columns([image])
    sources = Rows(HubCells(encoded, image), title)
    return Listing.of(sources, labels_of(values, sources, classes, named=named))


def _columns(features: Any, name: str) -> tuple[str, str, tuple[str, ...] | None]:
    """The image column, the label column, and the class names if the data set has them."""
    import datasets

    images = [key for key, kind in features.items() if isinstance(kind, datasets.Image)]
    labels = [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    labels += [key for key in LABEL_NAMES if key in features and key not in labels]
    if not images or not labels:
        raise UsageError(f"hf:{name} is not a labeled image data set; its columns are {', '.join(features)}")
    image = next((key for key in IMAGE_NAMES if key in images), images[0])
    label = next((key for key in LABEL_NAMES if key in labels), labels[0])
    kind = features[label]
    return image, label, tuple(kind.names) if isinstance(kind, datasets.ClassLabel) else None
