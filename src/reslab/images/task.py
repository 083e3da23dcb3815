"""Image classification as a task for the training loop."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import BrokenImage, ReslabError, Sentence, UsageError, arg
from reslab.images.data import (
    Augment,
    Encoded,
    ImageData,
    Normalize,
    Part,
    measure,
    sort_out,
    training_batches,
)
from reslab.images.evaluate import evaluate, share_of
from reslab.images.features import Features, Unchanged, compute
from reslab.images.losses import loss_for
from reslab.images.precise import average_norms, is_broken, readable
from reslab.images.small import Small
from reslab.progress import Phase, Progress
from reslab.train.batch import Batch
from reslab.train.order import Order
from reslab.train.recipe import Recipe
from reslab.train.signals import Interrupted
from reslab.train.tune import Choice
from reslab.train.workers import decoding_workers
from reslab.train.world import ALONE, World

CHANGING = (  # an image
    "augment", "policy", "brightness", "contrast", "saturation", "hue", "erase", "cutout", "mixup", "cutmix", "small",
)  # fmt: skip
SEVERAL = ("exact_error", "f1_micro", "f1_macro", "mean_ap")  # measured for several labels an image


class ImageTask:
    """Image classification: cross-entropy, top-1 error; or several labels an image: binary cross-entropy, their error.

    `objective` is the loss, with its label smoothing and class weights. `normalize`: that of the weights to start from;
    None: measured on the training part. `world`: the processes that share the batches and the evaluation.
    """

    unit = "images"
    shorter = Sentence("fewer ", arg("epochs"), ", a smaller ", arg("size"), ", another ", arg("net"),
                       " or, from trained weights, ", arg("freeze", "backbone"))  # fmt: skip

    def __init__(
        self, data: ImageData, recipe: Recipe, device: torch.device, *, normalize: Normalize | None = None,
        world: World = ALONE,
    ) -> None:  # fmt: skip
        self.recipe, self.device, self.world = recipe, device, world
        self.share = None if world.alone else world.part(recipe.batch)  # of each batch, that this process takes
        train, held = training_parts(data, recipe)
        self.parts: dict[str, Part | None] = {"train": train, "validation": held, "test": data.test}
        self.scored: dict[str, tuple[Tensor, Tensor]] = {}  # by part, of its last evaluation: scores (N, K) and labels
        self.train, self.examples, self.validates = train, len(train), held is not None
        self.objective = loss_for(recipe, train.labels, classes=len(data.classes))
        balanced = train.labels if recipe.sampling == "balanced" else None
        self.order = Order(n=len(train), batch=recipe.batch, seed=recipe.seed, repeats=recipe.repeats, labels=balanced)
        self.normalize = (normalize or measure(train, mean=recipe.mean, std=recipe.std)).to(device)
        self.augment, self.classes = Augment.of(recipe), len(data.classes)
        self.small = Small.of(recipe, shape=data.shape, examples=self.examples)
        self.whole_from = self.small.until  # the iteration from which batches cost what evaluation does
        self.features: dict[str, Features] = {}  # by part, if they are computed once: then of the module `head` alone
        self.head = ""

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        recipe = self.recipe
        if self.features:
            return self.features["train"].batches(self.order, start, stop, self.device, share=self.share)
        return self.small.sized(training_batches(
            self.train, batch=recipe.batch, start=start, stop=stop, seed=recipe.seed, augment=self.augment,
            normalize=self.normalize, device=self.device, workers=recipe.workers, classes=self.classes,
            order=self.order, share=self.share,
        ))  # fmt: skip

    def verify(self) -> None:
        """Read every validation and test image now: a broken one would stop the run after its first epoch.

        Raises BrokenImage.
        """
        for part in (self.parts["validation"], self.parts["test"]):
            broken = sort_out(part)[1] if isinstance(part, Encoded) else ()
            if broken:
                raise BrokenImage(broken[0].name, broken[0].reason, others=len(broken) - 1)

    def rows_to_cache(self) -> int:
        return sum(len(part) for part in self.parts.values() if part is not None)

    def varies(self) -> str:
        on = {key: value for key in CHANGING if (value := getattr(self.recipe, key)) != getattr(Recipe(), key)}
        named = ", ".join(f"{key} {value}" for key, value in on.items())
        return f"the images are augmented ({named})" if self.augment.random or self.recipe.small else ""

    def cache(
        self, extract: Callable[[Tensor], Tensor], head: str, *, progress: Progress, stopped: Callable[[], int]
    ) -> str:
        shares = [share_of(part, self.world) for part in self.parts.values() if part is not None]
        total, found, at = sum(map(len, shares)), {}, 0

        def done(images: int) -> None:
            nonlocal at
            at += images
            progress(at, total, Phase("computing the features of all images, once"))
            if stopped():
                raise Interrupted("stopped while the features were computed; run the same command again", stopped())

        for name, part in self.parts.items():
            if part is not None:
                found[name] = compute(part, extract, normalize=self.normalize, device=self.device, done=done,
                                      workers=decoding_workers(len(part)), skip=name == "train",
                                      world=self.world)  # fmt: skip
        self.features, self.head = found, head
        words = {"train": "training", "validation": "validation", "test": "test"}
        return ", ".join(f"{len(one.labels):,} {words[name]}" for name, one in found.items()) + " images"

    def rows(self, iteration: int) -> list[int]:
        return self.order.rows(iteration).tolist()

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        return self.objective(out, y)

    def weight(self, y: Tensor) -> Tensor:
        """What the mean of `loss` over a batch divides by, a scalar: losses of parts of a batch are weighted by it."""
        return self.objective.weight(y)

    def shares(self, y: Tensor) -> Tensor:
        """Each image's weight in that mean, (B,)."""
        return self.objective.shares(y)

    def wrong(self, out: Tensor, y: Tensor) -> Tensor:
        return self.objective.wrong(out, y)

    def evaluate(self, net: nn.Module, part: str, choice: Choice) -> dict[str, Any] | None:
        images = self.parts[part]
        if images is None:
            return None
        normalize = self.normalize
        if self.features:
            images = self.features[part].part()
            net, normalize, choice = net.get_submodule(self.head), Unchanged(), replace(choice, memory_format="NCHW")
        try:
            found = evaluate(net, images, normalize=normalize, device=self.device, choice=choice,
                             workers=self.recipe.workers, world=self.world)  # fmt: skip
        except ReslabError as error:
            if not is_broken(error) or part != "train" or not isinstance(images, Encoded):
                raise
            self.parts["train"] = readable(images)
            return self.evaluate(net, part, choice)
        if part != "train" and found.scores is not None:
            self.scored[part] = (found.scores, images.labels)
        line = {"loss": found.loss, "error": found.error, "top5": found.top5, "n": found.n, "balanced": found.balanced,
                "majority": found.majority}  # fmt: skip
        return line | {key: getattr(found, key) for key in (SEVERAL if found.labels is not None else ())}

    def average_norms(self, net: nn.Module) -> None:
        average_norms(net, self.train, self.normalize, self.device, batch=self.recipe.batch, world=self.world)


