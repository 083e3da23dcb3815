"""VGG networks A, B, D and E (Simonyan and Zisserman 2014, arXiv 1409.1556, Table 1): the plain ancestor."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from reslab import blocks
from reslab.errors import UsageError
from reslab.nets.matched import Match
from reslab.nets.predictions import Predict, Preprocess


@dataclass(frozen=True, kw_only=True)
class VGGSpec:
    """Everything that defines a VGG network; plain data, stored as JSON."""

    name: str
    stages: tuple[int, ...]  # 3x3 layers in each stage; a 2x2 max-pool ends every stage
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    head: Literal["imagenet", "cifar"] = "imagenet"  # two layers of 4096 with dropout, or one linear layer
    classes: int = 1000
    channels: int = 3
    size: int = 224
    norm: bool = False  # the paper has none; the _bn nets do
    init: str = "he"

    family: ClassVar[str] = "vgg"

    @property
    def depth(self) -> int:
        """Number of weighted layers: the number in the name (two fewer with the CIFAR head)."""
        return sum(self.stages) + (3 if self.head == "imagenet" else 1)

    @property
    def least(self) -> int:
        """Side in pixels of the smallest possible image: every stage halves it."""
        return 2 ** len(self.stages)

    def check(self) -> None:
        """Raise UsageError for a combination that cannot be built."""
        if len(self.stages) != len(self.widths):
            raise UsageError(f"stages and widths must have the same length, got {self.stages} and {self.widths}")
        if self.size < self.least:
            raise UsageError(
                f"{self.name} halves {len(self.stages)} times: size must be at least {self.least}, got {self.size}"
            )


class VGG(nn.Module):
    """Stages of 3x3 convolutions, then the head. (N, channels, H, W) to (N, classes)."""

    match: Match  # how the weights of a run or a checkpoint went in; only nets of `reslab.load` have it
    predict: Predict  # images to predictions; it and the next two are of nets that `reslab.load` read from a run
    classes: tuple[str, ...]
    preprocess: Preprocess

    def __init__(self, spec: VGGSpec) -> None:
        super().__init__()
        self.spec = spec
        self.features = nn.Sequential()
        channels = spec.channels
        for count, width in zip(spec.stages, spec.widths, strict=True):
            for _ in range(count):
                # A bias before BatchNorm is redundant, but the published counts include it.
                self.features.append(nn.Conv2d(channels, width, 3, padding=1))
                if spec.norm:
                    self.features.append(nn.BatchNorm2d(width))
                self.features.append(nn.ReLU(inplace=True))
                channels = width
            self.features.append(nn.MaxPool2d(2))
        large = spec.head == "imagenet"
        self.pool = nn.AdaptiveAvgPool2d(7 if large else 1)
        self.head = make_head(channels, spec.classes) if large else nn.Linear(channels, spec.classes)
        blocks.initialize(self, spec.init)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.features(x)).flatten(1))


def make_head(channels: int, classes: int) -> nn.Sequential:
    """Two layers of 4096 with dropout and the classifier, on a 7x7 map."""
    return nn.Sequential(
        nn.Linear(channels * 49, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, classes),
    )
