"""What is asked for, and what is trained: the plan from which a run folder is made and named."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from reslab.images.data import ImageData
from reslab.images.data.arrays import WORD
from reslab.images.defaults import Chosen
from reslab.images.train import prepare
from reslab.nets import Spec
from reslab.run import Run
from reslab.train.naming import changed, short, source, words

DIGITS = "digits"  # the data where nothing names others
UNNAMED = ("root", "download", "memory", "crops")  # options of the data on which no result depends


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a caller asks for; None and {}: not given, so it is chosen."""

    data: str | ImageData | None = None  # not given: those of the run to start from, otherwise digits
    net: str | None = None
    net_options: Mapping[str, Any] = field(default_factory=dict)
    recipe: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the recipe
    options: Mapping[str, Any] = field(default_factory=dict)  # of the data
    start: str | None = None  # a run or file whose weights the training starts from
    command: str = ""

    @property
    def word(self) -> str:
        return DIGITS if self.data is None else self.data if isinstance(self.data, str) else WORD


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a run folder is made from."""

    asked: Asked
    data: ImageData
    options: Mapping[str, Any]  # with which the data were loaded
    net: Spec
    base: Spec  # the net without the options that were given
    word: str  # of the net
    chosen: Chosen
    reasons: tuple[str, ...]  # what was chosen and why, each a line

    def prepare(self, folder: Path | str) -> Run:
        """Make the run folder, or find the same run in it. Raises UsageError as `images.train.prepare` does."""
        asked = self.asked
        return prepare(folder, net=self.net, data=self.data, word=asked.word, recipe=self.chosen.recipe,
                       options=dict(self.options), command=asked.command, start=asked.start, fitted=self.chosen.fitted,
                       choices={"net": self.word, "recipe": self.chosen.name, "reasons": list(self.reasons)},
                       )  # fmt: skip

    def names(self) -> tuple[str, ...]:
        """The name of the folder under runs/, then those of older versions, which left out some of the changes."""
        asked = self.asked
        data = {key: value for key, value in asked.options.items() if key not in UNNAMED}
        size = {key: value for key, value in data.items() if key == "size"}
        old = changed(asked.changes, self.chosen.name)
        first = f"{short(self.data.name)}-{short(self.word)}-{short(Path(self.chosen.name).stem)}"
        mark, start = f"-s{self.chosen.recipe.seed}", source(asked.start)
        return (f"{first}{words({**self.named_net(), **data, **self.chosen.named, **start})}{mark}",
                f"{first}{words({**self.named_net(), **size, **old, **start})}{mark}", f"{first}{mark}")  # fmt: skip

    def named_net(self) -> dict[str, Any]:
        """The net's options that change it."""
        known = {one.name for one in fields(self.base)}
        return {key: value for key, value in self.asked.net_options.items()
                if key not in known or getattr(self.base, key) != getattr(self.net, key)}  # fmt: skip
