"""A net for questions with fewer layers, of its encoder or of its head, as a run folder stores it."""

import copy
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reslab.errors import ReslabError, UsageError, tell
from reslab.look.graph.example import Example
from reslab.qa.net.encoder import Encoder
from reslab.qa.net.net import QANet, QASpec, build_head, build_qa, to_dict
from reslab.qa.net.pretrained import Pretrained
from reslab.qa.settings import SETTINGS, SHAPE, TOKENIZER, Settings, seal
from reslab.run import Run
from reslab.slim.cutting.transformers import shortened
from reslab.slim.families.pairs import same
from reslab.train.checkpoint import write_weights


def shorter(net: QANet, paths: Sequence[str], *, example: Example) -> QANet:
    """A copy of the net without these layers, such as "encoder.layers.2" or "head.layers.0", with a spec that fits.

    The weights of the others stay as they are. `example`: a small input, with which a pretrained encoder's shorter
    config is checked. Raises UsageError for a path that is no layer of encoder or head, since a run folder stores whole
    layers only, and if the encoder would have no layer.
    """
    lists = layer_lists(net)
    known = {f"{place}.{i}": (place, i) for place, layers in lists.items() for i in range(len(layers))}
    gone: dict[str, list[int]] = {}
    for path in dict.fromkeys(paths):
        if path not in known:
            raise UsageError(f"{path} cannot be removed from a reader: its run folder stores whole layers only "
                             f"({', '.join(known) or 'none is recognized'})")  # fmt: skip
        place, i = known[path]
        gone.setdefault(place, []).append(i)
    inside = {place: gone[place] for place in gone if place.startswith("encoder.")}
    if any(len(gone[place]) == len(lists[place]) for place in inside):
        raise UsageError("all layers of the encoder would be removed; keep one")
    if inside and isinstance(net.encoder, Pretrained):
        found = shortened(net, inside, example=example).model
        assert isinstance(found, QANet)
        made, rest = found, {place: gone[place] for place in gone if place not in inside}
    else:
        made, rest = copy.deepcopy(net), gone
    for place, indices in rest.items():
        layers = made.get_submodule(place)
        assert isinstance(layers, nn.ModuleList)
        for i in sorted(indices, reverse=True):  # from the end, so that the numbers stay valid
            del layers[i]
    settle(made)
    return made


def layer_lists(net: QANet) -> dict[str, nn.ModuleList]:
    """The lists of layers of encoder and head, by path; those that are not recognized or empty are left out."""
    lists = [net.encoder.layers, net.head.layers]
    return {path: module for path, module in net.named_modules()
            if isinstance(module, nn.ModuleList) and len(module) and any(module is one for one in lists)}  # fmt: skip


def settle(net: QANet) -> None:
    """Let the specs say how many layers the net has now."""
    spec: QASpec = net.spec  # type: ignore[assignment]
    encoder, depth = net.encoder, net.encoder.depth
    if isinstance(encoder, Encoder):
        depth = len(encoder.layers)
        encoder.spec = replace(encoder.spec, layers=depth)
        spec = replace(spec, encoder=encoder.spec)
    if net.train_last is not None:
        net.train_last = min(net.train_last, depth)
        spec = replace(spec, train_last=net.train_last)
    net.spec = replace(spec, layers=len(net.head.layers))  # type: ignore[assignment]


def removed_from(whole: QANet, part: QANet) -> list[str]:
    """The paths of the whole net's layers that `shorter` left out of `part`, found by their weights.

    Raises UsageError if a layer of `part` is none of the whole net's.
    """
    lost, short = [], layer_lists(part)
    for path, layers in layer_lists(whole).items():
        left = list(short.get(path, ()))
        for i, layer in enumerate(layers):
            if left and same(layer, left[0]):
                del left[0]
            else:
                lost.append(f"{path}.{i}")
        if left:
            raise UsageError(f"the net is not cut from this reader: a layer of its {path} has other weights")
    return lost


def untrained(whole: QANet, cut: QANet, *, seed: int, example: Example) -> QANet:
    """The net of the cut's shape as a first training would begin with it.

    Of reslab's own encoder: all weights random. Of a pretrained one: the head random, the encoder with the pretrained
    weights of the layers that remain; a pretrained encoder from random weights would be no fair opponent, since whoever
    trains a smaller reader anew starts from it, too. If its folder is gone: random weights, with a warning.
    """
    spec: QASpec = cut.spec  # type: ignore[assignment]
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        if not isinstance(cut.encoder, Pretrained):
            return build_qa(spec)
        lost = [path for path in removed_from(whole, cut) if path.startswith("encoder.")]
        try:
            begun = build_qa(whole.spec)  # type: ignore[arg-type]
        except (UsageError, ReslabError) as error:
            tell("the pretrained encoder is gone (%s), so the net trained from nothing has random weights", error)
            return QANet(from_config(cut.encoder.model.config), build_head(spec, cut.encoder.hidden),
                         train_last=spec.train_last)  # fmt: skip
        begun = shorter(begun, lost, example=example)
        return QANet(begun.encoder, build_head(spec, cut.encoder.hidden), train_last=spec.train_last)


def from_config(config: Any) -> Pretrained:
    """An encoder of transformers with random weights."""
    import transformers

    return Pretrained(transformers.AutoModel.from_config(copy.deepcopy(config), dtype=torch.float32))


def write_reader(net: QANet, folder: Path, source: Run, settings: Settings) -> None:
    """Write a folder that reslab.qa.load, `reslab qa ask` and `reslab qa eval` take.

    The tokenizer and the description of the questions come from the run folder `source` of the intact reader.
    """
    run = Run(folder)
    spec: QASpec = net.spec  # type: ignore[assignment]
    run.make()
    shutil.copytree(source.path(TOKENIZER), run.path(TOKENIZER), dirs_exist_ok=True)
    if (config := encoder_config(net)) is not None:
        config.save_pretrained(run.path(SHAPE))
        seal(run, SHAPE)
    write_weights(run, net, to_dict(spec))
    run.write_json(SETTINGS, asdict(settings))
    if source.has("data.json"):
        run.write_json("data.json", source.read_json("data.json"))
    run.write_json("spec.json", to_dict(spec))  # last: with it the folder is a run


def encoder_config(net: QANet) -> Any:
    """The transformers config of a net's encoder; None of reslab's own."""
    return net.encoder.model.config if isinstance(net.encoder, Pretrained) else None
