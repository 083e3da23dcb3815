"""The names of a model's classes, and the license of its weights, as far as the model says them itself."""

import importlib
from pathlib import Path
from typing import Any

from torch import nn

from reslab.nets.words import Loaded
from reslab.train.start import START


def names(loaded: Loaded, many: int) -> tuple[str, ...] | None:
    """The model's own names of its `many` classes; None if it has none, or none of them was trained."""
    if loaded.initial:
        return None
    origin, _, rest = loaded.word.partition(":")
    found = {"timm": of_timm, "torchvision": of_torchvision}.get(origin, of_config)(loaded.model, rest)
    return tuple(map(str, found)) if found is not None and len(found) == many else None


def of_config(model: nn.Module, _: str) -> list[str] | None:
    """transformers keeps them in the config; LABEL_0, LABEL_1, ... are its placeholders."""
    known = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(known, dict) or sorted(known) != list(range(len(known))):
        return None
    found = [str(known[k]) for k in range(len(known))]
    return None if found == [f"LABEL_{k}" for k in range(len(found))] else found


def of_torchvision(model: nn.Module, name: str) -> list[str] | None:
    """Those of its pretrained weights."""
    models: Any = importlib.import_module("torchvision.models")
    found = models.get_model_weights(name).DEFAULT.meta.get("categories")
    return list(found) if found else None


def of_timm(model: Any, _: str) -> list[str] | None:
    """Those of the checkpoint, or of the ImageNet subset that it was trained on."""
    about = model.pretrained_cfg
    if about.get("label_names"):
        return list(about["label_names"])
    data: Any = importlib.import_module("timm.data")
    subset = data.infer_imagenet_subset(model)
    return list(data.ImageNetInfo(subset).label_descriptions()) if subset else None


def license_of(loaded: Loaded) -> str:
    """The license of the weights: its SPDX name where one is stated, otherwise a sentence that says why none is."""
    if loaded.initial:
        return "none: the weights are random"
    if loaded.run is not None:
        if loaded.run.has(START):
            first = Path(str(loaded.run.read_json("start.json").get("word", "other weights"))).name
            return f"not stated: trained by its owner from {first}, whose license applies, too"
        return "not stated: trained by its owner"
    about = getattr(loaded.model, "pretrained_cfg", None) if loaded.word.startswith("timm:") else None
    if about and about.get("license"):
        return str(about["license"])
    return card_license(loaded) or "unknown: the model does not state it"


def card_license(loaded: Loaded) -> str | None:
    """`license:` at the head of a Hugging Face model's README.md, in its folder or in the local cache."""
    place = loaded.word.removeprefix("hf:")
    card: Path | None = Path(place).expanduser() / "README.md"
    if not Path(place).expanduser().is_dir():
        if getattr(loaded.model, "config", None) is None or "/" not in place:
            return None
        hub: Any = importlib.import_module("huggingface_hub")
        found = hub.try_to_load_from_cache(place, "README.md")
        card = Path(found) if isinstance(found, str) else None
    if card is None or not card.is_file():
        return None
    head = card.read_text(encoding="utf-8", errors="replace")[:20_000].split("---")
    lines = head[1].splitlines() if len(head) > 2 and not head[0].strip() else []
    stated = [line.partition(":")[2].strip().strip("\"'") for line in lines if line.startswith("license:")]
    return stated[0] if stated and stated[0] else None
