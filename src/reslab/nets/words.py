"""The MODEL word of `reslab look` -> a model: ours, a checkpoint, Hugging Face's, timm's, torchvision's, your own."""

import difflib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from reslab.errors import Sentence, UsageError, arg
from reslab.nets import foreign
from reslab.nets.allowed import allow
from reslab.nets.hub import hub_name, on_hub
from reslab.nets.own import returned, run_function
from reslab.nets.published import folder_of, published
from reslab.run import Run, missing, slug
from reslab.stored.files import MissingFile
from reslab.stored.read import held, read_recipe

if TYPE_CHECKING:
    from torch import nn

    from reslab.nets.options import NetOptions

WORDS = Sentence(
    "a run folder; a checkpoint file, with ",
    arg("net"),
    "; net:NAME, one of reslab's nets with random weights; a Hugging Face folder or hf:NAME (extra `text`; only "
    "safetensors are read); timm:NAME or torchvision:NAME, if installed; or FILE.py:FUNCTION: your Python file is run, "
    "and the function returns the model, (model, example input) or (model, example input, labels)",
)
CUTOFF = 0.8  # of difflib, for names that are guessed at
Kind = Literal["images", "causal", "masked", "encoder", "own"]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model, and what its word tells of the inputs that it takes."""

    model: Any  # nn.Module
    kind: Kind  # what goes in: images, or tokens (a language model's, or an encoder's without labels)
    word: str
    name: str  # for a folder's name
    run: Run | None = None  # whose data and normalization are its own
    spec: Any = None
    tokenizer: Any = None
    example: Any = None  # of your own function
    labels: Any = None
    shape: tuple[int, int, int] | None = None  # (C, H, W) of the images that it is meant for
    mean_std: tuple[list[float], list[float]] | None = None  # what it says that its images are normalized with
    initial: bool = False  # as initialized, not trained
    notes: tuple[str, ...] = ()

    @property
    def fake(self) -> Any:
        """The FakeTensorMode that a model of shapes alone was built in; None for one with weights."""
        return next((p.fake_mode for p in self.model.parameters() if hasattr(p, "fake_mode")), None)

    def describe(self) -> dict[str, Any]:
        """For look.json."""
        from reslab.nets import to_dict

        file = self.kind == "own" and not Path(self.word).exists()  # FILE.py:FUNCTION
        path, colon, function = self.word.rpartition(":") if file else (self.word, "", "")
        return {
            "word": f"{Path(path).resolve()}{colon}{function}" if Path(path).exists() else self.word,
            "name": self.name,
            "class": type(self.model).__name__,
            "kind": self.kind,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "spec": to_dict(self.spec) if self.spec else None,
            "initial": self.initial,
            "notes": list(self.notes),
        }


def model(
    word: str, *, net: str | None = None, key: str | None = None, weights: bool | None = None, seed: int = 0,
    **options: "Unpack[NetOptions]",
) -> "nn.Module":  # fmt: skip
    """The model that a word names, on the CPU. The words, as in `reslab look --help`:

        reslab.model("runs/cifar")                   # a run folder: its trained net; weights=False: as initialized
        reslab.model("w.th", net="resnet20")         # a checkpoint file of weights
        reslab.model("net:resnet56", shortcut="B")   # one of reslab's nets, initialized by the seed
        reslab.model("hf:google/vit-base-patch16-224")  # Hugging Face, or the path of such a folder (safetensors only)
        reslab.model("timm:resnet18")                # timm or torchvision, if installed: random weights
        reslab.model("torchvision:resnet18", weights=True)  # with pretrained weights, downloaded once
        reslab.model("mine.py:make")                 # your own file is run; the function returns the model

    `net` and `options` (shortcut, norm, ...) describe a checkpoint's net, `key` names one of several sets of weights in
    its file; `options` also those of net:NAME. torch's
    random state of the CPU, sys.path and sys.modules are left as they were. Raises UsageError or ReslabError in one
    sentence.
    """
    import torch

    if not isinstance(word, str):
        raise UsageError(f"a model's word must be a string such as 'runs/cifar' or 'timm:resnet18', got {word!r}")
    with torch.random.fork_rng(devices=[]):  # models are built on the CPU; of many GPUs torch would warn
        return load(word, net=net, key=key, options=dict(options), weights=weights, seed=seed).model


def load(
    word: str, *, net: str | None = None, key: str | None = None, options: dict[str, Any] | None = None,
    weights: bool | None = None, seed: int = 0, shape_only: bool = False,
) -> Loaded:  # fmt: skip
    """The model that a word names (see WORDS), on the CPU.

    `net`, `key` and `options` (shortcut, norm, ...) describe a checkpoint's net. `weights`: False returns any model as
    initialized (by `seed`, or a run's own seed), True downloads those of timm and torchvision. `shape_only`: a Hugging
    Face model without weights has only shapes, as FakeTensors. Raises UsageError or ReslabError in one sentence.
    """
    options, path = options or {}, Path(os.path.expanduser(word))  # unchanged for an unknown user
    seed_cpu(seed)
    origin, _, rest = word.partition(":")
    file, _, function = word.rpartition(":")
    if not word:
        raise UsageError("an empty word names no model; name ", WORDS)
    if net is None and options and origin != "net":
        raise UsageError(
            f"{', '.join(options)} can only be changed in reslab's own nets: a checkpoint with ",
            arg("net"),
            ", or net:NAME",
        )
    if path.is_file() and path.suffix != ".py":
        return checkpoint(path, net, key, options, weights)
    if net is not None:
        raise UsageError(arg("net"), f" names the net of a checkpoint file, and {word} is none; leave it out")
    if key is not None:
        raise UsageError(arg("key"), f" names weights inside a checkpoint file, and {word} is none; leave it out")
    if origin == "net":
        return fresh(word, rest, options)
    if origin in ("timm", "torchvision"):
        return Loaded(word=word, name=slug(f"{origin}-{rest}"), kind="images", initial=not weights,
                      **foreign.zoo(origin, rest, weights))  # fmt: skip
    if (folder := published(word)) is not None:
        return of_run(word, folder, weights)
    if origin == "hf" or (path.is_dir() and (path / "config.json").is_file()):
        return hugging(word, hub_name(rest) if origin == "hf" else str(path), weights is not False, shape_only)
    if file.endswith(".py"):
        return own(word, Path(os.path.expanduser(file)), function)
    if path.suffix == ".py" and path.is_file():
        raise UsageError(f"{word}: say which of its functions returns the model, such as {word}:make")
    if path.is_dir():
        return of_run(word, path, weights)
    if "/" in word and on_hub(word) and not path.parent.is_dir() and path.parent.name != "runs":
        if (folder := folder_of(f"hf:{word}")) is not None:
            return of_run(word, folder, weights)
        return hugging(word, hub_name(word), weights is not False, shape_only)
    raise UsageError(unknown(word, path))


def of_run(word: str, path: Path, weights: bool | None) -> Loaded:
    """The trained net of a run folder, or the very net that its training began with."""
    from reslab.nets import build, read_spec
    from reslab.nets import load as load_net

    run = Run(path)
    if not run.has("spec.json"):
        inside = sorted(spec.parent.name for spec in path.glob("*/spec.json"))
        if inside:
            raise UsageError(f"{word} is not a run but contains runs; name one, such as {path / inside[0]}")
        raise UsageError(f"{word} is neither a run folder (no spec.json) nor a Hugging Face model (no config.json)")
    name = slug(word.removeprefix("hf:").rpartition("/")[2] if word.startswith("hf:") else path.resolve().name)
    family = run.read_json("spec.json").get("family")
    if family == "language":
        return replace(hugging(word, foreign.model_of_run(run), weights is not False, False), name=name)
    if family == "qa":
        raise UsageError(f"{word} is a run for questions, which `reslab look` cannot measure yet; in Python, "
                         f"reslab.qa.load({word!r}).net is its net")  # fmt: skip
    if family == "table":
        raise UsageError(f"{word} is a run of tables, whose net reads vectors of columns: reslab.tables.load opens it")
    if weights is not False:
        module = load_net(path)
        return Loaded(model=module, kind="images", word=word, name=name, run=run, spec=module.spec, shape=of(module))
    seed_cpu(seed_of(run))  # as training does before it builds
    module = build(read_spec(run))
    return Loaded(model=module, kind="images", word=word, name=f"{name}-initial", run=run, spec=module.spec,
                  shape=of(module), initial=True, notes=("as initialized, before its first step",))  # fmt: skip


def seed_cpu(seed: int) -> None:
    """Seed torch's generator of the CPU, where models are built, and leave those of GPUs alone."""
    import torch

    torch.random.default_generator.manual_seed(seed)


def seed_of(run: Run) -> int:
    """The seed of a run's recipe."""
    try:
        values = read_recipe(run.path("recipe.toml"))
    except MissingFile as error:
        raise missing(run.path("recipe.toml")) from error
    from reslab.stored.folders import Seeded

    held(Seeded, values, run.path("recipe.toml"))
    return int(values["seed"])


def checkpoint(
    path: Path, net: str | None, key: str | None, options: dict[str, Any], weights: bool | None
) -> Loaded:  # fmt: skip
    """A file of weights; channels and classes are taken from its tensors."""
    from reslab.nets import load as load_net
    from reslab.nets.checkpoints import read_checkpoint, sizes

    if weights is False:
        raise UsageError(f"{path} holds weights; for random initialization, use net:{net or 'NAME'}")
    found = sizes(read_checkpoint(path, key).state) if net is not None else {}
    module = load_net(path, net, key=key, **{**found, **options})
    return Loaded(model=module, kind="images", word=str(path), name=slug(path.stem), spec=module.spec, shape=of(module),
                  notes=(str(replace(module.match, warning=None)),))  # fmt: skip


def fresh(word: str, name: str, options: dict[str, Any]) -> Loaded:
    """One of reslab's nets with random weights."""
    from reslab.nets import net

    module = net(name, **options)
    return Loaded(model=module, kind="images", word=word, name=slug(f"net-{name}"), spec=module.spec, shape=of(module),
                  initial=True, notes=("random weights, not trained",))  # fmt: skip


def of(module: Any) -> tuple[int, int, int]:
    return module.spec.channels, module.spec.size, module.spec.size


def hugging(word: str, name: str, weights: bool, shape_only: bool) -> Loaded:
    """A Hugging Face model."""
    found = foreign.transformers_model(name, weights=weights, shape_only=shape_only)
    title = Path(name).resolve() if Path(name).is_dir() else Path(name)
    short = title.parent.name if title.name == "model" else title.name  # packages keep it in a folder `model`
    return Loaded(word=word, name=slug(short) + ("" if weights else "-initial"), initial=not weights, **found)


def own(word: str, file: Path, function: str) -> Loaded:
    """What a function in a user's Python file returns."""
    if not file.is_file():
        raise UsageError(f"{file}: no such file")
    allow(file, function)
    model, example, labels = returned(run_function(file, function)[0], word)
    return Loaded(
        model=model, kind="own", word=word, name=slug(f"{file.stem}-{function}"), example=example, labels=labels
    )


def unknown(word: str, path: Path) -> str:
    """The sentence for a word that names nothing, with the nearest names."""
    from reslab.nets import names
    from reslab.nets.catalog import elsewhere

    runs = [str(spec.parent) for spec in Path("runs").glob("**/spec.json")]
    near = difflib.get_close_matches(word, runs, n=1, cutoff=CUTOFF)
    same = [name for name in names() if re.findall(r"\d+", name) == re.findall(r"\d+", word)]  # 51 layers are not 50
    near += [f"net:{name}" for name in difflib.get_close_matches(word, same, n=1, cutoff=CUTOFF) if not elsewhere(word)]
    others = f"; in timm or torchvision: timm:{word}" if elsewhere(word) else f"; on the Hugging Face Hub: hf:{word}"
    hint = f"; did you mean {' or '.join(near)}?" if near else "" if "/" in word or path.suffix else others
    return f"no run folder, checkpoint file or Hugging Face folder named {word!r}{hint}"
