"""A tiny net exported for reslab doctor: `python -m reslab.ship.export.trial openvino int8`, in a temporary folder."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reslab.errors import first_line
from reslab.ship.exportable import RANDOM, Arrays, Examples, Graph


class Net(nn.Module):
    """images uint8 (N, 8, 8, 3) -> scores (N, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(16, 4)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        x = self.conv(images.permute(0, 3, 1, 2).float() / 255).relu()
        return (self.last(x.mean(dim=(2, 3))),)


class Tiny:
    """See `Exportable`: random weights, random images."""

    kind: Any = "images"
    name, word, unit, notes = "tiny", "tiny", "accuracy", list[str]()

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = Net().eval().requires_grad_(False)

    def graphs(self) -> list[Graph]:
        example = {"images": torch.zeros(2, 8, 8, 3, dtype=torch.uint8)}
        return [Graph(module=self.net, example=example, dynamic={"images": {0: "batch"}}, outputs=("scores",))]

    def reference(self, which: int, inputs: Arrays) -> dict[str, np.ndarray]:
        return {"scores": self.net(torch.from_numpy(inputs["images"]))[0].numpy()}

    def proof(self, n: int) -> list[Examples]:
        images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype(np.uint8)
        return [Examples(inputs={"images": images}, where=RANDOM)]

    calibration = proof

    def decisions(self, outputs: Sequence[Arrays]) -> np.ndarray:
        return np.asarray(outputs[0]["scores"].argmax(axis=1))

    def right(self, outputs: Sequence[Arrays], examples: Sequence[Examples]) -> None:
        return None

    def about(self) -> dict[str, Any]:
        return {}

    def beside(self, folder: Path) -> None:
        return None


def main(to: Any, precision: Any) -> int:
    """Export it; 0, or 1 with the reason as the last line on standard error."""
    from reslab.ship.export.job import export

    with tempfile.TemporaryDirectory() as folder:
        try:
            export(Tiny(), out=Path(folder) / "tiny", to=to, precision=precision, threads=1)
        except Exception as error:  # of any of the packages that are tried
            sys.stderr.write(f"{type(error).__name__}: {first_line(error)}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
