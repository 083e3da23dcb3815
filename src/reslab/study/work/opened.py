"""The net that a work looks into: that of a cell's training, or a new one; with images of the cell's data.

Settings that every such work has:

    data      of the cell
    net, options  a new net's; of a trained net for its cost alone, as its run folder says what it is
    seed      samples the images, and initializes a new net
    samples   number of images (default 200)
    part      "test" (default) or "train"
    batch     images per pass (default: all of them)

Of a new net, for a cell that needs no training:

    gain      factor of the weights of every convolution (default 1)
    side      the images are enlarged to side x side pixels
    wide      compute in float64, whose range holds signals of 1e-200
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from reslab.nets import count, suited
from reslab.nets.words import Loaded, load
from reslab.study.work import train
from reslab.subject.inputs import Inputs, Wanted
from reslab.subject.subject import Subject, prepare
from reslab.train.folder import pick_device

SAMPLES = 200
START = 0.5  # CPU seconds to load a net and to find its residual connections, on the machine of docs/claims.md
PER_SECOND = 3e10  # multiply-adds of a forward pass that is looked into
PER_LAYER = 2e-3  # seconds of a pass beside them


def opened(settings: dict[str, Any], needs: Sequence[Path], *, device: str) -> Subject:
    """The net with its merges and images, on the device.

    Raises UsageError if there are fewer images in that part than a measurement needs, or if the net does not fit.
    """
    images = train.loaded(settings["data"])
    # Of a run, neither word nor normalization: both are its own.
    own = {} if needs else {"data": settings["data"]["word"], "normalize": "pixel"}
    wanted = Wanted(part=settings.get("part", "test"), samples=samples(settings), seed=settings["seed"],
                    batch=settings.get("batch", samples(settings)), **own)  # fmt: skip
    found = load(str(needs[0] / train.RUN)) if needs else fresh(settings)
    place = pick_device(device)
    if settings.get("wide") and place.type == "mps":
        place = torch.device("cpu")  # MPS has no float64
    subject = prepare(found, wanted, {}, images=images, device=place)
    if "side" in settings:
        subject = replace(subject, inputs=enlarged(subject.inputs, settings["side"]))
    if settings.get("wide"):
        subject.model.double()
        subject = replace(subject, inputs=widened(subject.inputs))
    return subject


def fresh(settings: dict[str, Any]) -> Loaded:
    """The net that a training with these settings would begin with, its convolutions multiplied by `gain`."""
    images = train.loaded(settings["data"])
    channels, height, width = images.shape
    options = {"classes": len(images.classes), "channels": channels, "size": min(height, width)}
    found = load(f"net:{settings['net']}", options={**options, **settings.get("options", {})}, seed=settings["seed"])
    with torch.no_grad():
        for module in found.model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.mul_(settings.get("gain", 1.0))
    return found


def enlarged(inputs: Inputs, side: int) -> Inputs:
    return replace(inputs, batches=[(F.interpolate(x, size=(side, side)), labels) for x, labels in inputs.batches])


def widened(inputs: Inputs) -> Inputs:
    return replace(inputs, batches=[(x.double(), labels) for x, labels in inputs.batches])


def samples(settings: dict[str, Any]) -> int:
    return int(settings.get("samples", SAMPLES))


def passes(settings: dict[str, Any], many: float) -> float:
    """CPU seconds of `many` forward passes over the images, on the machine of docs/claims.md; a backward is two."""
    data = train.loaded(settings["data"])
    size = settings.get("side", min(data.shape[1:]))
    net = suited(train.net_of(settings), classes=len(data.classes), shape=(data.shape[0], size, size))
    return START + many * (samples(settings) * count(net).macs / PER_SECOND + PER_LAYER * net.depth)
