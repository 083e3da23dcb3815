"""The weights that a training on images starts from: what they say of their images, how they fit net and classes."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as safetensors
from torch import Tensor

from reslab.errors import ReslabError, ReslabWarning, UsageError, arg, tell
from reslab.images.data import ImageData, Normalize
from reslab.images.data.decode import FILTERS
from reslab.images.data.normalize import IMAGENET_MEAN, IMAGENET_STD
from reslab.images.data.words import WORDS
from reslab.images.heads import with_head
from reslab.nets import ModelSpec, Spec, build, read_spec, to_dict
from reslab.nets.adopting import adopt, as_json
from reslab.nets.checkpoints import read_checkpoint
from reslab.nets.head import fits
from reslab.nets.pretrained import about, weights_of
from reslab.nets.published import PREFIX, local
from reslab.nets.weights import spec_inside
from reslab.run import Run
from reslab.stored.files import named
from reslab.train.checkpoint import as_file
from reslab.train.life import shown
from reslab.train.recipe import Recipe
from reslab.train.start import ABOUT, Start, mark_of, start_of

DEFAULT = "default"  # the pretrained weights of the net's library
FREE = ("name", "init", "zero_last_norm", "classes", "channels", "size", "depth", "version", "arguments", "config",
        "sha256", "word")  # fields of a spec that may differ between a run and what continues it  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What weights say of the images they were trained on; None: nothing."""

    word: str  # the run, the file, or "default"
    of: str  # what it is, in words
    normalize: Normalize | None = None
    assumed: bool = False  # it is ImageNet's, as the weights say nothing
    interpolation: str | None = None
    classes: tuple[str, ...] | None = None
    channels: int | None = None
    spec: Spec | None = None  # of a run
    note: str = ""  # which of several sets of weights in a file
    state: dict[str, Tensor] = field(default_factory=dict, repr=False)  # {}: not read yet


def run_of(start: Path | str) -> Run | None:
    """The run that a word names: its folder, or its weights.safetensors."""
    path = local(start).expanduser()
    if path.is_dir():
        return Run(path)
    return Run(path.parent) if path.name == "weights.safetensors" and Run(path.parent).has("spec.json") else None


def net_of(start: Path | str | None) -> Spec | None:
    """The net of a run, or of a file that holds its spec: the default net of what starts from it."""
    if start is None or str(start) == DEFAULT:
        return None
    if run := run_of(start):
        return read_spec(run)
    path = Path(start)
    return spec_inside(path) if path.suffix == ".safetensors" and path.is_file() else None


def facts_of(start: Path | str, net: Spec) -> Facts:
    """What the weights say of themselves. Raises UsageError or ReslabError for weights that cannot be used."""
    if str(start) == DEFAULT:
        found = about(net)
        return Facts(word=DEFAULT, of=f"{net.word if isinstance(net, ModelSpec) else net.name}, pretrained",
                     normalize=by_channel(found.mean, found.std), interpolation=found.interpolation,
                     classes=found.classes, channels=found.channels)  # fmt: skip
    if run := run_of(start):
        spec, data = read_spec(run), run.read_json("data.json", "classes")
        normalize = None
        if run.has("normalize.json"):
            normalize = Normalize.from_dict(run.read_json("normalize.json", "mean", "std"))
        hub = str(start).startswith(PREFIX)
        return Facts(word=str(start) if hub else str(Path(start).resolve()),
                     of=str(start) if hub else f"the run {named(run.folder)}", normalize=normalize,
                     interpolation=data.get("options", {}).get("interpolation") or "bilinear",
                     classes=tuple(data["classes"]), channels=spec.channels, spec=spec)  # fmt: skip
    checkpoint = read_checkpoint(start)
    inputs = {tensor.shape[1] for tensor in checkpoint.state.values() if tensor.dim() == 4}
    channels = next((n for n in (3, 1) if n in inputs), None)  # filters of groups have 1 input, too
    guess = by_channel(IMAGENET_MEAN, IMAGENET_STD) if channels in (3, None) else None
    return Facts(word=str(Path(start).resolve()), of=named(start), normalize=guess, assumed=guess is not None,
                 channels=channels, state=checkpoint.state, note=checkpoint.note)  # fmt: skip


def by_channel(mean: Any, std: Any) -> Normalize | None:
    """A normalization of one number for each channel; None if the weights name none."""
    if not mean or not std:
        return None
    return Normalize.from_dict({"mean": [[[one]] for one in mean], "std": [[[one]] for one in std]})


