"""What is known of the trainings that made a model: of its run, and of those that this started from."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from reslab.errors import UsageError
from reslab.run import Run
from reslab.slim.record import What
from reslab.stored.files import named
from reslab.train.folder import DONE, read_recipe
from reslab.train.recipe import Recipe, change
from reslab.train.start import ABOUT, START

KEY = "trainings"  # in results/train.json of a net that slimming made: what is known of all that made it


@dataclass(frozen=True, kw_only=True)
class Before:
    """The trainings that made a model."""

    recipe: Recipe | None  # of the first of them, from random weights; None: unknown
    epochs: float | None  # of all of them together
    unknown: str = ""  # why they are unknown

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def named(self, epochs: float | None) -> "Before":
        """With the length that the user names. Raises UsageError if another is known."""
        if epochs is None:
            return self
        if not epochs > 0:
            raise UsageError(f"trained_epochs must be positive, got {epochs:g}")
        if self.epochs is not None and self.epochs != epochs:
            raise UsageError(f"trained_epochs is for a model whose training is not known; this one's took "
                             f"{self.epochs:g} epochs, not {epochs:g}: leave trained_epochs out")  # fmt: skip
        return replace(self, epochs=epochs, unknown="")


def before(run: Run | None, what: str) -> Before:
    """What is known of the trainings that made a model. What is not known is not guessed."""
    if run is None:
        return Before(recipe=None, epochs=None, unknown=f"how {what} was trained is not known")
    done = run.read_json(DONE) if run.has(DONE) else {}
    if KEY in done:
        kept = done[KEY]
        recipe = None if kept["recipe"] is None else change(Recipe(), **kept["recipe"])
        return Before(recipe=recipe, epochs=kept["epochs"], unknown=kept["unknown"])
    if done.get("epochs") is None:
        return Before(recipe=None, epochs=None, unknown=f"the training of {named(run.folder)} is not finished")
    marked = run.has("data.json") and run.read_json("data.json").get("start")
    if not (marked or run.has(START) or run.has(ABOUT)):
        return Before(recipe=read_recipe(run), epochs=float(done["epochs"]))
    about = run.read_json(ABOUT) if run.has(ABOUT) else {}
    earlier = Run(str(about.get("word") or ""))
    if not earlier.has("spec.json"):
        why = f"{named(run.folder)} started from {about.get('of', 'weights')}, whose training is not known"
        return Before(recipe=None, epochs=None, unknown=why)
    return more(before(earlier, ""), float(done["epochs"]))


def more(known: Before, epochs: float) -> Before:
    """One training more."""
    return replace(known, epochs=None if known.epochs is None else known.epochs + epochs)


def remember(run: Run, known: Before, *, what: What, recipe: Recipe) -> None:
    """Store in a finished training of the comparison what made its net, so that it is known without earlier folders.

    `known`: of the intact model. A net from random weights has its own `recipe` and length alone.
    """
    done = run.read_json(DONE, "epochs")
    if KEY not in done:
        length = float(done["epochs"])
        made = Before(recipe=recipe, epochs=length) if what == "scratch" else more(known, length)
        run.write_json(DONE, {**done, KEY: made.as_dict()})
