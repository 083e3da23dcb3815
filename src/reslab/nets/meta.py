"""Nets as shapes without values: built on the meta device, which takes no memory."""

import warnings
from dataclasses import replace

import torch
from torch import nn

from reslab.errors import ReslabError
from reslab.nets.catalog import Spec, build
from reslab.nets.model import ModelSpec


def meta_net(spec: Spec) -> nn.Module:
    """The net on the meta device: shapes without values.

    Nets of others that cannot be built there, and those of users' files, are built as usual.
    """
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # the real net gives the same
        if not isinstance(spec, ModelSpec):
            with torch.device("meta"):
                return build(replace(spec, init="torch"))
        if spec.origin != "file":
            try:
                with torch.device("meta"):
                    return build(spec)
            except ReslabError:  # it computes with values; built for real it reports what else is wrong
                pass
        return build(spec)


def shapes_of(spec: Spec) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of the net by name, without the counts of batches."""
    state = meta_net(spec).state_dict()
    return {name: tuple(t.shape) for name, t in state.items() if not name.endswith("num_batches_tracked")}
