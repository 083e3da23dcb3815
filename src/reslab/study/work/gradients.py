"""The gradient's norm and the signal's size, layer by layer, in training mode: of a new net, or of a trained one."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab import look
from reslab.progress import Progress
from reslab.study.work import opened


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """All layers but shortcuts and head: `layers` counted from the input; decades are powers of ten.

    activation       norm of the gradient of one image's loss by the layer's activation, root mean square over images
    weight           norm of the gradient by the layer's weights
    signal           root mean square of the activation: after BN where the net has it, else the layer's own output
    *_change         decades from the last of these layers to the first (of the signal: from the first to the last)
    signal_slope     decades per layer of the line through log10 of the signal
    """
    subject = opened.opened(settings, needs, device=device)
    found = look.gradients(subject.model, subject.batches, merges=subject.merges, training=True)
    shown = [layer for layer in found.layers if not (layer.shortcut or layer.head)]
    by_layer = {name: [getattr(layer, name) for layer in shown] for name in ("activation", "weight", "signal")}
    return {
        "layers": list(range(1, len(shown) + 1)), **by_layer,
        "activation_change": decades(by_layer["activation"][0], by_layer["activation"][-1]),
        "weight_change": decades(by_layer["weight"][0], by_layer["weight"][-1]),
        "signal_change": decades(by_layer["signal"][-1], by_layer["signal"][0]),
        "signal_slope": found.signal.slope,
    }  # fmt: skip


def decades(a: float, b: float) -> float | None:
    """log10(a / b); None if one of them is exactly zero: less than the smallest number, so there is no ratio."""
    return math.log10(a) - math.log10(b) if a > 0 and b > 0 else None


def cost(settings: dict[str, Any]) -> float:
    return opened.passes(settings, 6 if settings.get("wide") else 4)
