"""What a training on images uses where nothing is asked for: net, recipe, length, batch and validation part.

Every rule is stated in docs/images.md, and every choice comes with its reason in words.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from reslab.errors import Sentence, arg
from reslab.images.data.images import ImageData
from reslab.images.sources.assemble import LARGE_SIDE
from reslab.images.task import train_size, validation_order
from reslab.train.naming import UNNAMED, plain
from reslab.train.rate import follow
from reslab.train.recipe import Recipe, change, merged, unchecked

MADE_FOR = {  # a published data set: the recipe that was made for it
    "digits": "digits", "cifar10": "paper-cifar", "cifar100": "paper-cifar", "mnist": "mnist",
    "fashion-mnist": "paper-cifar",
}  # fmt: skip
SMALL, MIDDLE = 48, 96  # pixels of the shorter side up to which a net with the CIFAR stem sees all of an image
MANY = 10_000  # training images from which a deeper net repays its cost
LARGE, PHOTO = 256, 224  # images of one size that are larger than LARGE are resized to ImageNet's size
SHARE, FEWEST, MOST = 0.1, 20, 0.2  # of the training images for validation: a tenth, at least 20, at most a fifth
LEAST_HELD = 5  # images; fewer say nothing
CHOOSING = 100  # validation images from which they choose among the nets of a training; fewer choose by luck
FITTED = ("epochs", "iterations", "batch", "validation", "keep", "pad", "flip", "lr")  # keys that `fit` may set


@dataclass(frozen=True, kw_only=True)
class Length:
    """How long to train: `images` in all, in at least `least` and at most `most` epochs."""

    images: int
    least: int
    most: int

    def epochs(self, n: int) -> int:
        """The number of epochs of n images."""
        return min(self.most, max(self.least, math.ceil(self.images / n)))


LENGTHS = {  # by recipe
    "finetune": Length(images=20_000, least=5, most=100),
    "photos": Length(images=120_000, least=30, most=200),
    "small": Length(images=200_000, least=30, most=200),
    "mnist": Length(images=200_000, least=8, most=200),
}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A recipe, what of it was given and differs from the default, and the reasons for what was chosen."""

    name: str  # of the recipe
    recipe: Recipe
    named: dict[str, Any]
    fitted: tuple[str, ...]  # keys whose values follow from the data
    reasons: tuple[str, ...]  # each a line


def net_for(data: ImageData, *, word: str = "") -> tuple[str, str]:
    """The name of the net for images of this size and number, and the reason."""
    H, W = data.shape[1:]
    side = min(H, W)
    if word in MADE_FOR:
        return "resnet20", "the smallest net of the paper's section 4.2"
    if side <= SMALL:
        return "resnet20", f"with the CIFAR stem, for images of {H} x {W}"
    if side <= MIDDLE:
        name = "resnet56" if len(data.train) >= MANY else "resnet20"
        return name, f"with the CIFAR stem, for {len(data.train):,} training images of {H} x {W}"
    return "resnet18", f"with the ImageNet stem, for images of {H} x {W}"


def recipe_for(data: ImageData, *, word: str = "", pretrained: bool = False) -> tuple[str, str]:
    """The name of the recipe for these images, and the reason."""
    if pretrained:
        return "finetune", "the net starts from trained weights"
    if word in MADE_FOR:
        return MADE_FOR[word], f"made for {word}"
    if data.digits:
        return "mnist", "gray digits"
    if min(data.shape[1:]) <= MIDDLE:
        return "small", "small images, random weights"
    return "photos", "photographs, random weights"


def size_for(data: ImageData) -> int | None:
    """The size to which images of one large size, or of several small sizes, are resized; None: as they are loaded."""
    if min(data.shape[1:]) > LARGE:
        return PHOTO
    sizes = data.surveys[0].sizes if data.surveys else Counter[tuple[int, int]]()
    side = int(median(min(pair) for pair in sizes.elements())) if len(sizes) > 1 else 0
    return side // 8 * 8 if SMALL < side < LARGE_SIDE else None


def choose(
    data: ImageData, *, word: str = "", recipe: str | None = None, changes: Mapping[str, Any] | None = None,
    pretrained: bool = False,
) -> Chosen:  # fmt: skip
    """The recipe to train with. `changes`: the recipe's keys that the caller sets, which are never chosen.

    Without `recipe` one is chosen; unless it is the one that was made for the data set `word`, then its batch, length,
    validation part and padding are fitted to the data. A recipe that sets neither epochs nor iterations leaves its
    length to the rule for it. The learning rate follows the batch. Raises UsageError as `recipe.read` does.
    """
    given = dict(changes or {})
    name, why = (recipe, "") if recipe is not None else recipe_for(data, word=word, pretrained=pretrained)
    base = unchecked(name)
    fits = recipe is None and (pretrained or word not in MADE_FOR)
    fitted, facts = fit(data, base, given, name=name) if fits else ({}, [])
    made = merged(merged(base, fitted), given)
    if not (made.epochs or made.iterations or given.keys() & {"epochs", "iterations"}):
        fitted["epochs"] = length_of(name).epochs(train_size(data, made))
        made = merged(made, {"epochs": fitted["epochs"]})
    rate = follow(made, base, given)
    made = change(made, **rate)
    lines: list[str] = [f"recipe {name} ({why}): {span(data, made)}"] if why else []
    lines += [Sentence(*[part for fact in facts for part in ("; ", fact)][1:])] if facts else []
    if rate:
        how = "in proportion" if made.optimizer == "sgd" else "in proportion to its square root"
        lines.append(f"learning rate {made.lr:g}: it follows the batch, {how} (recipe {name}: {base.lr:g} for batches "
                     f"of {base.batch})")  # fmt: skip
    named = {key: value for key, value in given.items() if names_it(key, value, base, given, fits=fits)}
    return Chosen(name=name, recipe=made, named=named, fitted=(*fitted, *rate), reasons=tuple(lines))


