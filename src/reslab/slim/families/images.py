"""Slimming models of images: a run, a checkpoint, or a model of another library with images of your own."""

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import ReslabWarning, UsageError
from reslab.images.data import Part, view_batches
from reslab.images.evaluate import evaluate
from reslab.images.heads import BETTER
from reslab.images.precise import average_norms
from reslab.images.task import ImageTask, split, training_parts
from reslab.images.train import OnImages, prepare
from reslab.images.train import train as train_alone
from reslab.look.graph.example import scores
from reslab.look.graph.passes import as_it_was
from reslab.look.lesion.renorm import BATCHNORM
from reslab.look.measure import Batch, Metric
from reslab.nets.models import as_scores
from reslab.progress import Progress, silent
from reslab.run import Run
from reslab.slim.cutting.removal import Cut
from reslab.slim.earlier import before, remember
from reslab.slim.families.image_nets import Nets
from reslab.slim.families.image_recipes import heal_recipe, scratch_recipe, settled
from reslab.slim.families.image_subject import ImageSubject
from reslab.slim.family import Family
from reslab.slim.finding import find_blocks
from reslab.slim.healing.beside import Pair
from reslab.slim.healing.distilled import Distillation
from reslab.slim.healing.divergence import Divergence, of_classes, of_labels
from reslab.slim.healing.family import Taught, mark_taught
from reslab.slim.healing.pairs import pairs_of
from reslab.slim.identity import identity
from reslab.slim.record import Arm, Score, What
from reslab.train.checkpoint import as_file
from reslab.train.folder import pick_device, read_recipe
from reslab.train.life import train_run
from reslab.train.order import shuffled
from reslab.train.recipe import Recipe, change
from reslab.train.start import mark_of
from reslab.train.workers import decoding_workers

AVERAGED = 10_000  # training images, at most, over which norms are averaged: enough for means of channels
SAMPLES, BATCH = 1000, 100  # images that the plan is measured on, by default, and in one batch


