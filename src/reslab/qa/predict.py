"""A net's answers to all windows of some questions."""

from collections.abc import Callable

import numpy as np
import torch

from reslab.data.windows import WindowBatch, Windows
from reslab.nets.qa_net import QANet
from reslab.qa.answers import Spans, best_spans
from reslab.qa.features import Features
from reslab.train.tune import Choice


def inputs(found: WindowBatch, features: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """A batch of windows as the net's arguments. [CLS] may be pointed at too: it stands for no answer."""
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
    features: Features | None = None,
    batch: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> Spans:
    """The best spans of every window. Windows of like length go together, the longest first: memory runs out at once
    or not at all. The net is put into eval mode and left as it was.
    """
    order = np.argsort(-windows.sizes(np.arange(len(windows))), kind="stable")
    was = net.training
    net.eval()
    parts = []
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        found = windows.batch(rows).to(device)
        vectors = None if features is None else features.batch(rows, found.ids.shape[1])
        with choice.autocast(device):
            out = net(**inputs(found, vectors))
        parts.append(best_spans(out.span, found, answerable=out.answerable))
        if progress:
            progress(min(start + batch, len(order)), len(order))
    net.train(was)
    return Spans.join(parts)
