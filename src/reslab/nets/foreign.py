"""Models of other libraries: timm's and torchvision's by name, Hugging Face's from a folder or the hub."""

import contextlib
import inspect
import io
import os
import warnings
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, Sentence, UsageError, arg, first_line, nearest
from reslab.extras import need
from reslab.nets.hub import library_name, loading, quiet
from reslab.run import Run

IMAGENET_SHAPE = (3, 224, 224)
HEADS = {  # the end of an architecture's name: the transformers class that loads it, and the kind of its inputs
    "ForMaskedLM": ("AutoModelForMaskedLM", "masked"),
    "ForCausalLM": ("AutoModelForCausalLM", "causal"),
    "LMHeadModel": ("AutoModelForCausalLM", "causal"),
    "ForImageClassification": ("AutoModelForImageClassification", "images"),
    "ForSequenceClassification": ("AutoModelForSequenceClassification", "encoder"),
}


def zoo(library: str, name: str, weights: bool | None) -> dict[str, Any]:
    """A model of timm or torchvision: model, shape, mean_std, notes for `Loaded`; initialized unless `weights`."""
    library_name(library, name)
    need(library, why=f"{library}:{name}")
    try:
        found = timm_model(name, bool(weights)) if library == "timm" else torchvision_model(name, bool(weights))
    except (RuntimeError, OSError) as error:  # operators that do not fit torch's; no network
        raise ReslabError(
            f"{library}:{name} cannot be loaded: {first_line(error)}; `reslab doctor` reports known problems"
        ) from error
    untrained = Sentence("as initialized: ", arg("weights", True), " takes its trained weights")
    return {**found, "notes": () if weights else (untrained,)}


def timm_model(name: str, weights: bool) -> dict[str, Any]:
    import timm

    if name.partition(".")[0] not in timm.list_models():
        raise UsageError(f"timm has no model {name!r}{nearest(name, timm.list_models())}")
    model = timm.create_model(name, pretrained=weights)
    about = getattr(model, "pretrained_cfg", {})
    mean, std = about.get("mean"), about.get("std")
    return {"model": model, "shape": tuple(about.get("input_size") or IMAGENET_SHAPE),
            "mean_std": (list(mean), list(std)) if mean and std else None}  # fmt: skip


def torchvision_model(name: str, weights: bool) -> dict[str, Any]:
    from torchvision import models

    if name not in models.list_models():
        raise UsageError(f"torchvision has no model {name!r}{nearest(name, models.list_models())}")
    builder = models.get_model_builder(name)
    extra = {"weights_backbone": None} if "weights_backbone" in inspect.signature(builder).parameters else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its upcoming changes
        model = builder(weights=None, **extra)
    if weights:
        enum = models.get_model_weights(name)
        model.load_state_dict(enum.DEFAULT.get_state_dict(progress=False, check_hash=True, weights_only=True))
    return {"model": model, "shape": IMAGENET_SHAPE}


def transformers_model(name: str, *, weights: bool, shape_only: bool) -> dict[str, Any]:
    """A model of transformers from a folder or the hub: model, kind, tokenizer, shape, mean_std, notes for `Loaded`.

    Never unpickles and never runs code that comes with a model. Without `weights` it is built from its config, with
    `shape_only` of FakeTensors, which take no memory. Raises UsageError or ReslabError.
    """
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"  # asks a server to convert what is not safetensors
    transformers = need("transformers", extra="text", why=f"{name} is a Hugging Face model and")
    import torch
    from torch._subclasses import FakeTensorMode

    what = name if Path(name).is_dir() else f"hf:{name}"
    with loading(name, what), quiet(transformers), contextlib.redirect_stderr(io.StringIO()):  # its reports, too
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        auto, kind = loaded_by(config)
        loader = getattr(transformers, auto)
        notes: tuple[str, ...] = () if weights else ("random weights, not trained",)
        if weights:
            model, info = loader.from_pretrained(name, config=config, use_safetensors=True, trust_remote_code=False,
                                                 dtype=torch.float32, output_loading_info=True)  # fmt: skip
            missing = sorted(info["missing_keys"])
            if missing:
                notes = (f"{len(missing)} tensors are not in its files and are random: {missing[0]}, ...",)
        else:
            with FakeTensorMode() if shape_only else contextlib.nullcontext():
                model = loader.from_config(config, trust_remote_code=False)
        if hasattr(model.config, "use_cache"):
            model.config.use_cache = False
        found = {"model": model, "kind": kind, "notes": notes}
        if kind == "images":
            return {**found, **pictures(transformers, name, config)}
        return {**found, "tokenizer": tokenizer(transformers, name)}


def loaded_by(config: Any) -> tuple[str, str]:
    """(the transformers class that loads a model of this config, the kind of its inputs)."""
    ending = next((end for arch in config.architectures or [] for end in HEADS if arch.endswith(end)), "")
    sees = not hasattr(config, "vocab_size") and (hasattr(config, "num_channels") or hasattr(config, "image_size"))
    return HEADS.get(ending, ("AutoModel", "images" if sees else "encoder"))


def kind_of(name: str) -> str:
    """The kind of inputs of a model of transformers, from its config alone. Raises as `transformers_model` does."""
    transformers = need("transformers", extra="text", why=f"{name} is a Hugging Face model and")
    with loading(name, name if Path(name).is_dir() else f"hf:{name}"), quiet(transformers):
        return loaded_by(transformers.AutoConfig.from_pretrained(name, trust_remote_code=False))[1]


def model_of_run(run: Run) -> str:
    """The Hugging Face folder in the run folder of a language model. Raises UsageError if it is not finished."""
    if not run.has("model/model.safetensors"):
        raise UsageError(f"{run.folder} holds no trained model yet: its training is not finished")
    return str(run.path("model"))


def tokenizer(transformers: Any, name: str) -> Any:
    """The tokenizer stored with the model, or None."""
    try:
        found = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, TypeError):
        return None
    # If its files are missing, transformers makes an empty one that knows no word.
    return found if len(found) > len(set(found.all_special_ids)) else None


def pictures(transformers: Any, name: str, config: Any) -> dict[str, Any]:
    """Shape and normalization of a vision model's images."""
    size = getattr(config, "image_size", None) or 224
    height, width = size if isinstance(size, list | tuple) else (size, size)
    found: dict[str, Any] = {"shape": (getattr(config, "num_channels", None) or 3, height, width)}
    with contextlib.suppress(OSError, ValueError, KeyError, ImportError, AttributeError):
        about = transformers.ImageProcessingMixin.get_image_processor_dict(name)[0]
        if about.get("do_normalize", True) and about.get("image_mean") and about.get("image_std"):
            found["mean_std"] = (list(about["image_mean"]), list(about["image_std"]))
    return found
