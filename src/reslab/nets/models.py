"""Build nets of timm, torchvision, transformers and of your own Python files, from their specs."""

import contextlib
import inspect
import io
import json
import os
import warnings
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError, first_line, nearest
from reslab.extras import need
from reslab.look.graph.example import scores
from reslab.nets.allowed import allow, refuse_unasked
from reslab.nets.head import fits, replaced
from reslab.nets.hub import hub_name, loading, on_hub, quiet
from reslab.nets.model import LIBRARIES, Model, ModelSpec, Origin, origin_of, refuse_ours, title
from reslab.nets.own import returned, run_function

CLASSES = ("classes", "num_classes")  # parameters of a user's function that are given the number of classes
LEFT_OUT = ("_name_or_path", "id2label", "label2id", "transformers_version", "num_labels", "architectures")
UNSAFE = ("timm_wrapper",)  # its config passes arguments on, among them paths of files


def model_spec(word: str, **options: Any) -> ModelSpec:
    """The spec of a word: timm:NAME, torchvision:NAME, hf:NAME, a Hugging Face folder or FILE.py:FUNCTION.

    `options`: classes, channels, size, and arguments of its function (numbers and booleans). Nothing is built yet;
    hf:NAME reads its config. Raises UsageError for an unknown name or without the library, ReslabError without a
    network.
    """
    refuse_ours(word, options)
    path = Path(os.path.expanduser(word))
    if (path / "config.json").is_file():
        word = f"hf:{path.resolve()}"
    elif path.suffix == ".py" and path.is_file():
        raise UsageError(f"{word}: say which of its functions returns the net, such as {word}:make")
    elif "/" in word and on_hub(word) and not path.exists():
        word = f"hf:{word}"
    origin = origin_of(word)
    base = {"timm": of_timm, "torchvision": of_torchvision, "hf": of_hub, "file": of_file}[origin](word)
    made = replace(base, name=title(word), version=version(origin), **options)
    made.check()
    return made


def version(origin: Origin) -> str:
    """The library and its version: timm 1.0.31."""
    name = LIBRARIES[origin]
    return f"{name} {need(name, why=f'{name} nets').__version__}" if name else ""


def of_timm(word: str) -> ModelSpec:
    name = checked_name(word)
    timm = need("timm", why=word)
    if name.partition(".")[0] not in timm.list_models():
        raise UsageError(f"timm has no model {name!r}{nearest(name, timm.list_models())}")
    about = timm.get_pretrained_cfg(name.partition(".")[0])
    channels, _, size = getattr(about, "input_size", None) or (3, 224, 224)
    return ModelSpec(name=word, word=word, channels=channels, size=size)


def of_torchvision(word: str) -> ModelSpec:
    name = checked_name(word)
    need("torchvision", why=word)
    from torchvision import models

    if name not in models.list_models():
        raise UsageError(f"torchvision has no model {name!r}{nearest(name, models.list_models())}")
    return ModelSpec(name=word, word=word, size=299 if name == "inception_v3" else 224)


def checked_name(word: str) -> str:
    """The NAME of timm:NAME."""
    ModelSpec(name=word, word=word).check()
    return word.partition(":")[2]


def of_hub(word: str) -> ModelSpec:
    """The spec with the config of a folder or of the Hub."""
    place = word.removeprefix("hf:")
    place = place if Path(place).is_absolute() else hub_name(place)
    transformers = need("transformers", extra="text", why=f"{word} is a Hugging Face model and")
    with loading(place, word), quiet(transformers), contextlib.redirect_stderr(io.StringIO()):
        config = transformers.AutoConfig.from_pretrained(place, trust_remote_code=False)
        if type(config) not in transformers.AutoModelForImageClassification._model_mapping:
            raise UsageError(f"{word} ({config.model_type}) is no net for images that transformers can classify with")
        about = json.loads(config.to_json_string(use_diff=False))
    kept = {key: value for key, value in about.items() if key not in LEFT_OUT}
    size = kept.get("image_size") or 224
    return ModelSpec(name=word, word=word, classes=config.num_labels, channels=kept.get("num_channels") or 3,
                     size=size if isinstance(size, int) else min(size), config=kept)  # fmt: skip


