"""Count a net's parameters, multiply-adds and receptive field, each in two independent ways. Nothing is trained."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reslab.errors import UsageError
from reslab.nets import ResNetSpec, build, count, spec
from reslab.nets.meta import meta_net
from reslab.progress import Progress


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """Counts of `net` with `options`; with `field`, its receptive field is also measured.

    parameters, macs, receptive_field are those of nets.count, which adds up formulas layer by layer. parameters_held
    adds up the tensors of the net; macs_run is what torch counts while an image passes; receptive_field_seen is the
    side of the square of pixels from which a gradient reaches one position of the last stage.
    """
    made = spec(settings["net"], **settings.get("options", {}))
    if not isinstance(made, ResNetSpec):
        raise UsageError(f"{settings['net']} is not a ResNet or plain net: its stages are not known")
    found = count(made)
    net = meta_net(made).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, made.channels, made.size, made.size, device="meta"))
    values: dict[str, Any] = {
        "parameters": found.parameters,
        "parameters_held": sum(p.numel() for p in net.parameters()),
        "macs": found.macs,
        "macs_run": counter.get_total_flops() // 2,  # torch counts a multiply-add as two operations
        "receptive_field": found.receptive_field,
        "depth": made.depth,
    }
    if settings.get("field"):
        assert found.receptive_field is not None
        values["receptive_field_seen"] = field_seen(made, canvas=found.receptive_field + 64)
    return values


def cost(settings: dict[str, Any]) -> float:
    """CPU seconds, on the machine of docs/claims.md."""
    depth = spec(settings["net"], **settings.get("options", {})).depth
    return 0.05 + depth * (0.008 if settings.get("field") else 0.004)


def field_seen(made: ResNetSpec, *, canvas: int) -> int:
    """The side, in pixels, of the square from which a gradient reaches the center of the last stage's output.

    One channel, no BatchNorm and positive weights, in float64: no path is blocked by a ReLU and none cancels another,
    so every pixel that can have an influence has a gradient. `canvas`: side of the image; the square must fit into it.
    """
    net = build(replace(made, channels=1, widths=(1,) * len(made.stages), norm=False)).double()
    for module in list(net.modules()):
        for name, pool in module.named_children():
            if isinstance(pool, nn.MaxPool2d):  # of equal pixels it would pass the gradient to one
                setattr(module, name, nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding))
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())  # a mean, so that nothing overflows
    image = torch.ones(1, 1, canvas, canvas, dtype=torch.float64, requires_grad=True)
    out = net.stages(net.stem(image))
    (gradient,) = torch.autograd.grad(out[0, 0, out.shape[2] // 2, out.shape[3] // 2], image)
    rows = (gradient[0, 0] != 0).any(1)
    if rows[0] or rows[-1]:
        raise UsageError(f"an image of {canvas} pixels is smaller than the receptive field of {made.name}")
    return int(rows.sum())
