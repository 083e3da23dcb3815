"""Build every residual network of the papers exactly, and its plain twin."""

from reslab.nets.catalog import Spec, build, from_dict, names, net, spec, to_dict
from reslab.nets.count import Counts, Layer, count, layers
from reslab.nets.resnet import ResNet, ResNetSpec
from reslab.nets.vgg import VGG, VGGSpec
from reslab.nets.weights import Match, insert, load, match, read_spec, read_state

__all__ = [
    "VGG",
    "Counts",
    "Layer",
    "Match",
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
    "to_dict",
]
