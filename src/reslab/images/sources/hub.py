"""`hf:NAME`: an image data set of the Hugging Face Hub, through the `datasets` library."""

from typing import Any

from reslab.errors import UsageError
from reslab.images.data.images import ImageData
from reslab.images.sources import labels
from reslab.images.sources.assemble import Listing, Loading, assemble, listed
from reslab.images.sources.encoded import Rows, hub_cells
from reslab.images.sources.labels import Labels
from reslab.images.sources.parquet import IMAGE_NAMES
from reslab.images.sources.scan import Ignored
from reslab.nets.hub import hub_data_set
from reslab.train.parts import HELD_OUT, TRAIN, VALIDATION


def load_hub(name: str, *, loading: Loading) -> ImageData:
    """The data set `name` with its test and validation splits; one of them is the test part, without both: 80/20.

    Each split's labels mean what its own features say. Raises UsageError if it holds no labeled images, ReslabError if
    it cannot be loaded.
    """
    loading.check()
    splits = hub_data_set(name)
    train_split, test_split = (next((split for word in words for split in splits if split.lower() == word), None)
                               for words in (TRAIN, HELD_OUT))  # fmt: skip
    own = next((split for word in VALIDATION for split in splits if split.lower() == word), None)
    own = None if own == test_split else own
    if train_split is None:
        raise UsageError(f"hf:{name} has no split named train; it has {', '.join(splits)}")
    used = (train_split, own, test_split)
    image, part = _labels(splits[train_split], f"{name} {train_split}", name)
    classes = labels.classes_of([part])
    numbered = labels.numbered([part])
    train = _listing(splits[train_split], image, part, classes, numbered=numbered)
    held = []
    for split in filter(None, (own, test_split)):
        image, part = _labels(splits[split], f"{name} {split}", name)
        held.append(_listing(splits[split], image, part, classes, numbered=numbered))
    if held:
        test = held[-1]
        about = f"The Hugging Face data set {name}, with its {listed(list(filter(None, used)))} splits"
    else:
        train, test = train.split(classes)
        about = f"The Hugging Face data set {name}, fixed 80/20 split within each class"
    ignored = [Ignored(reason=f"split {split}", files=len(splits[split]), examples=()) for split in splits
               if split not in used]  # fmt: skip
    return assemble(name=f"hf:{name}", train=train, test=test, validation=held[0] if own else None, classes=classes,
                    loading=loading, about=about, ignored=ignored, split=test_split is None)  # fmt: skip


def _listing(split: Any, image: str, part: Labels, classes: tuple[str, ...], *, numbered: bool) -> Listing:
    import datasets

    encoded = split.cast_column(image, datasets.Image(decode=False)).select_columns([image])
    sources = Rows(hub_cells(encoded, image), part.where)
    return Listing.of(sources, labels.labels_of(part, sources, classes, numbered=numbered))


def _labels(split: Any, where: str, name: str) -> tuple[str, Labels]:
    """The image column, and the label column with the class names if the split has them."""
    import datasets

    features = split.features
    images = [key for key, kind in features.items() if isinstance(kind, datasets.Image)]
    found = [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    found += [key for key in labels.NAMES if key in features and key not in found]
    if not images or not found:
        raise UsageError(f"hf:{name} is not a labeled image data set; its columns are {', '.join(features)}")
    image = next((key for key in IMAGE_NAMES if key in images), images[0])
    label = next((key for key in labels.NAMES if key in found), found[0])
    kind = features[label]
    names = labels.class_names(kind.names, where) if isinstance(kind, datasets.ClassLabel) else None
    return image, Labels(where=where, values=labels.whole(split[label][:], where), names=names)
