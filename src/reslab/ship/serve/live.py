"""A run's net of images in torch, whose blocks can be disabled for a pass."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError
from reslab.images.calibrate import probabilities
from reslab.images.evaluate import log_scores
from reslab.images.model import Predictor, place_of
from reslab.images.model import load as load_run
from reslab.look.edit.edits import silence
from reslab.look.edit.intervene import intervene
from reslab.look.graph.merges import Merge, find
from reslab.train.tune import Choice


def load(folder: Path, threads: int) -> tuple[nn.Module, Predictor]:
    """The net of a run, on the CPU. Raises UsageError or ReslabError."""
    if threads:
        torch.set_num_threads(threads)
    net = load_run(folder)
    if not isinstance(net.predict, Predictor):
        net.predict(())  # raises the sentence that says why it cannot
        raise UsageError(f"{folder} cannot predict images")
    return net.eval().requires_grad_(False), net.predict


@torch.no_grad()
def values(predictor: Predictor, pixels: Sequence[Tensor]) -> np.ndarray:
    """The probabilities of decoded images uint8 (C, H, W): float64 (N, K). As `predictor` itself gives them."""
    device = place_of(predictor.net)
    preprocess = predictor.preprocess.to(device)
    x = preprocess.normalize(torch.stack(list(pixels)).to(device))
    scores = log_scores(predictor.net, [x], Choice(), device, several=predictor.several)
    return probabilities(scores, predictor.temperature, several=predictor.several).numpy()


class Switched:
    """The residual connections of a net by name, each of which can be disabled: its shortcut stays."""

    def __init__(self, net: nn.Module, shape: Sequence[int]) -> None:
        self.net = net
        try:
            self.merges: Sequence[Merge] = find(net, torch.zeros(2, *shape, device=place_of(net)))
        except ReslabError:  # a net without any that can be found is served all the same
            self.merges = ()
        self.merges = [merge for merge in self.merges if merge.reachable]
        many = Counter(merge.module for merge in self.merges)
        self.index = {merge.module if many[merge.module] == 1 and merge.module else f"{merge.module}[{merge.index}]":
                      merge.index for merge in self.merges}  # fmt: skip

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """For clients: the name to disable a block by, its module, and whether it could be removed for good."""
        return [{"name": name, "module": merge.module, "removable": merge.cuttable}
                for name, merge in zip(self.index, self.merges, strict=True)]  # fmt: skip

    @contextlib.contextmanager
    def without(self, names: Sequence[str]) -> Iterator[None]:
        """Passes inside run with these blocks disabled."""
        if not names:
            yield
            return
        with intervene(self.net, self.merges, {self.index[name]: silence() for name in names}):
            yield