def names_it(key: str, value: Any, base: Recipe, given: Mapping[str, Any], *, fits: bool) -> bool:
    """Whether a given value goes into the folder's name, as another one may be used without it."""
    if key in UNNAMED:
        return False
    chosen = (fits and key in FITTED) or (key == "lr" and "batch" in given)
    return chosen or plain(value) != getattr(base, key)


def length_of(name: str) -> Length:
    """The rule for the length of a recipe; one of the user's is trained like `photos`."""
    return LENGTHS.get(name, LENGTHS["photos"])


def fit(
    data: ImageData, base: Recipe, given: Mapping[str, Any], *, name: str
) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    """What a chosen recipe changes for the data, without the keys that are given, and the reasons."""
    found: dict[str, Any] = {}
    reasons: list[str] = []
    if data.validation is not None:
        found["validation"] = 0.0  # it is taken from the data
    elif "validation" not in given:
        held = held_out(data.train.labels, classes=len(data.classes))
        if held != base.validation:
            found["validation"] = held
        images = f"{len(data.train):,} training images"
        reasons.append(f"validation part: {held:,} of the {images}" if held else
                       f"no validation part: the {images} are too few to set some aside")  # fmt: skip
    used = merged(base, {**found, **known(given, "validation")})
    n = train_size(data, used)
    held = len(data.train) - n if data.validation is None else len(data.validation)
    if held < CHOOSING and base.keep == "best" and "keep" not in given:
        found["keep"] = "last"
        if held:
            reasons.append(f"the last net is kept, as {held:,} validation images are too few to choose one")
    batch = batch_for(n, base.batch)
    if batch != base.batch and not given.keys() & {"batch", "repeats"}:
        found["batch"] = batch
    if not given.keys() & {"epochs", "iterations"}:
        found["epochs"] = length_of(name).epochs(n)
    pad = max(1, min(data.shape[1:]) // 8)
    if base.augment == "crop" and pad != base.pad and "pad" not in given:
        found["pad"] = pad
    if base.flip and "flip" not in given:
        mirrored, why = mirroring(data.classes)
        if not mirrored:
            found["flip"] = False
        if not mirrored or given.get("augment", base.augment) != "none":
            reasons.append(why)
    return found, reasons


def known(given: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {key: given[key]} if key in given else {}


def mirroring(classes: Sequence[str]) -> tuple[bool, str]:
    """Whether images of these classes may be mirrored, and the reason.

    Characters must not be, and classes named by one character each may be some. But 0 to 3, or 1 to 4, are how classes
    without names are numbered: only 0 to 9, 1 to 9 and other choices, such as 3 and 8, are taken as digits.
    """
    if not all(len(name) == 1 for name in classes):
        return True, "half of the images are mirrored, which fits unless left and right matter"
    if not all(name in "0123456789" for name in classes):
        return False, "no image is mirrored, as the classes are single characters"
    n, first = len(classes), int(min(classes))
    counted = sorted(map(int, classes)) == list(range(first, first + n)) and first in (0, 1)
    which = f"{min(classes)} to {max(classes)}" if counted and n > 1 else ", ".join(classes)
    if counted and max(classes) < "9":
        return True, Sentence(f"half of the images are mirrored, as {which} are taken as the numbers of classes and "
                              "not as digits; if left and right matter, set ", arg("flip", False))  # fmt: skip
    return False, Sentence(f"no image is mirrored, as the classes {which} are taken as digits; if they are none, set ",
                           arg("flip", True))  # fmt: skip


def held_out(labels: Tensor, *, classes: int) -> int:
    """How many of the training images to set aside: a tenth, at least 20, at most a fifth; 0 if that is too few.

    Fewer if a class would lose all its training images. `labels`: (N,), or (N, K) for several labels an image.
    """
    n = len(labels)
    held = round(max(SHARE * n, min(FEWEST, MOST * n)))
    while held >= LEAST_HELD and labels.dim() == 1 and empties(labels, held, classes=classes):
        held //= 2
    return held if held >= LEAST_HELD else 0


def empties(labels: Tensor, held: int, *, classes: int) -> bool:
    """Whether setting `held` images aside leaves a class without training images."""
    stay = validation_order(len(labels))[held:]
    counts, left = (torch.bincount(one, minlength=classes) for one in (labels, labels[stay]))
    return bool(((counts > 0) & (left == 0)).any())


def batch_for(n: int, batch: int) -> int:
    """The recipe's batch, halved until an epoch of n images has four batches or more; at least 2."""
    while batch > 2 and batch > n / 4:
        batch //= 2
    return max(2, batch)


def span(data: ImageData, recipe: Recipe) -> str:
    """The length of a training in words."""
    n = train_size(data, recipe)
    updates = recipe.length(n)
    return (f"{updates * recipe.batch / n:.3g} epochs = {updates:,} updates of {recipe.batch} images "
            f"({n:,} training images)")  # fmt: skip