def set_aside(n: int, recipe: Recipe) -> int:
    """Number of the n training images that the recipe sets aside for validation."""
    held = max(1, round(recipe.validation * n)) if 0 < recipe.validation < 1 else int(recipe.validation)
    if held >= n:
        raise UsageError(f"validation takes {held} of {n} training images, which leaves none to train on")
    return held


def training_parts(data: ImageData, recipe: Recipe) -> tuple[Part, Part | None]:
    """The training part and the validation part: the data's own or, without one, what the recipe sets aside."""
    return split(data.train, recipe) if data.validation is None else (data.train, data.validation)


def train_size(data: ImageData, recipe: Recipe) -> int:
    """Number of images that are trained on."""
    return len(data.train) - (set_aside(len(data.train), recipe) if data.validation is None else 0)


def split(train: Part, recipe: Recipe) -> tuple[Part, Part | None]:
    """The training part and the validation part taken from it by the recipe: the same images for every seed."""
    n, held = len(train), set_aside(len(train), recipe)
    if not held:
        return train, None
    order = validation_order(n)
    return train.subset(order[held:].sort().values), train.subset(order[:held].sort().values)


def validation_order(n: int) -> Tensor:
    """The order in which n training images are set aside: a permutation of 0..n-1, the same for every seed."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))
