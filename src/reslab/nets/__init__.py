"""Build the papers' residual networks exactly, and nets of other libraries. Modules are imported on first use."""

from typing import TYPE_CHECKING

from reslab.lazy import lazy

if TYPE_CHECKING:
    from reslab.nets.catalog import Net, Spec, build, from_dict, names, net, spec, to_dict
    from reslab.nets.checkpoints import read_state
    from reslab.nets.counts import Counts, Layer, count, layers
    from reslab.nets.matched import Match
    from reslab.nets.matching import match
    from reslab.nets.model import Model, ModelSpec
    from reslab.nets.options import NetOptions
    from reslab.nets.resnet import ResNet, ResNetSpec
    from reslab.nets.suiting import suited
    from reslab.nets.vgg import VGG, VGGSpec
    from reslab.nets.weights import insert, load, read_spec

HOME = {  # public name: its module here
    "Counts": ".counts",
    "Layer": ".counts",
    "Match": ".matched",
    "Model": ".model",
    "ModelSpec": ".model",
    "Net": ".catalog",
    "NetOptions": ".options",
    "ResNet": ".resnet",
    "ResNetSpec": ".resnet",
    "Spec": ".catalog",
    "VGG": ".vgg",
    "VGGSpec": ".vgg",
    "build": ".catalog",
    "count": ".counts",
    "from_dict": ".catalog",
    "insert": ".weights",
    "layers": ".counts",
    "load": ".weights",
    "match": ".matching",
    "names": ".catalog",
    "net": ".catalog",
    "read_spec": ".weights",
    "read_state": ".checkpoints",
    "spec": ".catalog",
    "suited": ".suiting",
    "to_dict": ".catalog",
}

__all__ = [
    "VGG",
    "Counts",
    "Layer",
    "Match",
    "Model",
    "ModelSpec",
    "Net",
    "NetOptions",
    "ResNet",
    "ResNetSpec",
    "Spec",
    "VGGSpec",
    "build",
    "count",
    "from_dict",
    "insert",
    "layers",
    "load",
    "match",
    "names",
    "net",
    "read_spec",
    "read_state",
    "spec",
    "suited",
    "to_dict",
]

if not TYPE_CHECKING:  # otherwise a type checker accepts any name
    __getattr__, __dir__ = lazy(__name__, HOME, __all__)
