"""Any model without blocks: a Python file of a few lines that builds it and takes them out, beside its weights."""

import functools
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path
from typing import Any

import torch
from torch import nn

from reslab.errors import ReslabError, UsageError, first_line
from reslab.look.graph.passes import as_it_was
from reslab.slim.cutting.cached import compare_cache, in_two_steps
from reslab.slim.cutting.changes import Change, Whole, changed, changes, lines
from reslab.slim.cutting.forms import FOLDER, Given, Made
from reslab.slim.cutting.merging import merge
from reslab.slim.cutting.ownfiles import COPY, RELATIVE, Source
from reslab.slim.cutting.saving import generates
from reslab.slim.cutting.script import WEIGHTS, script
from reslab.slim.cutting.sources import sources
from reslab.slim.cutting.transformers import pretrained_model
from reslab.slim.cutting.written import write_checked, write_tensors

FILE = "slimmed.py"  # not model.py: it may be run from a folder that has one


def express(given: Given, *, fold: bool = False) -> Made:
    """The model with the blocks' entries deleted where it runs so, otherwise with them replaced by their input.

    `fold`: then with layers folded, as by `merge`.
    """
    some, model, notes = smallest(given)
    cached = generates(given.model)
    statements = lines(given.model, some, cached=cached)
    if fold:
        merged = merge(model, given.example)
        model, statements, notes = merged.model, [*statements, *merged.statements], [*notes, *merged.notes]
    source = None
    for one in sources(given):
        if not (why := unlike(one, given.model)):
            source = one
            break
        notes.append(f"{one.title} does not build this model: {why}")
    text = script(type(given.model).__name__, given.removed, given.total, some, statements, source=source,
                  double=given.wanted.dtype == torch.float64, cached=cached)  # fmt: skip
    write = functools.partial(write_file, text, source)
    call = "make()" if source else "make(net)"
    loads = f'runpy.run_path("{FOLDER}/{FILE}")["make"]({call[5:-1]})'
    if source:
        notes.append(f"reslab takes it as {FOLDER}/{FILE}:make")
        read: Any = read_file
        if source.copied is not None:
            notes.append(f"it is built by {COPY}, a copy of {source.title.partition(' of ')[2]} in the same folder")
        elif source.needs:
            notes.append(f"it is built by {source.needs}, which must stay there, or be moved with a folder that holds "
                         "both")  # fmt: skip
    else:
        notes.append("how this model is built is not known: build the intact one as before and pass it to `make`, "
                     f"which takes the blocks out and loads {WEIGHTS}")  # fmt: skip
        read = functools.partial(read_into, given.model)
    return Made(form="file" if source else "module", model=model, loads=loads, notes=tuple(notes),
                save=functools.partial(write_checked, write=write, read=read, example=given.example))  # fmt: skip


def smallest(given: Given) -> tuple[list[Change], nn.Module, list[str]]:
    """The changes that give the wanted outputs, the model after them, and what is reported."""
    ways: tuple[Whole, ...] = ("delete", "identity", "passing")
    if any(map(pretrained_model, given.model.modules())):
        ways = ("passing",)  # it may read lists of its config by a layer's number, for windows longer than the example
    for whole in ways:
        some = changes(given.removed, whole=whole)
        model = changed(given.model, some)
        try:
            far = given.apart(model)
        except Exception as error:  # the model counts its entries, reads them, or passes on more than a tensor
            if whole == ways[-1]:
                raise unable(given, error) from error
            continue
        if far <= given.allowed:
            break
    replaced = [change.path for change in some if change.how in ("identity", "passing")]
    notes = [f"{path} stays as a module that passes its input on" for path in replaced]
    notes += [f"{change.path} keeps {kept(change)}" for change in some if change.how == "branch"]
    if far <= given.allowed and not caches(model, given):
        notes.append("without these blocks it generates only with use_cache=False")
    return some, model, notes


def unable(given: Given, error: Exception) -> UsageError:
    """Why the model does not run without its blocks: it ran with them disabled, so the example is not to blame."""
    gone, cause = [block.module for block in given.removed], error.__cause__ or error
    lack = re.fullmatch(r"'\w+' object has no attribute '(\w+)'", first_line(cause))
    reason = f"it reads {lack[1]!r} of them in each pass" if lack else f"{type(cause).__name__}: {first_line(cause)}"
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    return UsageError(f"{type(given.model).__name__} does not run without {gone[0]}{more}, only with the blocks "
                      f"disabled: {reason}")  # fmt: skip


def caches(model: nn.Module, given: Given) -> bool:
    """Whether a model that generates gives the same tokens with its cache as without; True for others."""
    if not generates(model):
        return True
    try:
        with as_it_was(model), as_it_was(given.model), torch.no_grad():
            compare_cache(model, given.example)
            ours, intact = (in_two_steps(each, given.example) for each in (model, given.model))
    except ReslabError:
        return False
    return ours is None or intact is None or ours <= max(given.allowed, 2 * intact)


def kept(change: Change) -> str:
    names = [name.removeprefix(f"{change.path}.") for name in change.block.keeps]
    return " and ".join(names) or "its skip"


def unlike(source: Source, model: nn.Module) -> str:
    """How what the source builds differs from the model; "" if its tensors have the same names and shapes."""
    try:
        with torch.random.fork_rng(devices=[]):
            built = build(source)
    except Exception as error:  # libraries and users' files raise nearly anything
        return first_line(error)
    ours, theirs = ({key: tuple(value.shape) for key, value in net.state_dict().items()} for net in (model, built))
    if ours == theirs:
        return ""
    name = next(key for key in [*ours, *theirs] if ours.get(key) != theirs.get(key))
    return f"{name} is {brief(theirs.get(name))} there, and {brief(ours.get(name))} in the model"


def brief(shape: Sequence[int] | None) -> str:
    return "missing" if shape is None else str(list(shape))


def build(source: Source) -> nn.Module:
    """The intact model of a source."""
    with tempfile.TemporaryDirectory() as folder:
        if source.copied is not None:
            (Path(folder) / COPY).write_bytes(source.copied)
        names: dict[str, Any] = {"nn": nn, "__file__": str(Path(folder) / FILE)}
        exec("\n".join([*source.imports, *source.build]), names)
    net: nn.Module = names["net"]
    return net


def write_file(text: str, source: Source | None, model: nn.Module, folder: Path) -> None:
    """The file, the weights and what it needs. `folder` lies in one beside its place: see `write_checked`."""
    if source and source.copied is not None:
        (folder / COPY).write_bytes(source.copied)
    elif source and source.file:
        place = folder.parent.parent / folder.name
        text = text.replace(repr(RELATIVE), repr(os.path.relpath(source.file, place)))
    (folder / FILE).write_text(text, encoding="utf-8")
    write_tensors(model, folder / WEIGHTS)


def read_file(folder: Path) -> nn.Module:
    """What the line in `loads` does."""
    net: nn.Module = run_path(str(folder / FILE))["make"]()
    return net


def read_into(intact: nn.Module, folder: Path) -> nn.Module:
    """The same for a model that is passed in: a copy of the intact one, with other weights."""
    net = changed(intact, [])
    for p in net.parameters():
        p.data.zero_()
    made: nn.Module = run_path(str(folder / FILE))["make"](net)
    return made