def of_file(word: str) -> ModelSpec:
    """The spec with the file's absolute path and digest; naming the file allows it to be run."""
    file, _, function = word.rpartition(":")
    path = Path(os.path.expanduser(file)).resolve()
    if not path.is_file():
        raise UsageError(f"{file}: no such file")
    allow(path, function)
    whole = f"{path}:{function}"
    return ModelSpec(name=whole, word=whole, sha256=digest_of(path))


def digest_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def build_model(spec: ModelSpec) -> Model:
    """The net of a spec, initialized from torch's random state; its outputs are scores (N, classes), not objects.

    Raises UsageError without the library, or for a file that must not be run; ReslabError if it cannot be built.
    """
    make = {"timm": from_timm, "torchvision": from_torchvision, "hf": from_config, "file": from_file}[spec.origin]
    try:
        with warnings.catch_warnings():
            if spec.origin != "file":
                warnings.simplefilter("ignore")  # libraries announce their changes
            net = make(spec)
    except (ReslabError, MemoryError):
        raise
    except Exception as error:  # libraries and users' files raise nearly anything
        then = f"; it was made with {spec.version}" if spec.version else ""
        raise ReslabError(f"{spec.word} cannot be built for {spec.classes} classes: {first_line(error)}{then}; "
                          "`reslab doctor` reports known problems") from error  # fmt: skip
    net.register_forward_hook(as_scores)
    net.spec = spec  # type: ignore[assignment]
    return cast(Model, net)


def as_scores(module: nn.Module, inputs: Any, output: Any) -> Any:
    """A forward hook: the scores of an output that is no tensor (transformers' objects, tuples of training)."""
    return output if isinstance(output, Tensor) else scores(output)


def called_with(spec: ModelSpec) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in spec.arguments.items()}


def from_timm(spec: ModelSpec) -> nn.Module:
    timm = need("timm", why=spec.word)
    net: nn.Module = timm.create_model(checked_name(spec.word), pretrained=False, num_classes=spec.classes,
                                       in_chans=spec.channels, **called_with(spec))  # fmt: skip
    return net


def from_torchvision(spec: ModelSpec) -> nn.Module:
    need("torchvision", why=spec.word)
    from torchvision import models

    name = checked_name(spec.word)
    builder = models.get_model_builder(name)
    takes = inspect.signature(builder).parameters
    extra: dict[str, Any] = {"weights_backbone": None} if "weights_backbone" in takes else {}
    if name in ("googlenet", "inception_v3"):  # their auxiliary heads would make a tuple in training
        extra |= {"aux_logits": False, "init_weights": True, "transform_input": True}  # as their weights expect
    net: nn.Module = builder(weights=None, num_classes=spec.classes, **{**extra, **called_with(spec)})
    return net


def from_config(spec: ModelSpec) -> nn.Module:
    """A transformers model from the config in the spec: no hub, no folder, no code that came with it."""
    transformers = need("transformers", extra="text", why=f"{spec.word} is a Hugging Face model and")
    values = {**spec.config, **called_with(spec)}
    kind = values.pop("model_type", None)
    if kind in UNSAFE:
        raise UsageError(f"{spec.word} is a model of timm inside transformers; name it as timm:NAME")
    values |= {key: value for key, value in (("image_size", spec.size), ("num_channels", spec.channels))
               if key in values and values[key] is not None}  # fmt: skip
    with quiet(transformers), contextlib.redirect_stderr(io.StringIO()):
        config = transformers.AutoConfig.for_model(kind, **values, num_labels=spec.classes)
        net: nn.Module = transformers.AutoModelForImageClassification.from_config(config, trust_remote_code=False)
    return net


def from_file(spec: ModelSpec) -> nn.Module:
    """What the function returns, with a head of the spec's number of classes."""
    file, function = spec.source
    refuse_unasked(file, function)
    if digest_of(file) != spec.sha256:
        warnings.warn(f"{file} has changed since the net was made; weights that no longer fit are refused, but other "
                      "changes cannot be noticed", stacklevel=3)  # fmt: skip
    given = dict.fromkeys(CLASSES, spec.classes)
    made, taken = run_function(file, function, offer=given, arguments=called_with(spec))
    net, _, _ = returned(made, spec.word)
    example = torch.zeros(2, spec.channels, spec.size, spec.size)
    found: nn.Module = net
    if fits(found, example, spec.classes) or taken:
        return found
    return replaced(found, example, spec.classes, word=spec.word)
