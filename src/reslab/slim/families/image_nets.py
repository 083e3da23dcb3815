"""The nets of one job on images: what builds each, and the run folders that trainings start from."""

from collections.abc import Callable
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.nets import ResNetSpec, Spec, VGGSpec
from reslab.nets.checkpoints import read_state
from reslab.run import Run
from reslab.slim.cutting.removal import Cut
from reslab.slim.earlier import Before
from reslab.slim.families.image_folder import write_folder
from reslab.slim.families.image_shapes import random_weights, spec_of_cut
from reslab.slim.families.image_subject import ImageSubject
from reslab.slim.record import Score
from reslab.train.folder import DONE, read_recipe
from reslab.train.recipe import Recipe

OURS = (ResNetSpec, VGGSpec)  # a copy of another library's model may still carry the spec of the original


class Nets:
    """The intact model and its cut ones. `recipe`: of healing; `evaluate`: the score of a net on the test part."""

    def __init__(
        self, subject: ImageSubject, recipe: Recipe, *, known: Before, example: Tensor,
        evaluate: Callable[[nn.Module], Score],
    ) -> None:  # fmt: skip
        self.subject, self.recipe, self.known = subject, recipe, known
        self.example, self.evaluate = example, evaluate
        self.specs = WeakKeyDictionary[nn.Module, Spec]({subject.loaded.model: subject.spec})
        self.cut: Cut | None = None  # of a model of another library

    def know(self, small: Cut, folder: Path) -> None:
        """Find the spec of a cut model; that of another library's is saved in folder/shape first."""
        if isinstance(getattr(small.model, "spec", None), OURS):
            return
        shape = folder / "shape"
        if not shape.is_dir():
            small.save(shape)  # whole or not at all
        self.specs[small.model] = spec_of_cut(small, shape, self.subject.data, name=self.subject.spec.name)
        self.cut = small

    def alike(self, net: nn.Module, other: nn.Module) -> None:
        """`net` has the shape of `other`, with other weights."""
        self.specs[net] = self.spec_of(other)

    def spec_of(self, net: nn.Module) -> Spec:
        """The spec that builds a net: its own, or the one it is known by. Raises UsageError if it has none."""
        found = getattr(net, "spec", None)
        if net in self.specs:
            return self.specs[net]
        if isinstance(found, OURS):
            return found
        raise UsageError(f"{type(net).__name__} cannot be trained further: no spec builds it")

    def save(self, model: nn.Module, folder: Path, *, what: str = "", known: Before | None = None) -> None:
        """Write the net as a finished run folder."""
        run = self.subject.run
        recipe = read_recipe(run) if run is not None and run.has("recipe.toml") else self.recipe
        names = {"intact": "the intact model", "cut": "blocks removed", "norms": "blocks removed, norms averaged"}
        words = f"reslab slim {self.subject.loaded.word}: {what or names.get(folder.name, folder.name)}"
        write_folder(folder, model, self.spec_of(model), subject=self.subject, recipe=recipe,
                     score=self.evaluate(model), what=words, known=known or self.known)  # fmt: skip

    def random(self, folder: Path, net: nn.Module, seed: int) -> Path | None:
        """The run folder with random weights of a cut model of another library; None for ours, which are built so."""
        if self.cut is None:
            return None
        start = folder.parent / f"random-s{seed}"
        if not Run(start).has(DONE):
            fresh = random_weights(self.subject.spec, self.cut.removed, self.example, seed=seed)
            self.alike(fresh, net)
            words = f"random weights (seed {seed})"
            self.save(fresh, start, what=words, known=Before(recipe=None, epochs=None, unknown=f"{start} has {words}"))
        return start

    def begin(self, folder: Path, what: str, net: nn.Module) -> Path:
        """The run folder with the weights of `net`, beside that of its training; it is written if it is missing."""
        averaged = folder.parent / "norms"
        start = folder.parent / "intact" if what == "intact-longer" else averaged
        start = start if start != averaged or Run(start).has(DONE) else folder.parent / "cut"
        if not Run(start).has(DONE):
            self.save(net, start)
        there, here = read_state(start / "weights.safetensors"), net.state_dict()
        if there.keys() != here.keys() or any(not torch.equal(there[key], here[key].cpu()) for key in here):
            raise UsageError(f"{start} holds another model than the one to be trained; choose another folder")
        return start
