"""The answers of a net in all windows of some questions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from reslab.progress import Steps
from reslab.qa.answers import MAX_TOKENS, Spans, best_spans
from reslab.qa.data.batch import WindowBatch
from reslab.qa.data.windows import Windows
from reslab.qa.features import Features, fits
from reslab.qa.net.net import QANet
from reslab.train.exchange import all_json, of_each
from reslab.train.tune import Choice
from reslab.train.world import ALONE, World


def inputs(found: WindowBatch, features: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """A batch of windows as the net's arguments. [CLS] is allowed as an answer, too: it means "no answer"."""
    context = found.context.clone()
    context[:, 0] = True
    given = {"mask": found.mask, "context": context, "ids": found.ids, "types": found.types}
    return given if features is None else {**given, "features": features.to(found.ids.device)}


@torch.inference_mode()
def predict(
    net: QANet,
    windows: Windows,
    *,
    device: torch.device,
    choice: Choice,
    most: int = MAX_TOKENS,
    features: Features | None = None,
    progress: Steps | None = None,
    world: World = ALONE,
) -> Spans:
    """The best spans of at most `most` tokens of every window, in eval mode; the net's mode is restored afterwards.

    `world`: processes that all call this; each computes some of the groups of windows, and all get the spans of all, to
    the bit those of one process.
    """
    if features is None:
        fits(net.encoder, windows)
    groups = windows.groups(device)
    share = groups if world.alone else [groups[k] for k in world.part(len(groups))]
    found = world.agreed(lambda: spans_of(net, windows, share, device=device, choice=choice, most=most,
                                          features=features, progress=progress))  # fmt: skip
    return Spans.join(found) if world.alone else joined(found)


def joined(own: list[Spans]) -> Spans:
    """The spans of every process, by rank."""
    some: dict[str, Any] = vars(Spans.join(own)) if own else {}
    there = [one for one in all_json(sorted(key for key, value in some.items() if value is not None)) if one]
    columns = {}
    for name in there[0]:
        kind = np.int64 if name in ("question", "start", "end") else np.float64
        columns[name] = of_each(torch.from_numpy(np.asarray(some.get(name, ()), dtype=kind)))
    ranks = [rank for rank, column in enumerate(columns["question"]) if len(column)]
    found: list[dict[str, Any]] = [{name: column[rank].numpy() for name, column in columns.items()} for rank in ranks]
    return Spans.join([Spans(**({"answerable": None} | one)) for one in found])


def spans_of(
    net: QANet, windows: Windows, groups: Sequence[np.ndarray], *, device: torch.device, choice: Choice, most: int,
    features: Features | None, progress: Steps | None,
) -> list[Spans]:  # fmt: skip
    """The spans of each of these groups of windows."""
    was, done, total = net.training, 0, sum(map(len, groups))
    net.eval()
    parts = []
    for rows in groups:
        arrays = windows.arrays(rows)
        found = WindowBatch.of(vars(arrays)).to(device)
        vectors = None if features is None else features.batch(rows, found.ids.shape[1])
        with choice.autocast(device):
            out = net(**inputs(found, vectors))
        answerable = None if out.answerable is None else out.answerable.cpu()
        parts.append(best_spans(out.span.cpu(), arrays, answerable=answerable, most=most))
        done += len(rows)
        if progress:
            progress(done, total)
    net.train(was)
    return parts
