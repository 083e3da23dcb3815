"""The norms of the weights and of their gradients along training, into metrics.jsonl: for `reslab look`."""

from torch import nn

from reslab.look.flow.signal import weight_norms
from reslab.run import Run


class NormLog:
    """Called after the backward pass of each update; every so many updates, and at the first, writes one line.

    {"event": "gradients", "iteration", "gradients": [norm of dL/dW], "weights": [norm of W]}, one number for each
    parameter of two or more dimensions, as the net names them; the line of the first update has their names too,
    "layers". The gradients are those of the batch, before clipping; the weights those that they were taken at. Only
    reads, and knows the iteration alone: training goes on with the same bits, resumed or not.
    """

    def __init__(self, net: nn.Module, run: Run, every: int) -> None:
        self.run, self.every = run, every
        named = [(name, weight) for name, weight in net.named_parameters() if weight.dim() > 1]
        self.names = [name.removesuffix(".weight") for name, _ in named]
        self.weights = [weight for _, weight in named]

    def __call__(self, iteration: int) -> None:
        """`iteration` counts from 1. Waits for the device where it writes."""
        if not self.every or not self.weights or (iteration % self.every and iteration != 1):
            return
        gradients, weights = weight_norms(self.weights)
        names = {"layers": self.names} if iteration == 1 else {}
        self.run.log(event="gradients", iteration=iteration, gradients=gradients, weights=weights, **names)
