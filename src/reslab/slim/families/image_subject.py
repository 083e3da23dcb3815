"""The image model that is slimmed: its data, its normalization, and a spec that builds it again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reslab.errors import UsageError, first_line
from reslab.images.data import ImageData, Normalize
from reslab.images.data.arrays import WORD
from reslab.images.data.images import Shape
from reslab.images.data.words import WORDS
from reslab.images.matching import fitted
from reslab.images.measured import normalization, sizes
from reslab.images.plan import Asked
from reslab.images.setup import loaded as load_images
from reslab.images.train import like_run, stored_data
from reslab.look.graph.example import scores
from reslab.nets import Spec, build, read_spec
from reslab.nets.models import model_spec
from reslab.nets.suiting import suited
from reslab.nets.words import Loaded
from reslab.nets.words import load as load_word
from reslab.run import Run

SAME = 1e-4  # largest difference between a model and what its spec builds, with the same weights


@dataclass(frozen=True, kw_only=True)
class ImageSubject:
    """A model of images, ready to be slimmed."""

    loaded: Loaded
    spec: Spec  # builds it, for its data
    data: ImageData  # with the model's classes in the model's order
    word: str  # of the data
    options: Mapping[str, Any]  # with which they were loaded
    normalize: Normalize
    how: str  # where the normalization comes from, in words

    @property
    def run(self) -> Run | None:
        """The run folder, if the model is a run."""
        return self.loaded.run

    @property
    def own(self) -> bool:
        """Whether the data are those that the run was trained on."""
        return self.run is not None and self.run.read_json("data.json").get("fingerprint") == self.data.fingerprint


def subject(
    word: str, *, data: str | Path | ImageData | None = None, options: Mapping[str, Any] | None = None,
    net: str | None = None, key: str | None = None, net_options: Mapping[str, Any] | None = None,
    weights: bool | None = None, normalize: str | None = None, mean_std: tuple[float, ...] | None = None, seed: int = 0,
) -> ImageSubject:  # fmt: skip
    """The model that `word` names (nets/words.py), with its data.

    `data`: as for `reslab train`; a run has its own. `options` belong to the data, `net`, `key` and `net_options` to a
    checkpoint. `normalize`, `mean_std`: of a model that is no run, as for `reslab look`. Raises UsageError for data
    whose images or labels are not the model's.
    """
    found, images, settings = opened(word, data=data, options=dict(options or {}), net=net, key=key,
                                     net_options=net_options, weights=weights, seed=seed)  # fmt: skip
    run = found.run
    normalizer, how = normalization(found, normalize, mean_std, images)
    about = run.read_json("data.json", "word") if run is not None and data is None else {}
    named = about.get("word") or (WORD if isinstance(data, ImageData) else str(data))
    return ImageSubject(loaded=found, spec=spec_of(found, images), data=images, word=named, options=settings,
                        normalize=normalizer, how=how)  # fmt: skip


def opened(
    word: str, *, data: str | Path | ImageData | None, options: dict[str, Any], net: str | None = None,
    key: str | None = None, net_options: Mapping[str, Any] | None = None, weights: bool | None = None, seed: int = 0,
) -> tuple[Loaded, ImageData, dict[str, Any]]:  # fmt: skip
    """(the model, its images with its classes, the options that they were loaded with); see `subject`."""
    run = Run(word) if Path(word).is_dir() and (Path(word) / "spec.json").is_file() else None
    if word.startswith("net:") and data is not None:
        images, settings = read(word, data, options, run, None)
        found = load_word(word, options={**sizes(images, str(data), settings), **(net_options or {})}, seed=seed)
    else:
        found = load_word(word, net=net, key=key, options=dict(net_options or {}), weights=weights, seed=seed)
        if found.kind not in ("images", "own"):
            raise UsageError(f"{word} takes texts, not images")
        images, settings = read(word, data, options, run, found)
    return found, matched(found, images), settings


def read(
    word: str, data: str | Path | ImageData | None, options: dict[str, Any], run: Run | None, found: Loaded | None
) -> tuple[ImageData, dict[str, Any]]:
    """(the images, the options that they were loaded with): the run's own, or others in the size of the model's."""
    if isinstance(data, ImageData):
        return data, options
    if data is None:
        if run is None:
            raise UsageError(f"{word} needs data to be slimmed with: a folder of images, a parquet file or a list")
        if options:
            raise UsageError(f"{word} is a run folder and has its own data: leave out {', '.join(options)}, or name "
                             "data")  # fmt: skip
        return stored_data(run), dict(run.read_json("data.json").get("options", {}))
    named = str(data)
    like = {} if run is None else like_run(run, named)
    if run is None and found is not None and found.shape is not None and named not in WORDS:
        like = {"size": found.shape[1]}  # the size that the model is made for
    given = {key: value for key, value in {**like, **options}.items() if value is not None}
    images, used = load_images(Asked(data=named, recipe="finetune", options=given), None)
    return images, dict(used)


def matched(found: Loaded, images: ImageData) -> ImageData:
    """The images with the model's classes. Raises UsageError if their number or their names are not the model's."""
    if images.shape[0] == 1 and found.shape is not None and found.shape[0] == 3 and not found.run:
        images = images.as_rgb()
    if found.spec is not None:
        about = found.run.read_json("data.json") if found.run else {}
        several = bool(about.get("several")) if found.run else None
        return fitted(found.spec, images, about.get("classes"), several=several)
    many = outputs(found, images.shape)
    if many != len(images.classes):
        raise UsageError(f"{found.word} has {many:,} classes, but {images.name} has {len(images.classes)}, so its "
                         "labels are not the model's: train it on these images first, and name that run")  # fmt: skip
    return images


def outputs(found: Loaded, shape: Shape) -> int:
    """The number of classes that the model gives for an image (C, H, W). Raises UsageError if it takes none."""
    model: nn.Module = found.model
    training = model.training
    try:
        with torch.no_grad():
            answer = scores(model.eval()(torch.zeros(2, *shape)))
    except Exception as error:  # of any model
        C, H, W = shape
        made = f"; it is made for images of {'x'.join(map(str, found.shape))}" if found.shape else ""
        raise UsageError(f"{found.word} does not take images of {C}x{H}x{W}: {first_line(error)}{made}") from error
    finally:
        model.train(training)
    if answer.dim() != 2:
        raise UsageError(f"{found.word} gives {list(answer.shape[1:])} per image, not one score for each class")
    return int(answer.shape[1])


def spec_of(found: Loaded, images: ImageData) -> Spec:
    """A spec that builds the model. Raises UsageError if the model that it builds is another one."""
    if found.spec is not None:
        spec: Spec = found.spec
        return read_spec(found.run) if found.run else replace(spec)
    made = suited(model_spec(found.word), classes=len(images.classes), shape=images.shape)
    refuse_other(found.model, made, images, found.word)
    return made


def refuse_other(model: nn.Module, spec: Spec, images: ImageData, word: str) -> None:
    """Raise UsageError unless the spec builds this very model: the same tensors, the same outputs."""
    with torch.random.fork_rng(devices=[]):
        again = build(spec).eval()
    x = torch.randn(2, *images.shape, generator=torch.Generator().manual_seed(0))
    training = model.training
    try:
        again.load_state_dict(model.state_dict())
        with torch.no_grad():
            far = (scores(again(x)) - scores(model.eval()(x))).abs().max().item()
    except RuntimeError as error:
        raise UsageError(f"{word} cannot be trained further for these images: built again, it has other weights "
                         f"({first_line(error)})") from error  # fmt: skip
    finally:
        model.train(training)
    if far > SAME:
        raise UsageError(f"{word} cannot be trained further: built again with the same weights, its scores differ by "
                         f"{far:.2g}")  # fmt: skip
