"""A MODEL word -> what a net for images brings to an export: the net, its classes, its normalization, its images."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from reslab.errors import ReslabError, UsageError, arg
from reslab.images.calibrate import described
from reslab.images.data.images import ImageData, Shape
from reslab.images.data.normalize import IMAGENET_MEAN, IMAGENET_STD, Normalize, given
from reslab.images.measured import normalization
from reslab.images.train import stored_data
from reslab.nets.words import Loaded
from reslab.nets.words import load as load_word
from reslab.run import Run
from reslab.ship.export.images import ImagesExport, as_stored, of_run
from reslab.ship.export.labels import license_of, names
from reslab.ship.export.probable import as_scores
from reslab.slim.families.image_subject import opened, outputs
from reslab.train.folder import DONE


def images(
    word: str, *, data: str | Path | ImageData | None = None, options: Mapping[str, Any] | None = None,
    net: str | None = None, key: str | None = None, net_options: Mapping[str, Any] | None = None,
    weights: bool | None = None, normalize: str | None = None, mean_std: tuple[float, ...] | None = None,
    license: str | None = None, seed: int = 0,
) -> ImagesExport:  # fmt: skip
    """The model that `word` names (nets/words.py), ready to be exported.

    `data`: images as for `reslab train`, a run has its own; without any, the export is proved on random pixels.
    `options` belong to the data, `net`, `key` and `net_options` to a checkpoint. `normalize`, `mean_std`: of a model
    that is no run, as for `reslab look`. `license`: of the weights. Raises UsageError for a model that is none for
    images, or data whose images or labels are not the model's.
    """
    notes = list[str]()
    pictures: ImageData | None = None
    if data is not None:
        found, pictures, _ = opened(word, data=data, options=dict(options or {}), net=net, key=key,
                                    net_options=net_options, weights=weights, seed=seed)  # fmt: skip
    else:
        if options:
            raise UsageError(*[part for key in options for part in (arg(key), ", ")][:-1],
                             ": only for images that are named with ", arg("data"))  # fmt: skip
        found = load_word(word, net=net, key=key, options=dict(net_options or {}), weights=weights, seed=seed)
        if found.kind not in ("images", "own"):
            raise UsageError(f"{word} takes texts, not images")
        if found.run is not None and not found.run.has("data.json"):  # a net of ours that others published
            found = replace(found, run=None)
        if found.run is not None:
            pictures = own_data(found.run, notes)
    run = found.run
    shape = shape_of(found, pictures)
    if shape[0] not in (1, 3):
        raise UsageError(
            f"{word} takes images of {'x'.join(map(str, shape))}; only gray and RGB images can be exported"
        )
    many = outputs(found, shape)
    told, how = normalized(found, pictures, shape, normalize, mean_std)
    classes, which = named(found, pictures, many)
    result = run.read_json(DONE) if run is not None and run.has(DONE) and weights is not False else {}
    fitted = (result.get("temperature") or {}).get("temperature")
    about = run.read_json("data.json") if run is not None else {}
    model, kind = as_scores(found, pictures, shape, told)
    notes += kind
    notes += [*map(str, found.notes), *([which] if which else []), f"normalization: {how}", *foreign(found)]
    return ImagesExport(
        net=model, word=found.word, name=found.name, normalize=told.to("cpu"), shape=shape,
        classes=classes, reading=reading(found, pictures, about), license=license or license_of(found),
        temperature=fitted or 1.0, several=bool(about.get("several", pictures is not None and pictures.several)),
        calibrated=str(described(result)) if run is not None else "not calibrated: the model is no run of reslab",
        data=pictures, source=run, notes=notes, seed=seed,
    )  # fmt: skip


def own_data(run: Run, notes: list[str]) -> ImageData | None:
    """The data of a run; None with a note if they are gone or have changed."""
    try:
        return stored_data(run)
    except ReslabError as error:
        notes.append(f"the data of the run could not be used: {error}")
        return None


def shape_of(found: Loaded, data: ImageData | None) -> Shape:
    """(C, H, W) of the images that the net is exported for: of its data, else the one that it is made for."""
    if found.run is not None:
        C, H, W = found.run.read_json("data.json", "shape")["shape"]
        return C, H, W
    if data is not None:
        return data.shape
    if found.shape is not None:
        return found.shape
    if isinstance(found.example, torch.Tensor) and found.example.dim() == 4 and found.example.shape[1] in (1, 3):
        return found.example.shape[1], found.example.shape[2], found.example.shape[3]
    raise UsageError(f"{found.word} does not say which images it takes: let the function return (model, example), an "
                     "example of shape (N, C, H, W) with 1 or 3 channels, or name images with ",
                     arg("data"))  # fmt: skip


def normalized(
    found: Loaded, data: ImageData | None, shape: Shape, asked: str | None, mean_std: tuple[float, ...] | None
) -> tuple[Normalize, str]:  # fmt: skip
    """The normalization, and where it comes from in words."""
    if data is not None or found.run is not None:
        return normalization(found, asked, mean_std, data)
    C = shape[0]
    if mean_std:
        if asked:
            raise UsageError(arg("normalize"), " and ", arg("mean_std"), " exclude each other: remove one")
        return given(mean_std, channels=C), f"mean and std {' '.join(f'{v:g}' for v in mean_std)}"
    if found.mean_std and not asked and len(found.mean_std[0]) in (1, C):
        mean, std = (torch.tensor(values).view(-1, 1, 1).expand(C, 1, 1).clone() for values in found.mean_std)
        return Normalize(mean, std), "the model's own"
    if asked in ("pixel", "channel"):
        raise UsageError(arg("normalize", asked), " is measured on images: name them with ", arg("data"))
    if asked == "imagenet" or (asked is None and C == 3):
        if C != 3:
            raise UsageError(f"ImageNet's mean is for 3 channels, and {found.word} takes {C}; use ", arg("mean_std"))
        return Normalize(torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)), (
            "ImageNet's" if asked else "ImageNet's, assumed, as nothing else is known of the model"
        )
    return Normalize(torch.zeros(C, 1, 1), torch.ones(C, 1, 1)), "pixels from 0 to 1" + ("" if asked else ", assumed")


def named(found: Loaded, data: ImageData | None, many: int) -> tuple[tuple[str, ...], str]:
    """The names of the classes in the model's order, and what is to be said of them."""
    if found.run is not None:
        return tuple(found.run.read_json("data.json", "classes")["classes"]), ""
    if data is not None:
        return data.classes, f"the names of the classes are those of {data.name}, matched by order"
    if (own := names(found, many)) is not None:
        return own, ""
    return tuple(map(str, range(many))), "the model has no names for its classes: they are numbers"


def reading(found: Loaded, data: ImageData | None, about: Mapping[str, Any]) -> dict[str, Any]:
    """How images are decoded and resized, as data.json has it."""
    if about:
        return of_run(about)
    if data is not None:
        return as_stored(data.reading)
    own = (getattr(found.model, "pretrained_cfg", None) or {}).get("interpolation")
    return {"options": {"interpolation": own} if own in ("bilinear", "bicubic") else {}, "gray": {}}


def foreign(found: Loaded) -> list[str]:
    """What may differ from how other libraries evaluate their models."""
    if found.word.startswith(("timm:", "torchvision:")) or hasattr(found.model, "config"):
        return ["images are resized to cover the net's size and cropped to the center; the library may resize them "
                "larger before it crops"]  # fmt: skip
    return []
