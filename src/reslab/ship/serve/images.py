"""A model of images that is served; blocks of a run's net can be disabled request by request."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from reslab.images.calling import NO_VALIDATION, TO_CLIENTS
from reslab.images.decoding import NOT_FINITE
from reslab.ship.folder import is_exported
from reslab.ship.serve.decoding import Budget, check_side, size_of
from reslab.ship.serve.refused import Refused, no_such
from reslab.ship.serve.servable import About, Place
from reslab.ship.serve.settings import Settings
from reslab.ship.serve.versions import SHORT, version

YES = 0.5  # probability from which an image has a label, where it may have several


@dataclass(frozen=True, eq=False)
class Item:
    """One image: its pixels as the model reads them."""

    pixels: Any
    remarks: tuple[str, ...]  # what was changed while it was read, as keys
    key: tuple[str, ...] = ()  # the disabled blocks


@dataclass(frozen=True, eq=False)
class Scored:
    """The probabilities of one image, float64 (K,)."""

    values: np.ndarray
    remarks: tuple[str, ...]


class Images:
    """See servable.Servable. `reader.read(source)` gives pixels and remarks; `values(pixels)` float64 (N, K)."""

    def __init__(self, about: About, *, read: Any, values: Any, max_pixels: int, blank: np.ndarray, net: Any) -> None:
        self.about, self.read, self.values, self.max_pixels = about, read, values, max_pixels
        self.blank, self.net = blank, net

    def prepare(self, payload: Any, options: Mapping[str, Any]) -> Item:
        disabled = tuple(sorted(set(options.get("disable", ()))))
        if disabled:
            self.check(disabled)
        if isinstance(payload, np.ndarray):
            size = payload.shape[1], payload.shape[0]
            if size[0] * size[1] > self.max_pixels:
                raise Refused(422, f"an image may have at most {self.max_pixels:,} pixels")
            payload = import_module("reslab.images.inputs").source_of(payload)
        else:
            size = size_of(payload, self.max_pixels) or (1, 1)
        check_side(*size)
        budget: Budget | None = options.get("pixels")
        with contextlib.nullcontext() if budget is None else budget.taking(size[0] * size[1]):
            pixels, remarks = self.read(payload)
        return Item(pixels, tuple(remarks), disabled)

    def check(self, disabled: Sequence[str]) -> None:
        known = [block["name"] for block in self.about.details["blocks"]]
        if not known:
            raise Refused(422, f"no block of {self.about.name} can be disabled: blocks are switched in runs, whose "
                               "nets have residual connections and run in torch")  # fmt: skip
        for name in disabled:
            if name not in known:
                raise Refused(422, f"{self.about.name} has no block {no_such(name, known)}")

    def run(self, items: Sequence[Item]) -> list[Scored | Refused]:
        with self.net.without(items[0].key):
            values = self.values([item.pixels for item in items])
        return [Scored(one, item.remarks) if np.isfinite(one).all() else Refused(422, NOT_FINITE)
                for one, item in zip(values, items, strict=True)]  # fmt: skip

    def warm(self, batch: int) -> None:
        for size in {1, 2, batch}:
            self.run([self.prepare(self.blank, {})] * size)

    def close(self) -> None:
        self.read = self.values = self.net = None


def load(where: Place, *, threads: int = 0, max_pixels: int = Settings.max_pixels) -> Images:
    """The images model of a folder. Raises UsageError or ReslabError."""
    made = exported if is_exported(where.folder) else of_run
    return made(where, threads, max_pixels)


def of_run(where: Place, threads: int, max_pixels: int) -> Images:
    """A run's net, in torch."""
    live: Any = import_module("reslab.ship.serve.live")
    mark = version(where.folder)
    net, predictor = live.load(where.folder, threads)
    reader = limited(predictor.preprocess, max_pixels)
    switched = live.Switched(net, reader.shape)
    about = About(name=where.name, kind="images", version=mark, engine="torch", precision="fp32",
                  details=details(predictor, any_size=True, blocks=switched.blocks))  # fmt: skip
    return Images(about, read=reader.pixels, values=partial(live.values, predictor),
                  max_pixels=reader.reading.limit, blank=blank(reader.shape), net=switched)  # fmt: skip


def exported(where: Place, threads: int, max_pixels: int) -> Images:
    """An exported folder, in its engine."""
    predictor: Any = import_module("reslab.ship.predict").predict(where.folder, threads=threads)
    config, reader = predictor.config, limited(predictor.preprocess, max_pixels)
    about = About(name=where.name, kind="images", version=predictor.version[:SHORT], engine=config.engine,
                  precision=config.precision,
                  details=details(predictor, any_size=bool(config.about.get("any_size")), blocks=[]))  # fmt: skip
    return Images(about, read=reader.read, values=lambda pixels: predictor.probabilities(np.stack(pixels)),
                  max_pixels=reader.reading.limit, blank=blank(reader.shape), net=Fixed())  # fmt: skip


def limited(reader: Any, max_pixels: int) -> Any:
    """What reads images for a model, with at most so many pixels each."""
    limit = min(max_pixels, reader.reading.limit or max_pixels)
    return replace(reader, reading=replace(reader.reading, limit=limit))


def details(predictor: Any, *, any_size: bool, blocks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What clients are told of a model of images."""
    calibration = TO_CLIENTS if predictor.calibration == NO_VALIDATION else str(predictor.calibration)
    return {"classes": list(predictor.classes), "shape": list(predictor.preprocess.shape), "several": predictor.several,
            "any_size": any_size, "calibration": calibration, "blocks": blocks}  # fmt: skip


def blank(shape: Sequence[int]) -> np.ndarray:
    """A black image, to warm a model with."""
    C, H, W = shape
    return np.zeros((H, W, C), np.uint8)


class Fixed:
    """The net of an exported folder: none of its blocks can be disabled."""

    def without(self, names: Sequence[str]) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def remarked(keys: list[str]) -> list[str]:
    """What was changed of the images, in sentences."""
    if not keys:
        return []
    from reslab.images.pixels import remarked as sentences

    return list(sentences(Counter(keys)))


def labels(values: np.ndarray, classes: Sequence[str], several: bool) -> list[str]:
    """The most probable class; of several labels an image, all that apply, the most probable first."""
    order = np.argsort(-values, kind="stable")
    return [classes[i] for i in order if values[i] >= YES] if several else [classes[order[0]]]


def top(values: np.ndarray, classes: Sequence[str], k: int) -> list[dict[str, Any]]:
    """The k most probable classes."""
    order = np.argsort(-values, kind="stable")[:k]
    return [{"name": classes[i], "probability": float(values[i])} for i in order]
