"""A model of timm without blocks, as timm's own folder: config.json with smaller depths, and model.safetensors."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reslab.errors import ReslabError
from reslab.slim.cutting.changes import changed, changes
from reslab.slim.cutting.forms import FOLDER, Given, Made, NotExpressed
from reslab.slim.cutting.sources import in_library, timm_about, timm_arguments
from reslab.slim.cutting.written import write_checked

STAGES = ("layers", "depths")  # arguments with a number of blocks for each stage
TOTAL = ("depth", "num_blocks", "depths", "layers")  # with one for all


def express(given: Given) -> Made | None:
    """The model that `timm.create_model` builds with fewer blocks; None for a model of another library.

    Raises NotExpressed if no argument of its architecture gives what would be left.
    """
    if not in_library(given.model, "timm"):
        return None
    found = timm_arguments(given.model)
    if found is None:
        raise NotExpressed(f"{type(given.model).__name__} was not made by timm.create_model, so timm cannot make "
                           "a smaller one")  # fmt: skip
    name, arguments = found
    if kept := [block for block in given.removed if block.kind != "block" or not block.empties]:
        raise NotExpressed(f"timm has no argument for {kept[0].module} without its branch alone")
    arguments["pretrained_cfg"] = timm_about(given.model)
    smaller = changed(given.model, changes(given.removed, whole="delete"))
    why = f"no argument of timm's {name} gives these depths"
    for more in depths(given, smaller):
        made = built(name, {**arguments, **more}, smaller)
        if made is None:
            continue
        words = ", ".join(f"{key}={value}" for key, value in more.items())
        if given.apart(made) <= given.allowed:
            note = f"timm builds it with {words}"
            write = functools.partial(write_folder, {**arguments, **more})
            read = functools.partial(read_folder, like=made)
            loads = f'timm.create_model("local-dir:{FOLDER}", pretrained=True).eval()'
            return Made(form="timm", model=made, loads=loads,
                        save=functools.partial(write_checked, write=write, read=read, example=given.example),
                        notes=(note,))  # fmt: skip
        why = f"timm's {name} with {words} computes something else, as its blocks depend on their place"
    raise NotExpressed(why)


def depths(given: Given, smaller: nn.Module) -> Iterator[dict[str, Any]]:
    """Arguments that may describe how many blocks are left."""
    counts = stages(given, smaller)
    for key in STAGES:
        yield {key: counts}
    for key in TOTAL:
        yield {key: sum(counts)}


def stages(given: Given, smaller: nn.Module) -> list[int]:
    """How many entries are left in each list of blocks, also in lists of which nothing was removed."""
    touched = [block.container for block in given.removed]
    digits = "".join(" " if c.isdigit() else c for c in touched[0])  # stages.0.blocks and stages.1.blocks are alike
    alike = [path for path, module in smaller.named_modules()
             if isinstance(module, nn.Sequential | nn.ModuleList) and len(module)
             and "".join(" " if c.isdigit() else c for c in path) == digits]  # fmt: skip
    return [len(smaller.get_submodule(path)) for path in alike]  # type: ignore[arg-type]


def built(name: str, arguments: dict[str, Any], smaller: nn.Module) -> nn.Module | None:
    """timm's model with these arguments and the weights of `smaller`; None if its tensors differ."""
    import timm

    state = smaller.state_dict()
    first = next(iter(state.values()))
    try:
        with torch.random.fork_rng(devices=[]):
            made: nn.Module = timm.create_model(name, **arguments)
    except Exception:  # it takes no such argument, in many ways
        return None
    shapes = {key: value.shape for key, value in made.state_dict().items()}
    if shapes != {key: value.shape for key, value in state.items()}:
        return None
    made.to(device=first.device, dtype=first.dtype)
    made.load_state_dict(state)
    return made.train(smaller.training)


def write_folder(arguments: dict[str, Any], model: nn.Module, folder: Path) -> None:
    """config.json and model.safetensors, as timm itself writes them, with the names of the model's own classes."""
    from timm.models import save_for_hf

    built_with = {key: value for key, value in arguments.items() if key != "pretrained_cfg"}
    names = own_names(model)
    save_for_hf(model, str(folder), model_config=names, model_args=built_with, safe_serialization=True)


def own_names(model: Any) -> dict[str, Any]:
    """The names of classes that timm keeps, if they are as many as the model has: timm itself leaves some out."""
    about = model.pretrained_cfg
    names, words = about.get("label_names"), about.get("label_descriptions")
    if not names or len(names) != model.num_classes:
        return {}
    return {"label_names": names, **({"label_descriptions": words} if isinstance(words, dict) else {})}


def read_folder(folder: Path, *, like: nn.Module) -> nn.Module:
    """What the line in `loads` does. Raises ReslabError if images would be prepared otherwise than for `like`."""
    import timm

    made: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
    ours, theirs = preparation(like), preparation(made)
    if differ := [key for key in ours if ours[key] != theirs[key]]:
        key = differ[0]
        raise ReslabError(f"the model was not saved: after loading it, timm prepares images with {key} {theirs[key]}, "
                          f"and for the intact model with {ours[key]}")  # fmt: skip
    return made.eval()


def preparation(model: nn.Module) -> dict[str, Any]:
    """How timm prepares images for a model, but for their size: a saved model states the one it was built with."""
    import timm.data

    found = timm.data.resolve_data_config({}, model=model)
    return {key: tuple(value) if isinstance(value, list | tuple) else value
            for key, value in found.items() if key != "input_size"}  # fmt: skip
