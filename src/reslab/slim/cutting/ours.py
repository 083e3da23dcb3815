"""reslab's own nets without blocks: a smaller spec, the weights moved. Training and look know no difference."""

import functools
import json
import math
import re
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from reslab.errors import ReslabError
from reslab.nets.catalog import build, to_dict
from reslab.nets.resnet import ResNet, ResNetSpec
from reslab.nets.weights import load
from reslab.slim.cutting.forms import FOLDER, Given, Made, NotExpressed
from reslab.slim.cutting.written import write_checked
from reslab.stored.digest import sealed_tensors
from reslab.stored.write import write_aside
from reslab.train.checkpoint import as_file

FILE = "weights.safetensors"
PLACE = re.compile(r"stages\.(\d+)\.(\d+)\.")
Moved = dict[tuple[int, int], tuple[int, bool]]  # (stage, block): its new place in the stage, whether it has its branch


def express(given: Given) -> Made | None:
    """The net of a smaller spec; None for any other model. Raises NotExpressed for a net that was edited."""
    net = given.model
    if not isinstance(net, ResNet):
        return None
    gone = {number(net.spec, block.module): block.kind == "block" for block in given.removed}
    spec, moved = smaller(net.spec, gone)
    state = net.state_dict()
    first = next(iter(state.values()))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the stem: the intact net has it, too
        made = build(replace(spec, init="torch"))
    made.spec = spec
    made.to(device=first.device, dtype=first.dtype)
    kept = {renamed(name, moved): value for name, value in state.items() if stays(name, moved)}
    wanted = made.state_dict()
    if kept.keys() - wanted.keys() or any(kept[n].shape != wanted[n].shape for n in wanted if n in kept):
        raise NotExpressed(f"{net.spec.name} is not what its spec describes")
    made.load_state_dict({name: kept[name] for name in wanted})
    made.train(net.training)
    frozen = {renamed(name, moved) for name, p in net.named_parameters() if not p.requires_grad}
    for name, p in made.named_parameters():
        p.requires_grad_(name not in frozen)
    notes = tuple(f"{block.module} keeps its {'shortcut' if net.spec.projects(i) else 'place'}"
                  for block, (i, whole) in zip(given.removed, gone.items(), strict=True)
                  if not whole or (i == 0 and net.spec.activation == "pre"))  # fmt: skip
    return Made(form="spec", model=made, loads=f'reslab.load("{FOLDER}/{FILE}")', notes=notes,
                save=functools.partial(write_checked, write=write, read=read, example=given.example))  # fmt: skip


def number(spec: ResNetSpec, module: str) -> int:
    """Which block a module is, counted from 0 through all stages."""
    stage, block = map(int, module.split(".")[1:3])
    return sum(spec.stages[:stage]) + block


def smaller(spec: ResNetSpec, gone: dict[int, bool]) -> tuple[ResNetSpec, Moved]:
    """The spec without these blocks (True: whole, False: all but the shortcut), and where the others are in it."""
    counts, bare, moved, old, new = [], list[int](), Moved(), 0, 0
    for stage, count in enumerate(spec.stages):
        place = 0
        for block in range(count):
            first = old == 0 and spec.activation == "pre"  # block 1 would lack its norm in this place
            if not gone.get(old, False) or first:
                without = old in gone or old in spec.bare
                bare += [new] * without
                moved[stage, block] = place, not without
                place, new = place + 1, new + 1
            old += 1
        counts.append(place)
    if spec.scale == "depth":  # the factor that the net was trained with, not that of fewer blocks
        spec = replace(spec, scale=f"fixed:{1 / math.sqrt(spec.branches)}")
    changed = replace(spec, stages=tuple(counts), bare=tuple(bare))
    name = f"{re.sub(r'-slim[0-9]+$', '', spec.name)}-slim{changed.depth}"
    return replace(changed, name=name), moved


def stays(name: str, moved: Moved) -> bool:
    """Whether a tensor is of the smaller net."""
    found = PLACE.match(name)
    place = moved.get((int(found[1]), int(found[2]))) if found else None
    return found is None or (place is not None and (place[1] or ".branch." not in name))


def renamed(name: str, moved: Moved) -> str:
    """A tensor's name in the smaller net."""
    found = PLACE.match(name)
    if found is None or (place := (int(found[1]), int(found[2]))) not in moved:
        return name
    return f"stages.{place[0]}.{moved[place][0]}.{name[found.end() :]}"


def write(model: nn.Module, folder: Path) -> None:
    """The weights, with the spec inside. Raises ReslabError for weights that are not in single precision."""
    assert isinstance(model, ResNet)
    for name, tensor in model.named_parameters():
        if tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ReslabError(f"{name} is in {kind}: reslab stores nets in single precision; save model.float()")
    data = as_file(model.state_dict(), {"reslab": json.dumps(to_dict(model.spec))})
    write_aside(folder / FILE, sealed_tensors(data))


def read(folder: Path) -> nn.Module:
    return load(folder / FILE)
