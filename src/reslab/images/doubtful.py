"""Warnings of settings for images that can be run but are probably not meant."""

import warnings

from reslab.errors import ReslabWarning, arg, tell
from reslab.images.data import Augment, ImageData, Pixels
from reslab.images.data.counts import class_counts, majority_error
from reslab.images.sources.assemble import PHOTO
from reslab.images.task import train_size, training_parts
from reslab.train.cores import usable_cores
from reslab.train.recipe import Recipe
from reslab.train.schedule import Schedule

COSTLY = 512  # pixels of the shorter side from which a warning is due: five times the work of PHOTO
RARE = 5  # validation images of a class; fewer hardly say which net is better at it
SHIFTED = 32  # pixels by which TrivialAugment shifts an image at most


def warn_of_random_layers(recipe: Recipe, *, started: bool) -> None:
    """Warn if layers of random weights would be frozen: the net starts from no other weights."""
    if recipe.freeze != "none" and not started:
        warnings.warn(ReslabWarning("the frozen layers keep random weights, from which little can be learned; start "
                                    "from trained weights with ", arg("start", "FILE")), stacklevel=3)  # fmt: skip


def warn_of_doubtful_settings(recipe: Recipe, data: ImageData) -> None:
    """Warn of settings that can be run but are probably not meant."""
    images = len(data.train)
    if data.validation is not None and recipe.validation:
        tell("%s has a validation part, so none of its training images are set aside (the recipe's validation %s is "
             "not used)", data.name, recipe.validation)  # fmt: skip
    if data.digits and recipe.flip and recipe.augment != "none":
        warnings.warn(ReslabWarning("the recipe mirrors half of the images, and a mirrored digit is not a digit: set ",
                                    arg("flip", False)), stacklevel=3)  # fmt: skip
    tell_of_unequal_classes(recipe, data)
    tell_of_rare_validation(recipe, data)
    H, W = data.shape[1:]
    if min(H, W) >= COSTLY:
        warnings.warn(
            ReslabWarning(f"the images stay at {H} x {W}: training on them takes about {H * W / PHOTO**2:.0f} times as "
                          f"long as on {PHOTO} x {PHOTO}; to resize them, set ", arg("size", PHOTO)), stacklevel=3,
        )  # fmt: skip
    warn_of_augmentation(recipe, data)
    cores = usable_cores()
    if recipe.batch > images:
        warnings.warn(f"a batch of {recipe.batch} holds each of the {images} training images more than once",
                      stacklevel=3)  # fmt: skip
    if recipe.threads > cores:
        warnings.warn(f"{recipe.threads} threads on {cores} cores are slower than {cores}", stacklevel=3)
    schedule = Schedule(recipe, examples=train_size(data, recipe))
    if (
        schedule.missed and max(recipe.drops) >= 1
    ):  # in a run of a few steps, shares may coincide with its end; that is not warned about
        missed = ", ".join(f"{drop:,}" for drop in schedule.missed)
        warnings.warn(
            ReslabWarning(
                f"the run ends at iteration {schedule.total:,}, before its learning rate drops at {missed}; ",
                arg("drops", (0.5, 0.75)), " sets drops as shares of the run",
            ),
            stacklevel=3,
        )  # fmt: skip


def tell_of_unequal_classes(recipe: Recipe, data: ImageData) -> None:
    """Say which class is most of the training images, if it is so frequent that an error alone would say little."""
    if data.several or recipe.class_weights != "none" or recipe.sampling != "shuffled":
        return
    counts, n = class_counts(data.train.labels, classes=len(data.classes)), len(data.train)
    least = majority_error(counts, n)
    if least is not None and least <= 50 * (1 - 1 / len(counts)):
        tell("%s of the %s training images are of class %s, so the error alone says little; class_weights or sampling "
             "set to balanced makes every class count alike", f"{max(counts):,}", f"{n:,}",
             data.classes[counts.index(max(counts))])  # fmt: skip


def tell_of_rare_validation(recipe: Recipe, data: ImageData) -> None:
    """Say so if the best net is chosen by the balanced error, and the validation part has few images of a class."""
    weighed = recipe.class_weights != "none" or recipe.sampling == "balanced"
    steered = recipe.keep == "best" or recipe.early_stop
    if data.several or not (weighed and steered):
        return
    held = training_parts(data, recipe)[1]
    if held is None:
        return
    counts = class_counts(held.labels, classes=len(data.classes))
    least = min(counts)
    if least < RARE:
        tell("the validation part has %s image%s of class %s, so the balanced error, which chooses the best net, is "
             "uncertain; a larger validation part, or one of your own with all classes, says more", least or "no",
             "" if least == 1 else "s", data.classes[counts.index(least)])  # fmt: skip


def warn_of_augmentation(recipe: Recipe, data: ImageData) -> None:
    """Warn of augmentation that harms these images or does nothing to them."""
    C, H, W = data.shape
    if data.digits and Augment.of(recipe).operations:
        warnings.warn(ReslabWarning("the recipe's policy rotates images, and a rotated 6 is a 9: set ",
                                    arg("policy", "none")), stacklevel=4)  # fmt: skip
    elif recipe.policy == "trivial" and min(H, W) < SHIFTED:
        warnings.warn(ReslabWarning(f"TrivialAugment shifts images by up to {SHIFTED} pixels, so some of these "
                                    f"{H} x {W} images leave the frame: set ", arg("policy", "rand"),
                                    ", whose shifts are shares of the image"), stacklevel=4)  # fmt: skip
    if C == 1 and (recipe.saturation or recipe.hue):
        warnings.warn("saturation and hue change nothing here, since these images are gray", stacklevel=4)
    if (recipe.mixup or recipe.cutmix) and recipe.batch == recipe.repeats:
        warnings.warn("mixup and cutmix change nothing here, since they mix the images of a batch, and each batch "
                      "holds one image", stacklevel=4)  # fmt: skip
    others = sum(n for size, n in data.surveys[0].sizes.items() if size != (H, W)) if data.surveys else 0
    if recipe.augment == "resized-crop" and isinstance(data.train, Pixels) and others:
        warnings.warn(f"the random crops are taken from images that were already resized and center-cropped to "
                      f"{H} x {W} pixels; to crop the original images, load the data with crops=True",
                      stacklevel=4)  # fmt: skip
