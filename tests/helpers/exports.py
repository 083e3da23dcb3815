"""A model of its own to export: a small net for digits, trained in a second; with random inputs if told so."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reslab.ship.exportable import RANDOM, Arrays, Examples, Graph


class Net(nn.Module):
    """images uint8 (N, 8, 8, 1) of 0 to 16 -> (scores, probabilities), each (N, 10)."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Linear(width * 16, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.permute(0, 3, 1, 2).float() / 16
        x = torch.relu(self.first(x))
        x = x + torch.relu(self.second(x))
        scores = self.last(nn.functional.max_pool2d(x, 2).flatten(1))
        return scores, scores.softmax(1)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 1797 digits, uint8 (N, 8, 8, 1), and their labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images.astype(np.uint8)[..., None], found.target


def trained(steps: int = 150) -> Net:
    """The net after some steps on the first 1200 digits: about 95 % right on the others."""
    torch.manual_seed(0)
    net, (images, labels) = Net(), digits()
    x, y = torch.from_numpy(images[:1200]), torch.from_numpy(labels[:1200])
    learner = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(steps):
        rows = torch.randint(0, 1200, (64,))
        learner.zero_grad()
        nn.functional.cross_entropy(net(x[rows])[0], y[rows]).backward()
        learner.step()
    return net.eval()


@dataclass(kw_only=True)
class Digits:
    """See `Exportable`. `exported`: the net of the graph, if it is to be another one than the original."""

    net: Net
    exported: Net | None = None
    random: bool = False
    kind: Any = "images"
    name: str = "digits"
    word: str = "runs/digits"
    unit: str = "accuracy"
    notes: list[str] = field(default_factory=lambda: ["pixels are 0 to 16"])

    def graphs(self) -> list[Graph]:
        example = {"images": torch.randint(0, 17, (2, 8, 8, 1), dtype=torch.uint8)}
        return [Graph(module=self.exported or self.net, example=example, dynamic={"images": {0: "batch"}},
                      outputs=("scores", "probabilities"))]  # fmt: skip

    def reference(self, which: int, inputs: Arrays) -> dict[str, np.ndarray]:
        with torch.no_grad():
            found = self.net(torch.from_numpy(np.ascontiguousarray(inputs["images"])))
        return {"scores": found[0].numpy(), "probabilities": found[1].numpy()}

    def proof(self, n: int) -> list[Examples]:
        images, labels = digits()
        if self.random:
            noise = np.random.default_rng(0).integers(0, 17, (min(n, 300), 8, 8, 1)).astype(np.uint8)
            return [Examples(inputs={"images": noise}, where=RANDOM)]
        return [Examples(inputs={"images": images[1200:][:n]}, targets=labels[1200:][:n], where="digits")]

    def calibration(self, n: int) -> list[Examples]:
        images, labels = digits()
        return [Examples(inputs={"images": images[:1200][:n]}, targets=labels[:1200][:n], where="digits")]

    def decisions(self, outputs: Sequence[Arrays]) -> np.ndarray:
        return outputs[0]["scores"].argmax(1)

    def right(self, outputs: Sequence[Arrays], examples: Sequence[Examples]) -> np.ndarray | None:
        if examples[0].targets is None:
            return None
        return (self.decisions(outputs) == examples[0].targets).astype(float)

    def about(self) -> dict[str, Any]:
        return {"classes": [str(one) for one in range(10)], "shape": [1, 8, 8]}

    def beside(self, folder: Path) -> None:
        (folder / "beside.txt").write_text("a family's own file")
