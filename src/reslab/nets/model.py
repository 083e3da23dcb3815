"""A net of another library or of your own Python file as a spec like reslab's own: stored, rebuilt and compared."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import nn

from reslab.errors import UsageError, arg
from reslab.nets.hub import library_name, on_hub
from reslab.nets.matched import Match
from reslab.nets.predictions import Predict, Preprocess
from reslab.run import slug

Origin = Literal["timm", "torchvision", "hf", "file"]
LIBRARIES: dict[Origin, str] = {"timm": "timm", "torchvision": "torchvision", "hf": "transformers", "file": ""}
OURS = ("shortcut", "block", "activation", "stride_on", "stem", "init", "norm", "zero_last_norm", "scale",
        "gate", "streams", "bare", "stages", "widths", "head")  # fmt: skip
# Set by reslab, or ways to weights and files: weights come from `start`, so that a stored spec never fetches anything.
RESERVED = re.compile(r"pretrained|checkpoint|weights|cache|file|url|num_classes|^classes$|in_chans|features_only")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Everything that rebuilds a net which is not reslab's own; plain data, stored as JSON.

    `word` is timm:NAME, torchvision:NAME, hf:NAME, hf:FOLDER or FILE.py:FUNCTION, with absolute paths.
    """

    name: str  # for folders and pages
    word: str
    classes: int = 1000
    channels: int = 3  # of the input image
    size: int = 224  # side of the images in pixels
    arguments: dict[str, Any] = field(default_factory=dict)  # of the function that builds it: numbers and booleans
    depth: int = 0  # layers with weights; counted when the net is built for its data
    version: str = ""  # of the library
    config: dict[str, Any] = field(default_factory=dict)  # of transformers, so that neither hub nor folder is needed
    sha256: str = ""  # of the file

    family: ClassVar[str] = "model"

    @property
    def origin(self) -> Origin:
        """Where it comes from."""
        return origin_of(self.word)

    @property
    def source(self) -> tuple[Path, str]:
        """The file and the function of FILE.py:FUNCTION."""
        file, _, function = self.word.rpartition(":")
        return Path(file), function

    def check(self) -> None:
        """Raise UsageError for values that no word gives."""
        origin = self.origin
        if origin in ("timm", "torchvision"):
            library_name(origin, self.word.partition(":")[2])
        if origin == "hf" and not isinstance(self.config.get("model_type"), str):
            raise UsageError(f"{self.word}: its config has no model_type")
        check_arguments(self.word, self.arguments)


class Model(nn.Module):
    """For type checkers: what `build` gives for a ModelSpec is the library's own module, with these beside."""

    spec: ModelSpec
    match: Match  # how the weights went in; it and the next three are of nets of `reslab.load`
    predict: Predict
    classes: tuple[str, ...]
    preprocess: Preprocess


def origin_of(word: str) -> Origin:
    """Where a word's net comes from. Raises UsageError for a word of no other library and no file."""
    first, colon, rest = word.partition(":")
    if colon and rest and first in ("timm", "torchvision", "hf"):
        return first  # type: ignore[return-value]
    if word.rpartition(":")[0].endswith(".py") and word.rpartition(":")[2].isidentifier():
        return "file"
    raise UsageError(f"{word!r} names no net of another library; write timm:NAME, torchvision:NAME, hf:NAME or "
                     "FILE.py:FUNCTION")  # fmt: skip


def is_model_word(word: str) -> bool:
    """Whether a word is meant to name a net that is not reslab's own; the rest is names of the catalog."""
    first, colon, _ = word.partition(":")
    path = Path(word).expanduser() if not word.startswith("~") or word.startswith("~/") else Path(word)
    file = word.rpartition(":")[0].endswith(".py") or word.endswith(".py")
    if (bool(colon) and first in ("timm", "torchvision", "hf")) or file or (path / "config.json").is_file():
        return True
    return "/" in word and on_hub(word) and not path.exists() and path.parent.name != "runs"


def check_arguments(word: str, arguments: Mapping[str, Any]) -> None:
    """Raise UsageError for arguments that are set by reslab, or are no numbers: a stored spec holds no paths."""
    for key, value in arguments.items():
        if not isinstance(key, str) or not key.isidentifier() or RESERVED.search(key):
            raise UsageError(f"{word}: the argument {key!r} is set by reslab; leave it out (weights to start from are "
                             "given with ", arg("start"), ")")  # fmt: skip
        several = value if isinstance(value, list | tuple) else [value]
        if not all(one is None or isinstance(one, int | float) for one in several):
            raise UsageError(f"{word}: the argument {key} must be a number, a boolean or a list of numbers, got "
                             f"{value!r}")  # fmt: skip


def refuse_ours(word: str, options: Mapping[str, Any]) -> None:
    """Raise UsageError for options of reslab's own nets, and for those that no net has."""
    if own := [key for key in options if key in OURS]:
        raise UsageError(*[part for key in own for part in (arg(key), ", ")][:-1], f": only reslab's own nets have "
                         f"{'these options' if len(own) > 1 else 'this option'}, and {word} is none; leave "
                         f"{'them' if len(own) > 1 else 'it'} out")  # fmt: skip
    if other := [key for key in options if key not in ("classes", "channels", "size", "arguments")]:
        raise UsageError(f"{word} has no option {other[0]!r}; it has classes, channels, size and arguments, a dict of "
                         "what its own function takes")  # fmt: skip


def title(word: str) -> str:
    """A short name for folders and pages: timm-resnet18, mine-make."""
    if origin_of(word) == "file":
        file, _, function = word.rpartition(":")
        return slug(f"{Path(file).stem}-{function}")
    first, _, rest = word.partition(":")
    path = Path(rest)
    if first == "hf" and path.is_dir():
        return slug(path.parent.name if path.name == "model" else path.name)
    return slug(f"{first}-{path.name}")
