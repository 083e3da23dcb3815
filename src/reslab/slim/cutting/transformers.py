"""Remove whole layers of a transformers model, so that the library loads what is left: list, indices and config.

By hand this goes wrong silently: deleting layers alone saves a config that still counts them, so a reload makes fresh
random ones; with the count alone, the remaining layers keep their indices, and the cache is read where nobody writes.
Here the model that the shorter config builds is the judge: a config is accepted if it builds, module by module, what is
left of the model, and the outputs equal those of the intact model with these layers disabled.
"""

import contextlib
import copy
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from reslab.errors import UsageError
from reslab.look.graph.example import Example, first_of, scores, with_tensor
from reslab.look.graph.passes import as_it_was, call
from reslab.nets.hub import quiet
from reslab.slim.cutting.building import as_built
from reslab.slim.cutting.fitting import Search, shared
from reslab.slim.cutting.forms import FOLDER, Given, Made, NotExpressed
from reslab.slim.cutting.generation import renumber
from reslab.slim.cutting.saving import line, save


@dataclass(frozen=True, kw_only=True)
class Shortened:
    """A copy of a model without some layers."""

    model: nn.Module
    removed: dict[str, tuple[int, ...]]  # by the path of the list of layers
    changed: tuple[str, ...]  # of the config: "num_hidden_layers: 4 -> 3"
    options: dict[str, Any]  # arguments that its class needs besides the config
    difference: float  # largest, of the outputs, from the intact model with these layers disabled
    notes: tuple[str, ...]


def express(given: Given) -> Made | None:
    """The model that transformers builds from a config with fewer layers; None for a model of another library.

    Raises NotExpressed where no config of the library describes what would be left.
    """
    model = given.model
    if not pretrained_model(model):
        return None
    if getattr(sys.modules.get(type(model).__module__), type(model).__name__, None) is not type(model):
        raise NotExpressed(f"the class {type(model).__qualname__!r} cannot be imported, so no line loads it")
    if parts := [block.module for block in given.removed if block.kind != "block" or not block.empties]:
        raise NotExpressed(f"transformers has no config for a layer without {parts[0]}")
    removed: dict[str, list[int]] = {}
    for block in given.removed:
        removed.setdefault(block.container, []).append(int(block.module.rpartition(".")[2]))
    found = shortened(model, removed, example=given.example)
    return Made(form="transformers", model=found.model, loads=f"{line(found.model, FOLDER, found.options)}.eval()",
                save=functools.partial(save, example=given.example, options=found.options),
                notes=(*(f"config: {each}" for each in found.changed), *found.notes))  # fmt: skip


def pretrained_model(module: Any) -> bool:
    """Whether it is a model of transformers; the library is not imported for the question."""
    library = sys.modules.get("transformers")
    return library is not None and isinstance(module, library.PreTrainedModel)


def host(model: nn.Module, path: str) -> str | None:
    """The path of the outermost transformers model that a module lies in; None if it lies in none."""
    names = path.split(".") if path else []
    for length in range(len(names) + 1):
        at = ".".join(names[:length])
        if pretrained_model(model.get_submodule(at)):
            return at
    return None


def shortened(model: nn.Module, removed: Mapping[str, Sequence[int]], *, example: Example) -> Shortened:
    """A copy of `model` without these entries of its lists of layers: {"model.layers": [3, 5]}.

    `model` is one of transformers, or holds one. Equal to the intact model with these layers disabled: each passes its
    input on. Raises NotExpressed if no config of the library describes what is left, UsageError for entries that do
    not exist.
    """
    import transformers

    at = {host(model, path) for path in removed}
    if len(at) != 1 or None in at:
        raise UsageError(f"the layers must lie in one transformers model, got {', '.join(removed) or 'no list'}")
    inside = str(at.pop())
    given = model.get_submodule(inside)
    if getattr(given, "is_quantized", False) or getattr(given, "hf_quantizer", None) is not None:
        raise NotExpressed(f"{type(given).__name__} is quantized: remove layers of the original model, then quantize")
    left, done, words, notes, far = shared(model), dict[str, tuple[int, ...]](), list[str](), list[str](), 0.0
    with quiet(transformers), as_it_was(model), torch.no_grad():
        options, known = as_built(given)
        for path, indices in removed.items():
            done[path] = positions(model, path, indices)
            with disabled(model, done):
                wanted = scores(call(model, example))
            step = Search(root=left, inside=inside, path=path, options=options, known=known)
            left, found, more, far = step.run(done[path], example, wanted)
            words += found
            notes += more
    own: nn.Module = copy.deepcopy(left)  # the weights were those of the intact model up to here
    many = {path: len(model.get_submodule(path)) for path in done}  # type: ignore[arg-type]
    notes += renumber(own.get_submodule(inside), done, many)
    return Shortened(model=own, removed=done, changed=tuple(words), options=options, difference=far, notes=tuple(notes))


def positions(model: nn.Module, path: str, indices: Sequence[int]) -> tuple[int, ...]:
    """The entries to remove, in order. Raises UsageError if one does not exist, or none would be left."""
    try:
        holder = model.get_submodule(path)
    except AttributeError:
        holder = nn.Identity()
    if not isinstance(holder, nn.ModuleList | nn.Sequential):
        raise UsageError(f"{type(model).__name__} has no list of layers {path!r}")
    if wrong := [i for i in indices if not 0 <= i < len(holder)]:
        raise UsageError(f"{path} has layers 0 to {len(holder) - 1}, not {wrong[0]}")
    if len(set(indices)) >= len(holder):
        raise UsageError(f"removing {len(set(indices))} layers would leave none in {path}")
    return tuple(sorted(set(indices)))


@contextlib.contextmanager
def disabled(model: nn.Module, removed: Mapping[str, Sequence[int]]) -> Iterator[None]:
    """Inside, each of these layers passes its input on; what else it returns stays."""

    def passes(_module: nn.Module, args: tuple, kwargs: dict, output: Any) -> Any:
        before, after = first_of([*args, *kwargs.values()]), first_of(output)
        return output if before is None or after is None else with_tensor(output, after, before)

    handles = [model.get_submodule(f"{path}.{i}").register_forward_hook(passes, with_kwargs=True)
               for path, indices in removed.items() for i in indices]  # fmt: skip
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
