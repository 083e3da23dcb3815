"""What a family of models (images, questions, texts) brings to slimming: data, a measure, a training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

from reslab.look.measure import Batch, Metric
from reslab.progress import Progress
from reslab.slim.record import Arm, Score, What

if TYPE_CHECKING:
    from reslab.slim.cutting.removal import Cut


class Family(Protocol):
    """The parts of slimming that depend on the kind of model; one object per model and data."""

    name: str  # images, questions, texts
    measure: str  # of `evaluate`: "error", "f1", "loss"
    lower_is_better: bool
    model: nn.Module  # the intact one
    heal_epochs: float  # the length of healing, unless the user names one
    trained_epochs: float | None  # of all trainings that made the intact model; None: unknown
    unknown: str  # why they are unknown, in words; "" if they are known

    @property
    def word(self) -> str:
        """The word that names the model; "" if none does."""
        return ""

    @property
    def title(self) -> str:
        """The model's name, for people."""
        return type(self.model).__name__

    @property
    def example(self) -> Any:
        """A small input of the model."""

    @property
    def examples(self) -> int:
        """How many are in the training part."""

    def batches(self) -> list[Batch]:
        """The planning data: validation, or a part of the training data; never the test part."""

    def metrics(self) -> list[str | Metric]:
        """What the plan measures on them; the first is what its steps are compared by."""

    @property
    def data_name(self) -> str:
        """The name of the data set."""

    def planned_on(self) -> str:
        """Which data and which part of them `batches` are, in words."""

    def identity(self) -> dict[str, Any]:
        """What the numbers of a job depend on beside its target (slim/identity.py): not its seeds, nor its length."""

    def average_norms(self, model: nn.Module) -> bool:
        """Average BatchNorm statistics over the training part, in place; False if the model has none."""

    def evaluate(self, model: nn.Module) -> Score:
        """On the test part."""

    def know(self, small: "Cut", folder: Path) -> None:
        """Take note of a cut model before it is saved and trained; what that needs is kept in the job's folder.

        Raises UsageError for one that cannot be trained.
        """
        return

    def alike(self, net: nn.Module, other: nn.Module) -> None:
        """Take note that `net` has the shape of `other`, with other weights."""
        return

    def generation(self, model: nn.Module) -> dict[str, Any] | None:
        """What a language model writes beside the intact one (slim/generating.py); None for other models."""
        return None

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write a model of the cut's shape as a folder of this family (a run folder, a Hugging Face folder)."""

    def train(
        self, folder: Path, *, what: What, net: nn.Module, teacher: nn.Module | None, epochs: float, seed: int,
        progress: Progress,
    ) -> Arm:  # fmt: skip
        """One training of the comparison in a run folder of its own, found again if finished, resumed if not.

        "healed": the cut net `net`, distilled from `teacher`; "intact-longer": the intact model `net`, by the same
        recipe, in the same order, as long; "scratch": the shape of the cut net `net` from random weights, by the
        recipe of the first training; its `epochs` are those of both trainings together.
        """
