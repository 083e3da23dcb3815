"""hf:OWNER/NAME and hf:FOLDER, where they hold a model of reslab: the folder on this machine. No torch."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from reslab.errors import ReslabError, UsageError, first_line, tell
from reslab.extras import need
from reslab.nets.hub import announce, endpoint, hub_name, on_hub, unreachable
from reslab.stored.published import (
    CONFIG,
    EXPORTED,
    MARK,
    WEIGHTS,
    is_marked_export,
    is_published,
    read_config,
    spec_in,
)
from reslab.stored.read import read_json

PREFIX = "hf:"
SUMS = "checksums.json"  # of a folder that `reslab export` wrote
# What a run has on the Hub. Nothing else is downloaded: no pickled weights, no code.
OURS = (CONFIG, WEIGHTS, "*.json", "*.toml", "LICENSE", "README.md", "tokenizer/*.json", "encoder/*.json",
        "encoder.safetensors", "text-encoder/*", "s*/*.json", "s*/*.toml", f"s*/{WEIGHTS}", "s*/encoder.safetensors",
        "results/*.json")  # fmt: skip


def local(word: Path | str) -> Path:
    """The folder of a word that should name a model of reslab: a path as it is, hf:OWNER/NAME downloaded once.

    Raises UsageError for an hf: word that names no model of reslab, ReslabError if it cannot be downloaded.
    """
    text = str(word)
    if not text.startswith(PREFIX):
        return Path(word)
    name = text.removeprefix(PREFIX)
    if not Path(os.path.expanduser(name)).is_dir():
        hub_name(name)
        need("huggingface_hub", extra="ship", why=text)
    found = folder_of(text)
    if found is None:
        raise UsageError(f"{text} holds no model of reslab: its {CONFIG} names no spec; reslab.model({text!r}) loads "
                         "models of transformers")  # fmt: skip
    return found


def folder_of(word: str) -> Path | None:
    """The folder that an hf: word names if it holds a model of reslab, exported or not; None if it holds another.

    A folder here comes before a name on the Hub, and is announced. Raises ReslabError if the Hub cannot be asked, or
    has no such model.
    """
    name = word.removeprefix(PREFIX)
    folder = Path(os.path.expanduser(name))
    if name and folder.is_dir():
        if not ours(folder):
            return None
        if on_hub(name):
            tell("%s is the folder of this name here, not the model on the Hugging Face Hub", word)
        return folder
    if not on_hub(name) or folder.exists():
        return None  # whoever asked says why it is no name
    return downloaded(name)


def published(word: str) -> Path | None:
    """The folder of a model of reslab that a word names, as a folder under the Hub's names or by hf:; None for others.

    Raises UsageError for an exported folder, which has no net to load.
    """
    path = Path(os.path.expanduser(word))
    folder = folder_of(word) if word.startswith(PREFIX) else path if path.is_dir() and ours(path) else None
    if folder is not None and is_marked_export(folder):
        raise UsageError(f"{word} is an exported folder, which only predicts: `reslab predict {word}` and "
                         f"reslab.predict({word!r}) use it")  # fmt: skip
    return folder


def ours(folder: Path) -> bool:
    """Whether a folder under the Hub's names holds a model of reslab, exported or not."""
    return is_published(folder) or is_marked_export(folder)


@lru_cache(maxsize=64)
def downloaded(name: str) -> Path | None:
    """The model from the Hub, or from its cache here; None if it is none of reslab's. Only its config is read first."""
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError:
        return None  # whoever loads the model says what is missing
    errors = part("errors")
    with asking(hub, name), without_bars():
        announce(name, here=part("constants").HF_HUB_OFFLINE or cached(hub, name))
        try:
            config = read_config(Path(hub.hf_hub_download(name, CONFIG)).parent)
        except errors.LocalEntryNotFoundError:
            raise
        except errors.EntryNotFoundError:
            return None
        if config is None:
            return None
        if EXPORTED in config:
            sums = read_json(Path(hub.hf_hub_download(name, SUMS)), needs=("sha256",))["sha256"]
            listed = [one for one in sums if not PurePosixPath(one).is_absolute() and ".." not in one]
            return Path(hub.snapshot_download(name, allow_patterns=[SUMS, *map(literal, listed)]))
        if MARK not in config and spec_in(config) is None:
            return None
        return Path(hub.snapshot_download(name, allow_patterns=list(OURS)))


def part(name: str) -> Any:
    """A module of the Hub's library, which imports them on first use."""
    return importlib.import_module(f"huggingface_hub.{name}")


@contextmanager
def without_bars() -> Iterator[None]:
    """Inside, the Hub's library shows no progress bars."""
    talk = part("utils")
    before = talk.are_progress_bars_disabled()
    talk.disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            talk.enable_progress_bars()


def literal(name: str) -> str:
    """A file's name as a pattern that matches it alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def cached(hub: Any, name: str) -> bool:
    return isinstance(hub.try_to_load_from_cache(name, CONFIG), str)


@contextmanager
def asking(hub: Any, name: str) -> Iterator[None]:
    """Turn the many errors of the Hub's library into one sentence about the model `name`."""
    errors = part("errors")
    try:
        if not (part("constants").HF_HUB_OFFLINE or cached(hub, name)) and (why := unreachable(endpoint())):
            raise ReslabError(f"could not download {name} from the Hugging Face Hub: {why}")
        yield
    except (ReslabError, MemoryError):
        raise
    except errors.RepositoryNotFoundError as error:
        raise UsageError(f"the Hugging Face Hub has no model {name}, or it is private and you are not logged in "
                         "(`hf auth login`)") from error  # fmt: skip
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise ReslabError(f"{name} is not in the cache of the Hugging Face Hub here, and the Hub cannot be asked: "
                          "the network is off (HF_HUB_OFFLINE) or not reachable") from error  # fmt: skip
    except Exception as error:  # its HTTP library, its cache and the file system raise nearly anything
        raise ReslabError(f"could not download {name} from the Hugging Face Hub: {first_line(error)}") from error
