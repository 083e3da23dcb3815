"""The graph of a net for images: pixels of any size to scores and probabilities."""

import numpy as np
import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, first_line
from reslab.images.data.decode import Interpolation
from reslab.images.data.normalize import Normalize
from reslab.images.pixels import fitted
from reslab.look.graph.example import scores
from reslab.nets.modes import evaluating

OUTPUTS = ("scores", "probabilities")


class ImagesGraph(nn.Module):
    """images uint8 (N, h, w, C) -> scores (N, K) = net((fit(images) / 255 - mean) / std), and probabilities (N, K).

    Probabilities are softmax(scores / T), of several labels an image sigmoid(scores / T). In torch, images of other
    sizes than (H, W) are fitted by Pillow; torch.export traces the rest, and the converters put their own fit before.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, net: nn.Module, normalize: Normalize, *, size: tuple[int, int], temperature: float = 1.0,
        several: bool = False, interpolation: Interpolation = "bilinear",
    ) -> None:  # fmt: skip
        super().__init__()
        self.net, self.size, self.interpolation = net, size, interpolation
        self.temperature, self.several = temperature, several
        self.register_buffer("mean", normalize.mean)
        self.register_buffer("std", normalize.std)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if tuple(images.shape[1:3]) != self.size:
            images = torch.from_numpy(fitted(images.cpu().numpy(), self.size, self.interpolation)).to(images.device)
        planes = images.permute(0, 3, 1, 2).contiguous()  # as in training: a net may call view()
        z = scores(self.net(Normalize(self.mean, self.std)(planes))).float()
        cold = z / self.temperature
        return z, cold.sigmoid() if self.several else cold.softmax(dim=-1)


def run(graph: ImagesGraph, images: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs by name, in eval mode, without gradients. Raises ReslabError if the net fails."""
    given = torch.from_numpy(np.require(images, requirements=["C", "W"]))  # torch shares no read-only memory
    try:
        with torch.no_grad(), evaluating(graph):
            found = graph(given)
    except Exception as error:  # of any net
        raise ReslabError(f"the model fails for a batch of {len(images)}: {first_line(error)}") from error
    return {name: value.numpy() for name, value in zip(OUTPUTS, found, strict=True)}
