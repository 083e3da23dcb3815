"""A cut model of another library: the spec with which it is trained in a run folder, its shape with random weights."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.images.data import ImageData
from reslab.nets import ModelSpec, Spec, build
from reslab.nets.models import model_spec
from reslab.nets.suiting import suited
from reslab.slim.block import Block
from reslab.slim.cutting.files import FILE
from reslab.slim.cutting.removal import Cut, cut
from reslab.slim.cutting.sources import timm_arguments
from reslab.slim.families.image_subject import refuse_other

GIVEN = ("num_classes", "in_chans")  # arguments of timm that a spec has as fields


def spec_of_cut(small: Cut, folder: Path, data: ImageData, *, name: str) -> Spec:
    """The spec of a cut model that was saved in `folder`. Raises UsageError if none builds this very model."""
    base = replace(word_of(small, folder), name=f"{name}-slim{len(small.removed)}")
    made = suited(base, classes=len(data.classes), shape=data.shape)
    refuse_other(small.model, made, data, f"the cut {name}")
    return made


def word_of(small: Cut, folder: Path) -> ModelSpec:
    """What builds it: its library, with smaller depths, or the Python file that was written."""
    if small.form == "timm" and (found := timm_arguments(small.model)) is not None:
        name, arguments = found
        kept = {key: value for key, value in arguments.items() if key not in GIVEN}
        return replace(model_spec(f"timm:{name}"), arguments=kept)
    if small.form == "transformers":
        return model_spec(str(folder.resolve()))
    if small.form == "file":
        return model_spec(f"{folder.resolve() / FILE}:make")
    raise UsageError(f"{type(small.model).__name__} cannot be trained further: no file or library builds it; name the "
                     "model by FILE.py:FUNCTION")  # fmt: skip


def random_weights(spec: Spec, removed: Sequence[Block], example: Tensor, *, seed: int) -> nn.Module:
    """The cut model with random weights: those of the intact one as its library initializes it, without the blocks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = build(spec).eval().to(example.device)
        return cut(fresh, [block.module for block in removed], example=example).model