def resized_like(facts: Facts | None, word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the data, with the interpolation of the weights unless they name one."""
    how = facts.interpolation if facts else None
    if facts and how not in (*FILTERS, None) and "interpolation" not in options and word not in WORDS:
        tell("%s expects images resized with %s interpolation, which is not available; bilinear is used", facts.of, how)
    if facts is None or how not in FILTERS or how == "bilinear" or "interpolation" in options or word in WORDS:
        return dict(options)
    tell("images are resized with %s interpolation, as those of %s", how, facts.of)
    return {**options, "interpolation": how}


def in_channels(
    data: ImageData, net: Spec, facts: Facts | None, options: Mapping[str, Any]
) -> tuple[ImageData, dict[str, Any]]:
    """The data and its options: gray images are read as RGB if the weights to start from, or the net, take only RGB.

    Raises UsageError for RGB images and weights for gray ones.
    """
    if data.shape[0] == 1 and (why := needs_rgb(net, facts, data)):
        tell("the gray images of %s are read as RGB: %s", data.name, why)
        return data.as_rgb(), {**options, "rgb": True}
    if data.shape[0] == 3 and facts and facts.channels == 1:
        raise UsageError(f"{facts.of} is for gray images, but {data.name} has RGB images; start from other weights or "
                         "from none")  # fmt: skip
    return data, dict(options)


def needs_rgb(net: Spec, facts: Facts | None, data: ImageData) -> str:
    """Why gray images must be read as RGB; "" if they need not be."""
    if facts and facts.channels == 3:
        return f"{facts.of} is for RGB images"
    if not isinstance(net, ModelSpec) or net.origin not in ("torchvision", "file"):
        return ""
    _, H, W = data.shape
    sized = replace(net, size=min(H, W), classes=len(data.classes))
    for channels in (1, 3):
        with torch.random.fork_rng(devices=[]):
            try:
                taken = fits(build(replace(sized, channels=channels)), torch.zeros(2, channels, H, W), sized.classes)
            except ReslabError:
                taken = False
        if taken:
            return f"{net.word} takes RGB images only" if channels == 3 else ""
    return ""


def starting(start: Path | str, net: Spec, data: ImageData, recipe: Recipe) -> Start:
    """The weights for a net that suits its data, what was taken over, and what they say of themselves; it is reported.

    Raises UsageError for weights of another net, and where the recipe takes a normalization that they do not know.
    """
    facts = facts_of(start, net)
    if facts.channels is not None and facts.channels != net.channels:
        raise UsageError(f"{facts.of} is for images with {facts.channels} channel{'s' * (facts.channels != 1)}, but "
                         f"{data.name} has {net.channels}", *((": read them with ", arg("rgb", True))
                         if facts.channels == 3 and net.channels == 1 else ()))  # fmt: skip
    facts = fits_channels(facts, net)
    if facts.spec is not None:
        refuse_other_net(facts, net)
    if facts.word == DEFAULT:
        state = weights_of(net)
        mark = mark_of(as_file(state))
    else:
        raw = start_of(start)
        state, mark = facts.state or safetensors(raw), mark_of(raw)
    taken = adopt(net, state, where=facts.of)
    found, head, told = with_head(taken, net, data, classes=facts.classes, normalize=facts.normalize)
    tell("weights of %s: %s; head: %s", facts.of, found.line(), told)
    if facts.note:
        tell("%s: %s", facts.of, facts.note)
    if found.doubt:
        warnings.warn(ReslabWarning(f"{facts.of}: ", found.doubt), stacklevel=3)
    report_normalization(facts, net, recipe)
    normal = facts.normalize.as_dict() if facts.normalize else {"mean": None, "std": None}
    return Start(
        tensors=as_file(found.tensors), mark=mark,
        about={"word": facts.word, "of": facts.of, **as_json(found), "head": head, **normal, "assumed": facts.assumed,
               "classes": list(facts.classes) if facts.classes else None, "interpolation": facts.interpolation},
    )  # fmt: skip


def fits_channels(facts: Facts, net: Spec) -> Facts:
    """The facts without an assumed normalization if the net takes no RGB images: it is ImageNet's."""
    if facts.assumed and net.channels != len(IMAGENET_MEAN):
        return replace(facts, normalize=None, assumed=False)
    return facts


def refuse_other_net(facts: Facts, net: Spec) -> None:
    """Raise UsageError if a run's net is another one than this: tensors of equal shapes may mean other things."""
    theirs = facts.spec
    assert theirs is not None
    a, b = to_dict(theirs), to_dict(net)
    unlike = [key for key in a if key not in FREE and a.get(key) != b.get(key)]
    if isinstance(theirs, ModelSpec) and isinstance(net, ModelSpec) and theirs.origin != "file":
        unlike = ["word"] * (theirs.word != net.word)
    if unlike and unlike[0] != "family":
        key = unlike[0]
        raise UsageError(f"{facts.of} holds {theirs.name}, another net than {net.name} ({key}: {shown(a[key])} "
                         f"there, {shown(b.get(key))} here); leave out the net, which is then the run's")  # fmt: skip


def report_normalization(facts: Facts, net: Spec, recipe: Recipe) -> None:
    """Say which normalization the images get, where the weights expect one.

    Raises UsageError if the recipe takes that of weights which name none.
    """
    if recipe.mean != "weights":
        if facts.normalize is not None and facts.spec is None and recipe.mean != "imagenet":
            tell("the images are normalized by the recipe (mean %s), not as %s expects%s; mean weights does",
                 recipe.mean, facts.of, ", as is assumed" if facts.assumed else "")  # fmt: skip
        return
    if facts.normalize is None:
        raise UsageError(f"{facts.of} does not say how its images were normalized; choose ", arg("mean", "channel"),
                         " or another mean")  # fmt: skip
    numbers = ", ".join(" ".join(f"{value:.3g}" for value in part.mean(dim=(1, 2)).tolist())
                        for part in (facts.normalize.mean, facts.normalize.std))  # fmt: skip
    how = "ImageNet's, which is assumed, as the weights do not say" if facts.assumed else "that of the weights"
    tell("normalization: %s (mean and std %s)", how, numbers)


def normalization(run: Run) -> Normalize:
    """What the weights that a run started from say of their images. Raises ReslabError for a damaged start.json."""
    return Normalize.from_dict(run.read_json(ABOUT, "mean", "std"))
