"""Which images of a data set a trained net is measured on; a run's own data are split as the run split them."""

from pathlib import Path

from reslab.images.data import ImageData, Part
from reslab.images.data.parts import part_of
from reslab.images.task import training_parts
from reslab.images.train import trained_on, validation_part
from reslab.run import Run
from reslab.stored.shards import Name
from reslab.train.folder import read_recipe


def measured_part(model: Path | str, images: ImageData, asked: Name | None, *, word: str | None) -> tuple[Part, str]:
    """The part that was asked for, and its name, as `part_of` finds it; also what a run's recipe set aside.

    `word`: the data's, None for the run's own. Raises UsageError without a validation part.
    """
    if asked == "validation":
        return validation_part(model, images), "validation"
    if asked == "train":
        return trained_part(model, images), "train"
    return part_of(images, asked, trained_on=trained_on(model, word, images))


def trained_part(model: Path | str, images: ImageData) -> Part:
    """The training images: of a run's own data, without those that its recipe set aside for validation."""
    run = Run(model)
    if not (run.has("recipe.toml") and run.has("data.json")):
        return images.train
    own = run.read_json("data.json").get("fingerprint") == images.fingerprint
    return training_parts(images, read_recipe(run))[0] if own else images.train
