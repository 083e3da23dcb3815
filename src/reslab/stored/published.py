"""Folders of the Hugging Face Hub that hold a net of reslab: config.json names its spec, model.safetensors its weights.

`reslab push` writes them, and so does huggingface_hub's PyTorchModelHubMixin for a class that builds a net of reslab.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MARK = "reslab_model"  # in a config.json that `reslab push` wrote: its format
EXPORTED = "reslab_export"  # in one that `reslab export` wrote
FORMAT = 1
NAMES = {"spec.json": CONFIG, "weights.safetensors": WEIGHTS}  # what a run folder calls it: what the Hub does
OTHERS = ("model_type", "architecture", EXPORTED)  # in the config of transformers, of timm, of an exported folder
FIELDS = {  # by which a spec without its family is told apart, in this order
    "resnet": {"stages", "widths", "block"},
    "vgg": {"stages", "widths", "head"},
    "qa": {"encoder", "head", "length"},
    "table": {"numbers", "categories", "embedding"},
}
NAME = re.compile(r"(cifar_)?(resnet|plain|vgg)\d+\w*(\.\d)?")
NAMED = "named"  # the family of a spec that is a name with options


def spec_in(config: Any) -> dict[str, Any] | None:
    """The spec that a config.json names; None if it names none.

    `reslab push` stores it under "spec", and its family beside it, as the dataclass has no field for that.
    PyTorchModelHubMixin stores the arguments of a class's __init__: a spec as a dict or a dataclass, which leaves out
    its family; the fields of a spec; or a net's name with options.
    """
    if not isinstance(config, Mapping) or any(key in config for key in OTHERS):
        return None
    inner = [one for one in config.values() if isinstance(one, Mapping)]
    for one in (config.get("spec"), config, *inner):
        if isinstance(one, Mapping) and (family := family_of(one, config.get("family"))):
            return {"family": family, **one}
    for key in ("net", "name", "spec"):
        if isinstance(name := config.get(key), str) and NAME.fullmatch(name):
            return {**{k: v for k, v in config.items() if k != key}, "name": name, "family": NAMED}
    return None


def family_of(spec: Mapping[str, Any], beside: Any = None) -> str | None:
    """The family that a stored spec, or the config `beside` it, names; or whose fields the spec has."""
    if isinstance(named := spec.get("family", beside), str) and named in (*FIELDS, "model"):
        return named
    return next((family for family, fields in FIELDS.items() if fields <= spec.keys()), None)


def read_config(folder: Path) -> dict[str, Any] | None:
    """The config.json of a folder; None if there is none, or it is no object. Nothing is checked."""
    try:
        found = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_published(folder: Path) -> bool:
    """Whether the folder holds a net of reslab under the Hub's names. Nothing is checked yet."""
    config = read_config(folder)
    return config is not None and (MARK in config or (spec_in(config) is not None and (folder / WEIGHTS).exists()))


def is_marked_export(folder: Path) -> bool:
    """Whether the folder's config.json says that `reslab export` wrote it. Nothing is checked yet."""
    return EXPORTED in (read_config(folder) or {})
