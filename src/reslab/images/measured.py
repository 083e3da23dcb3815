"""The images that a model is measured on, which need not be a run: the data, their size and their normalization."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab.errors import UsageError, arg
from reslab.nets.words import Loaded
from reslab.run import Run

TEXTS = (".txt", ".md", ".json", ".jsonl")


def resized_to(word: str | None, options: dict[str, Any]) -> int | None:
    """The size to which batches are resized: published data sets load at their own size, which --size then changes."""
    from reslab.images.data.words import WORDS

    size = options.get("size")
    if size is not None and size < 1:
        raise UsageError(f"size must be positive, got {size}")
    return size if word in WORDS else None


def load_images(model: str, run: Run | None, word: str | None, options: dict[str, Any]) -> Any:
    """The data set that --data names, or that of the run."""
    from reslab.images.data import load
    from reslab.images.train import like_run, stored_data

    if word is not None:
        if Path(word).suffix.lower() in TEXTS:
            raise UsageError(f"{model} takes images, but {word} is a file of texts")
        options = {k: v for k, v in options.items() if k != "size" or resized_to(word, options) is None}
        return load(word, **{**({} if run is None else like_run(run, word)), **options})
    if run is None:
        raise UsageError(
            f"{model} needs data: give ",
            arg("data", "cifar10"),
            ", a folder or a parquet file, or use ",
            arg("random", True),
        )
    if options:
        given = [part for key, value in options.items() for part in (arg(key, value), ", ")][:-1]
        raise UsageError(f"{model} is a run folder and has its own data: remove ", *given, ", or add ", arg("data"))
    return stored_data(run)


def sizes(images: Any, word: str, options: dict[str, Any]) -> dict[str, int]:
    """The properties of the images that a net depends on: classes, channels, size."""
    channels, height, width = images.shape
    size = resized_to(word, options) or min(height, width)
    return {"classes": len(images.classes), "channels": channels, "size": size}


def normalization(loaded: Loaded, asked: Any, mean_std: Sequence[float] | None, images: Any) -> tuple[Any, str]:
    """The run's; else the requested; else the model's own; else ImageNet's (the data's own for an untrained net)."""
    import torch

    from reslab.images.data import Normalize, measure
    from reslab.images.data.normalize import given

    if asked and mean_std:
        raise UsageError(arg("normalize"), " and ", arg("mean_std"), " exclude each other: remove one")
    if loaded.run:
        if mean_std:
            raise UsageError(f"{loaded.word} is a run folder and has its own normalization: remove ", arg("mean_std"))
        if asked:
            raise UsageError(f"{loaded.word} is a run folder and has its own normalization: remove ", arg("normalize"))
        return Normalize.from_dict(loaded.run.read_json("normalize.json", "mean", "std")), "the run's"
    if mean_std:
        return given(mean_std, channels=images.shape[0]), f"mean and std {' '.join(f'{v:g}' for v in mean_std)}"
    if loaded.mean_std and not asked:
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in loaded.mean_std)
        if len(mean) not in (1, images.shape[0]):
            raise UsageError(f"{loaded.word} takes images with {len(mean)} channels, but {images.name} has "
                             f"{images.shape[0]}")  # fmt: skip
        return Normalize(mean, std), "the model's own"
    mode: Any = asked or ("channel" if loaded.initial and loaded.spec else "imagenet")
    if mode == "imagenet" and not asked and images.shape[0] != 3:
        channels = f"{images.shape[0]} channel{'s' * (images.shape[0] != 1)}"
        raise UsageError(f"ImageNet's mean is for 3 channels, but {images.name} has {channels}; use ",
                         arg("normalize", "channel"), " or pixel, whichever the model was trained with")  # fmt: skip
    return measure(images.train, mean=mode, std=mode == "imagenet"), mode
