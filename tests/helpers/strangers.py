"""A user's file of small image nets, for --net FILE.py:FUNCTION."""

from pathlib import Path

import pytest

NETS = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1))
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.out = nn.Linear(8, outputs)
    def forward(self, x):
        x = self.body(x)
        x = x + self.block(x).relu()
        return self.out(x.mean((2, 3)))

class Pair(Small):
    def forward(self, x):
        y = super().forward(x)
        return {"logits": y, "extra": x} if not self.training else (y, x)

def fixed(): return Small(5)
def asked(num_classes, wide=False): return Small(num_classes)
def pair(classes): return Pair(classes)
def encoder(): return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
def maps(classes): return nn.Conv2d(1, classes, 1)
def rgb(classes): return nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))
def convolution(): return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
def lazy(classes): return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))
def twice(classes):
    net = Small(classes)
    net.alias = net.out  # one layer under two names
    return net
def breaks(classes): raise ValueError("no such thing")
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The file; it lies in a folder of its own."""
    path = tmp_path / "code" / "mine.py"
    path.parent.mkdir()
    path.write_text(NETS)
    return path
