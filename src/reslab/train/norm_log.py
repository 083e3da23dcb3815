"""Log the norms of weights and gradients during training to metrics.jsonl, for `reslab look`."""

from torch import nn

from reslab.look.flow.signal import weight_norms
from reslab.run import Run


class NormLog:
    """Called after the backward pass of each update; writes one line at the first and then every `every` updates.

    {"event": "gradients", "iteration", "gradients": [norm of dL/dW], "weights": [norm of W]}, one number for each
    parameter of two or more dimensions, in the net's order; the line of the first update also has their names, as
    "layers". Gradients are those of the batch before clipping, weights those before the update. It only reads and
    keeps no state, so training is bit-identical with and without it, resumed or not.
    """

    def __init__(self, net: nn.Module, run: Run, every: int) -> None:
        self.run, self.every = run, every
        named = [(name, weight) for name, weight in net.named_parameters() if weight.dim() > 1]
        self.names = [name.removesuffix(".weight") for name, _ in named]
        self.weights = [weight for _, weight in named]

    def __call__(self, iteration: int) -> None:
        """`iteration` counts from 1. When it writes, it waits for the device."""
        if not self.every or not self.weights or (iteration % self.every and iteration != 1):
            return
        gradients, weights = weight_norms(self.weights)
        names = {"layers": self.names} if iteration == 1 else {}
        self.run.log(event="gradients", iteration=iteration, gradients=gradients, weights=weights, **names)
