"""Lesions of a net on images with classes (Veit et al. 2016, section 4): blocks disabled one at a time, k at random,
and reordered; of a plain net, layers that keep the shape are skipped instead, each with its BN.

Settings beside those of `opened`:

    most      disable 1, 2, ..., `most` at random, at the most all (default 0: none)
    repeats   random draws for each number (default 5)
    swaps     numbers of random pairs to swap before measuring, `repeats` times each (default: none)
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import nn

from reslab import look
from reslab.look.graph.layers import Layer
from reslab.look.graph.passes import as_it_was
from reslab.look.lesion.lesion import Lesions, left_layers, left_out
from reslab.look.lesion.trials import Steps, Trial, checked, one_by_one
from reslab.progress import Progress
from reslab.statistics import mean
from reslab.study.work import opened
from reslab.subject.subject import Subject

HARMLESS = 2.0  # points, within which Figure 3 of the paper shows the error without one block


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """All errors in percent, of `n` images, all rises in points against the `intact` net:

    blocks, rises     each block (or layer) disabled alone, counted from the input
    same, changing    the mean rise of blocks that keep the shape, and that of the others (None: there is none)
    harmless          of the blocks that keep the shape, the share whose rise is below `HARMLESS` points, in percent
    chance_gap        `chance` minus the least error with one of them disabled; chance: a class drawn at random, all
                      alike
    ks, errors        k disabled at random: the mean error of all draws; it begins with k = 0
    shuffles, swapped (1 - Kendall's tau) / 2, the share of pairs of blocks whose order is reversed, and the error
    """
    subject = opened.opened(settings, needs, device=device)
    n = sum(merge.reachable for merge in subject.merges)
    found = look.lesions(
        subject.model, subject.batches, merges=subject.merges, metrics=["error"], seed=settings["seed"],
        repeats=repeats(settings), ks=tuple(range(1, min(settings.get("most", 0), n) + 1)),
        swaps=tuple(settings.get("swaps", ())),
    )  # fmt: skip
    intact, kept, changing = singles(found)
    at_random = {one.k: 100 * mean(one.values["error"]) for one in found.random}
    if not n:
        at_random = layers_at_random(subject, settings)
    alone = [100 * one.values["error"] for one in found.single or found.layers]
    chance = 100 - 100 / len(subject.inputs.data["classes"])
    return {
        "n": found.n, "chance": chance, "intact": intact,
        "blocks": list(range(1, len(alone) + 1)), "rises": [error - intact for error in alone],
        "same": mean(kept), "changing": mean(changing) if changing else None,
        "harmless": 100 * mean([rise < HARMLESS for rise in kept]),
        "chance_gap": chance - intact - min(kept),
        "ks": [0, *at_random], "errors": [intact, *at_random.values()],
        "shuffles": [round((1 - one.tau) / 2, 12) for one in found.reorder],
        "swapped": [100 * one.values["error"] for one in found.reorder],
    }  # fmt: skip


def singles(found: Lesions) -> tuple[float, list[float], list[float]]:
    """(the intact net's error, the rises of blocks that keep the shape, the rises of the others)."""
    intact = 100 * found.whole["error"]
    rises = [(one.kind, 100 * one.values["error"] - intact) for one in found.single]
    if not rises:
        return intact, [100 * one.values["error"] - intact for one in found.layers], []
    return (intact, [rise for kind, rise in rises if kind == "identity"],
            [rise for kind, rise in rises if kind != "identity"])  # fmt: skip


def layers_at_random(subject: Subject, settings: dict[str, Any]) -> dict[int, float]:
    """The mean error with k layers of a plain net skipped, by k."""
    layers = left_layers(subject.model, subject.batches[0][0][:2])
    coin = Random(f"{settings['seed']} layers")
    draws = [(k, coin.sample(layers, k)) for k in range(1, min(settings.get("most", 0), len(layers)) + 1)
             for _ in range(repeats(settings))]  # fmt: skip
    if not draws:
        return {}
    trials = [Trial(f"with {k} layers skipped", partial(all_left_out, subject.model, some)) for k, some in draws]
    with torch.no_grad(), as_it_was(subject.model):
        sums = one_by_one(subject.model, subject.batches, checked(subject.batches, ["error"]), trials, Steps(None, 0))
    errors: dict[int, list[float]] = {}
    for i, (k, _) in enumerate(draws, start=1):
        errors.setdefault(k, []).append(100 * sums.means(i)["error"])
    return {k: mean(each) for k, each in errors.items()}


@contextmanager
def all_left_out(model: nn.Module, layers: Sequence[Layer]) -> Iterator[None]:
    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(left_out(model, layer))
        yield


def repeats(settings: dict[str, Any]) -> int:
    return int(settings.get("repeats", 5))


def cost(settings: dict[str, Any]) -> float:
    lesions = repeats(settings) * (0.85 * settings.get("most", 0) + len(settings.get("swaps", ())))
    return opened.passes(settings, 15 + lesions)
