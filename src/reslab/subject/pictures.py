"""Batches of images for looking inside a model: choice, number and normalization."""

from typing import Any

from reslab.errors import UsageError
from reslab.images.measured import load_images, normalization, resized_to, sizes
from reslab.nets.words import Loaded

__all__ = ["BATCH", "SAMPLES", "image_batches", "load_images", "sizes"]

SAMPLES, BATCH = 1000, 100  # defaults


def image_batches(
    loaded: Loaded, flags: Any, options: dict[str, Any], device: Any, dtype: Any, images: Any = None
) -> tuple[list[Any], dict[str, Any]]:
    """[(images (N, C, H, W), labels (N,)), ...] from a random sample of one part, and their description for look.json.

    `images`: the data set, if already loaded. Raises UsageError if the images do not fit the model.
    """
    from reslab.images.data import view_batches
    from reslab.images.data.parts import part_of
    from reslab.images.matching import fitted
    from reslab.images.train import trained_on
    from reslab.train.order import shuffled
    from reslab.train.workers import decoding_workers

    images = images or load_images(loaded.word, loaded.run, flags.data, options)
    if loaded.spec and flags.labels:
        images = fitted(loaded.spec, images, loaded.run.read_json("data.json").get("classes") if loaded.run else None)
    normalizer, source = normalization(loaded, flags.normalize, flags.mean_std, images)
    known = trained_on(loaded.run.folder if loaded.run else loaded.word, flags.data, images)
    part, which = part_of(images, flags.part, trained_on=known)
    if len(part) == 0:
        raise UsageError(f"the {which} part of {images.name} has no images")
    rows = shuffled(len(part), flags.seed)[: flags.samples or SAMPLES].sort().values
    stream = view_batches(part.subset(rows), batch=flags.batch or BATCH, normalize=normalizer, device=device,
                          scale=resized_to(flags.data, options), workers=decoding_workers(len(rows)))  # fmt: skip
    batches = [(views[0].to(dtype), labels) for views, labels, _ in stream]
    shape = list(batches[0][0].shape[1:])
    return batches, {**images.describe(), "part": which, "of": len(part), "normalize": source, "shape": shape}
