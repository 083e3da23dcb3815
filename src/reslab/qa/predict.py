"""The answers of a net in all windows of some questions."""

import torch

from reslab.progress import Steps
from reslab.qa.answers import MAX_TOKENS, Spans, best_spans
from reslab.qa.data.batch import WindowBatch
from reslab.qa.data.windows import Windows
from reslab.qa.features import Features, fits
from reslab.qa.net.net import QANet
from reslab.train.tune import Choice


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
) -> Spans:
    """The best spans of at most `most` tokens of every window, in eval mode; the net's mode is restored afterwards."""
    if features is None:
        fits(net.encoder, windows)
    was, done = net.training, 0
    net.eval()
    parts = []
    for rows in windows.groups(device):
        arrays = windows.arrays(rows)
        found = WindowBatch.of(vars(arrays)).to(device)
        vectors = None if features is None else features.batch(rows, found.ids.shape[1])
        with choice.autocast(device):
            out = net(**inputs(found, vectors))
        answerable = None if out.answerable is None else out.answerable.cpu()
        parts.append(best_spans(out.span.cpu(), arrays, answerable=answerable, most=most))
        done += len(rows)
        if progress:
            progress(done, len(windows))
    net.train(was)
    return Spans.join(parts)
