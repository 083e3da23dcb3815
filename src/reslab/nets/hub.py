"""Names on the Hugging Face hub, and a quiet transformers."""

import contextlib
import logging
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError, first_line, tell
from reslab.extras import need

PART = r"\w([\w.-]*\w)?"
HUB_NAME = re.compile(rf"{PART}(/{PART})?", re.ASCII)
HUB = "https://huggingface.co"
PATIENCE = 6.0  # seconds until a host counts as unreachable: the libraries try for up to minutes
LONGEST = 96  # characters of NAME, and of OWNER
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")  # one of them comes with every model
LIBRARY_NAME = re.compile(r"\w+(\.\w+)?", re.ASCII)  # timm's end in their weights: resnet18.a1_in1k


def on_hub(name: str) -> bool:
    """Whether the Hub's rules allow a name: NAME or OWNER/NAME, each at most 96 characters, no --, no .., no .git."""
    return (
        HUB_NAME.fullmatch(name) is not None
        and max(map(len, name.split("/"))) <= LONGEST
        and not any(part in name for part in ("--", ".."))
        and not name.endswith(".git")
    )


def hub_name(name: str) -> str:
    """A name on the Hugging Face Hub, checked before a library sees it: libraries read local folders of the same name.

    Raises UsageError for an invalid name, and for one that is a file or folder here.
    """
    if not on_hub(name):
        raise UsageError(f"hf:{name} is not a name on the Hugging Face Hub; write hf:NAME or hf:OWNER/NAME")
    if Path(name).exists():
        raise UsageError(f"hf:{name} is also a file or folder here, which would be read instead; to use it, "
                         "remove hf:; to use the Hub's, change the working folder")  # fmt: skip
    return name


def library_name(library: str, name: str) -> str:
    """A model's name in timm or torchvision, checked before the library sees it: timm's may point elsewhere."""
    if not LIBRARY_NAME.fullmatch(name):
        raise UsageError(f"{library}:{name} is not a model's name; write {library}:NAME, such as {library}:resnet18, "
                         "and for the Hugging Face Hub hf:NAME")  # fmt: skip
    return name


def location(name: Path | str) -> str:
    """The folder, or the name on the Hub, for transformers. Raises UsageError if it can be neither."""
    folder = Path(os.path.expanduser(name))
    if not folder.is_dir() and (isinstance(name, Path) or not on_hub(name)):
        raise UsageError(f"the encoder {name}: no such folder")
    return str(folder) if folder.is_dir() else str(name)


@contextlib.contextmanager
def loading(name: str, what: str) -> Iterator[None]:
    """Turn the many errors of loading a folder or a name on the hub into one sentence about `what`."""
    try:
        ready = Path(name).is_dir() or in_cache(name)
        announce(name, here=ready)
        if not ready and (why := unreachable(endpoint())):
            raise ReslabError(f"could not download {name} from the Hugging Face Hub: {why}")
        yield
    except (ReslabError, MemoryError):
        raise
    except Exception as error:  # transformers, the hub and safetensors raise nearly anything for damaged files
        reason, here = first_line(error), Path(name).is_dir()
        if "trust_remote_code" in str(error):
            raise UsageError(f"{what} needs custom Python code from the Hub, which reslab does not run") from error
        if "safetensors" in reason and isinstance(error, OSError):
            raise UsageError(
                f"{what} has no model.safetensors; other weight files can run code and are not read: convert them"
            ) from error
        if not here and isinstance(error, OSError):
            raise ReslabError(f"could not download {name} from the Hugging Face Hub: {reason}") from error
        doctor = "; `reslab doctor` reports known problems" if "import" in reason.lower() else ""
        raise ReslabError(f"{what} cannot be loaded: {reason}{doctor}") from error


def announce(name: str, *, here: bool) -> None:
    """Log that the Hub is asked: with a slow network it takes a while.

    `here`: nothing is logged for a folder, or for what is in the local cache. The command line shows what is logged.
    """
    if not here:
        tell("asking the Hugging Face Hub for %s ...", name)


def endpoint() -> str:
    """The address of the Hub, or of the mirror that HF_ENDPOINT names now or named when its library was imported."""
    if named := os.environ.get("HF_ENDPOINT"):
        return named
    try:
        from huggingface_hub import constants
    except ImportError:  # whoever loads the model says what is missing
        return HUB
    return str(getattr(constants, "ENDPOINT", HUB))


def unreachable(url: str) -> str:
    """Why a host does not answer within a few seconds; "" if it does. Proxies of the environment are used."""
    place = "/".join(url.split("/")[:3])
    try:
        urllib.request.urlopen(urllib.request.Request(place, method="HEAD"), timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return ""  # it answers
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None)
        return first_line(why if isinstance(why, BaseException) else error)
    return ""


def in_cache(name: str) -> bool:
    """Whether some file of the model `name` is in the local cache of the Hub, or the Hub must not be asked."""
    try:
        from huggingface_hub import constants, try_to_load_from_cache
    except ImportError:  # whoever loads the model says what is missing
        return True
    return bool(constants.HF_HUB_OFFLINE) or any(isinstance(try_to_load_from_cache(name, file), str) for file in FILES)


def data_set_in_cache(datasets: Any, name: str) -> bool:
    """Whether the library `datasets` has prepared this data set before."""
    folder = getattr(getattr(datasets, "config", None), "HF_DATASETS_CACHE", None)
    return folder is not None and Path(folder, name.replace("/", "___")).is_dir()


@contextlib.contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Inside, a library shows no progress bars and reports."""
    talk = transformers.utils.logging
    level, bars = talk.get_verbosity(), talk.is_progress_bar_enabled()
    hub = logging.getLogger("huggingface_hub")
    before = hub.level
    talk.set_verbosity_error()
    talk.disable_progress_bar()
    hub.setLevel(logging.ERROR)  # it reports every retry
    try:
        yield
    finally:
        talk.set_verbosity(level)
        hub.setLevel(before)
        if bars:
            talk.enable_progress_bar()


def hub_data_set(name: str) -> Any:
    """The splits of a data set on the hub, by name. Raises UsageError for no name or without the extra `data`.

    Raises ReslabError if it cannot be loaded.
    """
    hub_name(name)
    datasets = need("datasets", extra="data", why=f"hf:{name}")
    announce(name, here=data_set_in_cache(datasets, name))
    try:
        return datasets.load_dataset(name)
    except Exception as error:  # Hub, network, file system: `datasets` raises nearly anything
        raise ReslabError(f"could not load the data set hf:{name}: {first_line(error)}") from error
