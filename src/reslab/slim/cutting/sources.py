"""Where a model comes from, as Python that builds its intact architecture: timm, torchvision or the user's own file."""

import ast
import contextlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from reslab.nets.model import ModelSpec
from reslab.slim.cutting.changes import assigned
from reslab.slim.cutting.forms import Given, NotExpressed
from reslab.slim.cutting.ownfiles import Source, of_file, written

ELSEWHERE = ("url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "custom_load")  # of timm's weights


def sources(given: Given) -> list[Source]:
    """What may build the model, the best first: the file that the user named, then its library."""
    model, spec = given.model, getattr(given.model, "spec", None)
    spec = spec if isinstance(spec, ModelSpec) else None
    word, arguments = (spec.word, dict(spec.arguments)) if spec else (given.word, {})
    found = list[Source | None]()
    file, _, function = word.rpartition(":")
    if file.endswith(".py"):
        head = vars(model).get("new_head", "").partition(" ")[0]  # reslab replaced it
        more = [assigned(model, head, f"nn.{model.get_submodule(head)!r}")] if head else []
        for made in of_file(Path(file).expanduser().resolve(), function, arguments, spec.classes if spec else None):
            found.append(replace(made, build=(*made.build, *more)))
    if in_library(model, "timm"):
        found.append(of_timm(model))
    if in_library(model, "transformers"):
        found.append(of_transformers(model))
    if in_library(model, "torchvision"):
        origin, _, name = word.partition(":")
        found.append(of_torchvision(model, [name] if origin == "torchvision" else [], arguments))
    return [source for source in found if source is not None]


def in_library(model: nn.Module, library: str) -> bool:
    """Whether the model's class is the library's own."""
    return type(model).__module__.partition(".")[0] == library and library in sys.modules


def timm_arguments(model: Any) -> tuple[str, dict[str, Any]] | None:
    """(architecture, arguments of create_model) of a model of timm; None if it was made without create_model."""
    about = getattr(model, "pretrained_cfg", None) or {}
    name, given = about.get("architecture"), getattr(model, "_model_args", None)
    if not name or given is None:
        return None
    current = {"num_classes": getattr(model, "num_classes", None)}
    return name, {**given, **{key: value for key, value in current.items() if value is not None}}


def timm_about(model: Any) -> dict[str, Any]:
    """What timm keeps beside a model's weights, as Python can write it: normalization, crop, names of classes, license.

    The architecture's name alone stands for the default weights', whose normalization may be another one. Where the
    weights lie is left out: those of the smaller model are its own.
    """
    found = {}
    for key, value in (getattr(model, "pretrained_cfg", None) or {}).items():
        with contextlib.suppress(ValueError, SyntaxError):
            if value is not None and key not in ELSEWHERE and ast.literal_eval(repr(value)) == value:
                found[key] = value
    return found


def of_timm(model: nn.Module) -> Source | None:
    found = timm_arguments(model)
    if found is None:
        return None
    name, arguments = found
    about = {"pretrained_cfg": about} if (about := timm_about(model)) else {}
    return Source(f"timm's {name}", ("import timm",),
                  (f"net = timm.create_model({name!r}{written({**arguments, **about})})",))  # fmt: skip


def of_transformers(model: Any) -> Source | None:
    """The model's class, called with its config; None for a module of the library that has none of its own."""
    if not hasattr(model, "config") or not hasattr(model, "save_pretrained"):
        return None
    from reslab.slim.cutting.building import as_built  # imported here: only such models need it

    try:
        options, _ = as_built(model)
    except NotExpressed:  # it was edited: `transformers.express` has said so
        return None
    fields = {key: value for key, value in model.config.to_diff_dict().items() if not key.startswith("_")}
    if kernels := getattr(model.config, "_attn_implementation", None):
        fields["attn_implementation"] = kernels
    kind, config = type(model).__name__, type(model.config).__name__
    if any(getattr(sys.modules["transformers"], each.__name__, None) is not each
           for each in (type(model), type(model.config))):  # fmt: skip
        return None
    return Source(f"transformers' {kind}", ("import transformers",),
                  (f"config = transformers.{config}.from_dict({fields!r})",
                   f"net = transformers.{kind}(config{written(options)})"))  # fmt: skip


def of_torchvision(model: nn.Module, names: list[str], arguments: Mapping[str, Any]) -> Source | None:
    """The builder of torchvision that gives modules and shapes like the model's."""
    for name in names or builders(type(model).__module__):
        options = {**options_of(name, model), **arguments}
        if like(model, name, options):
            return Source(f"torchvision's {name}", ("from torchvision import models",),
                          (f"net = models.{name}(weights=None{written(options)})",))  # fmt: skip
    return None


def builders(module: str) -> Iterator[str]:
    """The names of the models that a module of torchvision builds."""
    from torchvision import models

    for name in models.list_models():
        if models.get_model_builder(name).__module__ == module:
            yield name


def options_of(name: str, model: nn.Module) -> dict[str, Any]:
    """The arguments of a builder of torchvision that can be read off the model: classes, size, auxiliary heads."""
    from torchvision import models

    takes = inspect.signature(models.get_model_builder(name)).parameters
    last = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1:]
    found: dict[str, Any] = {}
    for layer in last:
        found["num_classes"] = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    size = getattr(model, "image_size", None)
    if isinstance(size, int) and size != 224:
        found["image_size"] = size
    if name in ("googlenet", "inception_v3"):
        found |= {"aux_logits": bool(getattr(model, "aux_logits", False)), "init_weights": False}
        found["transform_input"] = bool(getattr(model, "transform_input", False))
    if "weights_backbone" in takes:
        found["weights_backbone"] = None
    return found


def like(model: nn.Module, name: str, options: Mapping[str, Any]) -> bool:
    """Whether the builder gives a net with the model's tensors."""
    from torchvision import models

    try:
        with NoWeights(), torch.random.fork_rng(devices=[]):
            net = models.get_model_builder(name)(weights=None, **options)
    except Exception:  # it takes no such arguments
        return False
    shapes = {key: value.shape for key, value in net.state_dict().items()}
    return shapes == {key: value.shape for key, value in model.state_dict().items()}


class NoWeights(TorchFunctionMode):
    """Inside, empty tensors, as weights are made, take no memory; others have values: RegNet computes its widths."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)
