"""Save a transformers model so that the plain library loads it, and check that it does."""

import contextlib
import inspect
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reslab.errors import ReslabError, first_line
from reslab.look.graph.example import Example, scores
from reslab.look.graph.passes import as_it_was, call
from reslab.nets.hub import quiet
from reslab.slim.cutting.cached import compare_cache
from reslab.slim.cutting.forms import apart, quoted

BESIDE = ("*tokenizer*.json", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.tiktoken",
          "spiece.model", "*tokenizer*.model", "sentencepiece*.model", "*processor_config.json", "chat_template.*",
          "LICENSE*", "NOTICE*")  # fmt: skip


def line(model: nn.Module, folder: Path | str, options: Mapping[str, Any]) -> str:
    """The line that loads it: a class of transformers and from_pretrained."""
    kind, more = type(model), "".join(f", {key}={value!r}" for key, value in options.items())
    where = "transformers" if getattr(sys.modules["transformers"], kind.__name__, None) is kind else kind.__module__
    return f"{where}.{kind.__name__}.from_pretrained({quoted(str(folder))}{more})"


def save(model: nn.Module, folder: Path, *, example: Example, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Write config.json and model.safetensors, and load them again with transformers alone; notes on what was checked.

    Raises ReslabError, and writes nothing, unless the loaded model has every weight and no other one, outputs that
    differ by 0.0, and, if it generates, the same tokens with its cache as without. Other files of the folder stay.
    """
    import transformers

    given: Any = model
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as aside, quiet(transformers):
        try:
            given.save_pretrained(aside)
            came = companions(place_of(model), Path(aside))
            again, info = type(given).from_pretrained(
                aside, output_loading_info=True, use_safetensors=True, local_files_only=True,
                attn_implementation=getattr(given.config, "_attn_implementation", None), **options,
            )  # fmt: skip
        except (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            reason = first_line(error).replace(aside, "it")
            raise ReslabError(f"{type(model).__name__} cannot be saved and loaded by transformers: {reason}") from error
        notes = checked(model, again.to(next(model.parameters()).device), info, example)
        for file in Path(aside).iterdir():
            file.replace(folder / file.name)
    return (*notes, *([f"copied from the intact model's folder: {', '.join(came)}"] if came else []))


def place_of(model: Any) -> str:
    """Where a model of transformers was loaded from: a folder or a name on the Hub; "" if it was made of a config."""
    return str(getattr(model, "name_or_path", "") or getattr(model.config, "_name_or_path", "") or "")


def companions(place: str, folder: Path) -> tuple[str, ...]:
    """Copy what lies beside the intact model's weights and holds for the smaller one, too; the names of the files.

    `place`: a folder, or a name on the Hub, of which the local cache is read alone. Without them a reload would take no
    tokenizer, no normalization, or another way to generate. A file that was written already stays.
    """
    source = Path(place)
    if place and not source.is_dir():
        from huggingface_hub import try_to_load_from_cache

        with contextlib.suppress(ValueError):  # it is no name of the Hub
            found = try_to_load_from_cache(place, "config.json")
            source = Path(found).parent if isinstance(found, str) else source
    if not place or not source.is_dir():
        return ()
    names = sorted({file.name for pattern in BESIDE for file in source.glob(pattern) if file.is_file()})
    came = [name for name in names if not (folder / name).exists()]
    for name in came:
        shutil.copyfile(source / name, folder / name)
    return tuple(came)


def checked(model: nn.Module, again: nn.Module, info: Mapping[str, Any], example: Example) -> tuple[str, ...]:
    """Compare a loaded model with the one that was saved; `info`: what the library reported. Raises ReslabError."""
    name = type(model).__name__
    for tensor in (*again.parameters(), *again.buffers()):
        tensor.data = tensor.data.clone()  # as aligned in memory as the model's own: that changes the last digits
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[kind]:
            raise ReslabError(f"{name} is not saved: loading it, transformers reports {len(info[kind])} "
                              f"{kind.replace('_', ' ')}, such as {min(map(str, info[kind]))}")  # fmt: skip
    with as_it_was(model), as_it_was(again), torch.no_grad():
        far = apart(scores(call(again, example)), scores(call(model, example)))
        if far:
            raise ReslabError(f"{name} is not saved: after loading, its outputs differ by {far:.2g}")
        notes = ["loaded by transformers: no missing or unexpected weights, outputs differ by 0.0"]
        if generates(again):
            notes.append(compare_cache(again, example))
    return tuple(notes)


def generates(model: nn.Module) -> bool:
    """Whether it has a head for `generate`."""
    able = getattr(model, "can_generate", None)
    return inspect.ismethod(able) and bool(able())