class Images(Family):
    """The family of image models: see `slim/family.py`.

    `changes`: keys of the recipe of healing that the caller sets. `how`: distillation. `trained_epochs`: of the intact
    model, where its training is not known. `samples` of the planning data are measured.
    """

    name, measure, lower_is_better = "images", "error", True

    def __init__(
        self, subject: ImageSubject, *, device: str = "auto", samples: int = SAMPLES, seed: int = 0,
        changes: Mapping[str, Any] | None = None, how: Distillation | None = None, trained_epochs: float | None = None,
    ) -> None:  # fmt: skip
        if len(subject.data.test) == 0:
            raise UsageError(f"{subject.data.name} has no test images to compare the models on")
        self.subject, self.samples, self.seed, self.how = subject, samples, seed, how or Distillation()
        self.how.check()
        self.device = pick_device(device)
        self.model: nn.Module = subject.loaded.model.to(self.device).eval()
        recipe, self.recipe_from = heal_recipe(subject, changes or {})
        self.recipe = settled(recipe, self.device)
        self.train_part, self.held = training_parts(subject.data, self.recipe)
        self.known = before(subject.run, subject.loaded.word).named(trained_epochs)
        self.trained_epochs, self.unknown = self.known.epochs, self.known.unknown
        self.heal_epochs = self.recipe.length(len(self.train_part)) * self.recipe.batch / len(self.train_part)
        self.heal_epochs = self.recipe.epochs or round(self.heal_epochs, 3)
        self.normalize = subject.normalize.to(self.device)
        self.nets = Nets(subject, self.recipe, known=self.known, example=self.example,
                         evaluate=self.evaluate)  # fmt: skip
        self.scores: dict[str, Score] = {}  # by the digest of the weights
        self.pairs: tuple[Pair, ...] = ()  # of the cut net's blocks with the intact one's, if features are compared

    @property
    def word(self) -> str:
        return self.subject.loaded.word

    @property
    def title(self) -> str:
        """The model's name."""
        return self.subject.spec.name

    @property
    def examples(self) -> int:
        return len(self.train_part)

    @cached_property
    def example(self) -> Tensor:
        """Two images of the training part."""
        views, _, _ = next(iter(self.views(self.train_part.subset(torch.arange(min(2, len(self.train_part)))))))
        return views[0]

    def views(self, part: Part) -> Iterator[tuple[list[Tensor], Tensor, Any]]:
        return view_batches(part, batch=BATCH, normalize=self.normalize, device=self.device,
                            workers=decoding_workers(len(part)))  # fmt: skip

    def planning(self) -> tuple[Part, str]:
        """The part that the plan is measured on, and its name."""
        if self.subject.data.validation is not None:
            return self.subject.data.validation, "validation"
        if self.held is None:
            return self.train_part, "training"
        if not self.subject.own or self.subject.run is None:
            return self.held, "held-out"
        _, unseen = split(self.subject.data.train, read_recipe(self.subject.run))
        if unseen is None:
            return self.held, "training"
        return (unseen if len(unseen) < len(self.held) else self.held), "held-out"

    def batches(self) -> list[Batch]:
        """Some images of the planning part, chosen by the seed, with their labels."""
        return self.planned

    @cached_property
    def planned(self) -> list[Batch]:
        part, _ = self.planning()
        rows = shuffled(len(part), self.seed)[: self.samples].sort().values
        alone = self.subject.data.several
        found: list[Batch] = [(views[0], None if alone else labels.to(self.device)) for views, labels, _ in
                              self.views(part.subset(rows))]  # fmt: skip
        if self.subject.run is None and not self.subject.loaded.initial and not alone:
            warn_of_chance(self.model, found, self.subject.loaded.word, self.subject.data.name)
        return found

    def metrics(self) -> list[str | Metric]:
        """Loss and error; for several labels an image, how far the outputs move."""
        return ["drift"] if self.subject.data.several else ["loss", "error"]

    @property
    def data_name(self) -> str:
        return self.subject.data.name

    def planned_on(self) -> str:
        part, which = self.planning()
        name, n = self.subject.data.name, min(self.samples, len(part))
        where = {
            "validation": f"the validation images of {name}",
            "held-out": f"the images of {name} that were set aside from the training part for validation",
            "training": f"training images of {name}, as no others were set aside: the model has seen them, so their "
                        "errors are too low",
        }[which]  # fmt: skip
        some = f" ({n:,} of {len(part):,}, sampled at random)" if n < len(part) else ""
        unseen = "; whether the model was trained on them is not known" if self.subject.run is None else ""
        return where + some + (unseen if which != "training" else "")

    def identity(self) -> dict[str, Any]:
        return identity(self.recipe, self.how, data=self.subject.data.fingerprint, trained_epochs=self.trained_epochs)

    def average_norms(self, model: nn.Module) -> bool:
        if not any(isinstance(one, BATCHNORM) and one.running_mean is not None for one in model.modules()):
            return False
        rows = shuffled(len(self.train_part), self.seed)[:AVERAGED].sort().values
        average_norms(model, self.train_part.subset(rows), self.normalize, self.device, batch=self.recipe.batch)
        return True

    def evaluate(self, model: nn.Module) -> Score:
        """Error (%) on the test images, with Wilson's interval."""
        state = mark_of(as_file(model.state_dict()))
        if state not in self.scores:
            self.scores[state] = self.measured(model)
        return self.scores[state]

    def measured(self, model: nn.Module) -> Score:
        with scored(model):
            found = evaluate(model, self.subject.data.test, normalize=self.normalize, device=self.device)
        more = {"loss": found.loss, "top5": found.top5, "balanced": found.balanced, "majority": found.majority,
                "several": float(self.subject.data.several) or None}  # fmt: skip
        return Score(value=found.error, low=found.error_low, high=found.error_high, n=found.n,
                     more={key: value for key, value in more.items() if value is not None})  # fmt: skip

    def know(self, small: Cut, folder: Path) -> None:
        """Take note of a cut model: of another library's, find out what builds it, which is saved in the folder."""
        self.nets.know(small, folder)
        if self.how.features:
            self.pairs = pairs_of(small.model, self.model, find_blocks(self.model, self.example), small.removed)

    def alike(self, net: nn.Module, other: nn.Module) -> None:
        """`net` has the shape of `other`, with other weights."""
        self.nets.alike(net, other)

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the net as a finished run folder."""
        self.nets.save(model, folder)

    def recipe_for(self, what: What, *, epochs: float, seed: int) -> Recipe:
        """The recipe of one training of the comparison."""
        heal = change(self.recipe, seed=seed, epochs=epochs, iterations=0)
        if what == "scratch":
            return scratch_recipe(self.subject, self.known, epochs=epochs, heal=heal)
        return heal

    def train(
        self, folder: Path, *, what: What, net: nn.Module, teacher: nn.Module | None, epochs: float, seed: int,
        progress: Progress = silent,
    ) -> Arm:  # fmt: skip
        """See `slim/family.py`. Beside the folder lie the run folders that trainings start from: intact, cut, norms."""
        data = self.subject.data
        recipe = self.recipe_for(what, epochs=epochs, seed=seed)
        start = self.nets.begin(folder, what, net) if what != "scratch" else self.nets.random(folder, net, seed)
        run = prepare(folder, net=self.nets.spec_of(net), data=data, word=self.subject.word, recipe=recipe,
                      options=dict(self.subject.options), command=f"reslab slim {self.subject.loaded.word}",
                      start=start)  # fmt: skip
        place = str(self.device)
        if teacher is not None and what == "healed":
            mark_taught(run, teacher, self.how)
            family = Taught(OnImages(data), teacher, self.how, pairs=self.pairs, divergence=divergence_of)
            with scored(teacher):  # the copy beside the student gives scores, too
                result = train_run(run.folder, family, device=place, progress=progress)
        else:
            result = train_alone(run.folder, data=data, device=place, progress=progress)
        remember(run, self.known, what=what, recipe=recipe)
        return self.arm(run, result, what, seed)

    def arm(self, run: Run, result: Mapping[str, Any], what: What, seed: int) -> Arm:
        """The arm of a finished training, measured as the models without training are: in fp32."""
        from reslab.images.model import load

        score = self.evaluate(load(run.folder).to(self.device))
        return Arm(what=what, score=score, seed=seed, epochs=float(result["epochs"]), seconds=float(result["seconds"]),
                   run=run.folder.name)  # fmt: skip


def divergence_of(task: ImageTask) -> Divergence:
    """That of one class an image, or of labels each on its own."""
    one = task.objective
    return of_labels if one.several or one.kind == "sigmoid" else of_classes


def warn_of_chance(model: nn.Module, batches: Sequence[Batch], word: str, name: str) -> None:
    """Warn if a model whose classes have no names errs about as often as if its classes were others than the data's."""
    labels = torch.cat([y for _, y in batches if y is not None])
    with torch.no_grad(), as_it_was(model):
        guessed = torch.cat([scores(model(x)).argmax(dim=1) for x, _ in batches])
    error, most = (guessed != labels).double().mean().item(), 1 - labels.bincount().max().item() / len(labels)
    if error >= BETTER * most:
        warnings.warn(ReslabWarning(f"{word} errs on {100 * error:.1f} % of these images, and always predicting the "
                                    f"most frequent class would on {100 * most:.1f} %: its classes may be others than "
                                    f"those of {name}, or in another order"), stacklevel=3)  # fmt: skip


@contextlib.contextmanager
def scored(model: nn.Module) -> Iterator[None]:
    """Inside, the model gives scores, also one of transformers, which gives objects."""
    handle = model.register_forward_hook(as_scores)
    try:
        yield
    finally:
        handle.remove()
