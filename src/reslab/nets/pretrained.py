"""The pretrained weights of timm, torchvision and transformers, and what these libraries say of their images."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, hub

from reslab.errors import ReslabError, UsageError, arg, first_line, tell
from reslab.extras import need
from reslab.nets.catalog import Spec
from reslab.nets.hub import endpoint, hub_name, in_cache, loading, quiet, unreachable
from reslab.nets.model import ModelSpec
from reslab.nets.models import called_with, checked_name

OTHER_WAY = ("on a machine with a network they can be saved to a file, which ", arg("start"), " takes")
RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers


@dataclass(frozen=True, kw_only=True)
class About:
    """What a library says of the images that its weights were trained on; None: nothing."""

    mean: tuple[float, ...] | None = None  # of pixels in 0..1, for each channel
    std: tuple[float, ...] | None = None
    interpolation: str | None = None
    classes: tuple[str, ...] | None = None
    channels: int = 3


def refuse_ours(spec: Spec) -> None:
    """Raise UsageError for a net that has no pretrained weights of a library."""
    if isinstance(spec, ModelSpec) and spec.origin != "file":
        return
    what = "a net of your own file" if isinstance(spec, ModelSpec) else "reslab's own net"
    raise UsageError(f"{spec.name} is {what}, for which no library offers pretrained weights; ", arg("start"),
                     " takes a run or a checkpoint file, and ", arg("net", "timm:resnet18"), " and the like have "
                     "pretrained weights")  # fmt: skip


def about(spec: Spec) -> About:
    """What the library says of its weights for this net. Of the Hub, only the preprocessor's small file is read."""
    refuse_ours(spec)
    assert isinstance(spec, ModelSpec)
    return {"timm": about_timm, "torchvision": about_torchvision, "hf": about_hub}[spec.origin](spec)


def weights_of(spec: Spec) -> dict[str, Tensor]:
    """The library's pretrained weights for this net, downloaded once into the library's own cache.

    Raises UsageError if there are none, ReslabError in one sentence without a network.
    """
    refuse_ours(spec)
    assert isinstance(spec, ModelSpec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {"timm": from_timm, "torchvision": from_torchvision, "hf": from_hub}[spec.origin](spec)
    return {name: tensor.detach() for name, tensor in found.items()}


def about_timm(spec: ModelSpec) -> About:
    cfg = need("timm", why=spec.word).get_pretrained_cfg(checked_name(spec.word))
    if cfg is None or not cfg.has_weights:
        raise UsageError(f"timm has no pretrained weights for {spec.word}; leave out ", arg("start"))
    return About(mean=tuple(cfg.mean), std=tuple(cfg.std), interpolation=cfg.interpolation, channels=cfg.input_size[0])


def from_timm(spec: ModelSpec) -> dict[str, Tensor]:
    timm, about = need("timm", why=spec.word), about_timm(spec)
    cfg = timm.get_pretrained_cfg(checked_name(spec.word))
    place = getattr(cfg, "hf_hub_id", None)
    ready = in_hub_cache(place) if place else in_torch_cache(cfg.url)
    with fetching(spec.word, endpoint() if place else cfg.url, ready=ready):
        net = timm.create_model(checked_name(spec.word), pretrained=True, in_chans=about.channels, **called_with(spec))
    return dict(net.state_dict())


def torchvision_weights(spec: ModelSpec) -> Any:
    need("torchvision", why=spec.word)
    from torchvision import models

    return models.get_model_weights(checked_name(spec.word)).DEFAULT


def about_torchvision(spec: ModelSpec) -> About:
    weights = torchvision_weights(spec)
    how = weights.transforms()
    mean, std = getattr(how, "mean", None), getattr(how, "std", None)
    return About(mean=tuple(mean) if mean else None, std=tuple(std) if std else None,
                 interpolation=getattr(getattr(how, "interpolation", None), "value", None),
                 classes=tuple(weights.meta.get("categories") or ()) or None)  # fmt: skip


def from_torchvision(spec: ModelSpec) -> dict[str, Tensor]:
    weights = torchvision_weights(spec)
    with fetching(spec.word, weights.url, ready=in_torch_cache(weights.url)):
        return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))


def place_of(spec: ModelSpec) -> str:
    """The folder or the name on the Hub."""
    place = spec.word.removeprefix("hf:")
    if Path(place).is_absolute():
        if not Path(place).is_dir():
            raise UsageError(
                f"the weights of {spec.word} are not there any more; name a checkpoint with ", arg("start")
            )
        return place
    return hub_name(place)


def about_hub(spec: ModelSpec) -> About:
    transformers, place = need("transformers", extra="text", why=spec.word), place_of(spec)
    config: Any = None
    with loading(place, spec.word), quiet(transformers):
        config = transformers.AutoConfig.from_pretrained(place, trust_remote_code=False)
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, ImportError, AttributeError):
        found = transformers.ImageProcessingMixin.get_image_processor_dict(place)[0]
    normal = found.get("do_normalize", True) and found.get("image_mean") and found.get("image_std")
    names = [config.id2label[i] for i in sorted(config.id2label)]
    resample = found.get("resample")
    return About(
        mean=tuple(found["image_mean"]) if normal else None, std=tuple(found["image_std"]) if normal else None,
        interpolation=RESAMPLING.get(resample) if isinstance(resample, int) else None, classes=tuple(names),
        channels=getattr(config, "num_channels", None) or 3,
    )  # fmt: skip


def from_hub(spec: ModelSpec) -> dict[str, Tensor]:
    transformers, place = need("transformers", extra="text", why=spec.word), place_of(spec)
    ready = Path(place).is_dir() or in_cache(place)
    with (fetching(spec.word, endpoint(), ready=ready), loading(place, spec.word), quiet(transformers),
          contextlib.redirect_stderr(io.StringIO())):  # fmt: skip
        auto = transformers.AutoModelForImageClassification
        net = auto.from_pretrained(place, use_safetensors=True, trust_remote_code=False)
    return dict(net.state_dict())


@contextlib.contextmanager
def fetching(word: str, url: str, *, ready: bool) -> Iterator[None]:
    """Inside, a library fetches its weights; without a network it is not even asked.

    Raises ReslabError in one sentence that names another way.
    """
    host = url.split("/")[2]
    if not ready:
        tell("downloading the pretrained weights of %s from %s ...", word, host)
        if why := unreachable(url):
            raise ReslabError(f"the pretrained weights of {word} are not in the cache, and {host} cannot be reached "
                              f"({why}); ", *OTHER_WAY)  # fmt: skip
    try:
        yield
    except (ReslabError, MemoryError):
        raise
    except Exception as error:  # of networks, files and libraries
        raise ReslabError(
            f"could not load the pretrained weights of {word}: {first_line(error)}; ", *OTHER_WAY
        ) from error


def in_torch_cache(url: str) -> bool:
    return bool(url) and Path(hub.get_dir(), "checkpoints", url.rpartition("/")[2]).is_file()


def in_hub_cache(name: str) -> bool:
    """Whether some weights of this name are in the Hub's cache, or the Hub must not be asked."""
    try:
        from huggingface_hub import constants, try_to_load_from_cache
    except ImportError:
        return True  # whoever loads them says what is missing
    files = ("model.safetensors", "pytorch_model.bin")
    return bool(constants.HF_HUB_OFFLINE) or any(isinstance(try_to_load_from_cache(name, one), str) for one in files)
