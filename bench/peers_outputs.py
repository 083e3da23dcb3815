"""Our nets against torchvision's and timm's: copy the weights over, compare the outputs.

    PYTHONPATH=src:../shared/tools/peers PEERS/bin/python bench/peers_outputs.py

PEERS is an environment with torch, torchvision and timm (shared/tools/peers/install makes one). Every peer gets
random weights and random BatchNorm statistics; ours loads its state dict by order and shape. Eval mode, float32,
two random 224x224 images, one CPU. Fails where the largest difference exceeds 1e-5 of the largest output.

Result (torch 2.13.0, torchvision 0.28.0, timm 1.0.31): all ten pairs differ by exactly 0,
and resnet50 loaded into the net with the stride on the 1x1 by 3.5e-2, with a warning.

With --golden, writes instead the names and shapes of the peers' tensors that tests/nets/test_weights.py reads.
"""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision_cpu  # noqa: F401  lets torchvision import beside CPU torch
from torch import nn

import reslab
from reslab.nets import insert

import timm  # isort: skip
import torchvision  # isort: skip

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
PEERS: dict[str, Callable[..., nn.Module]] = {
    "torchvision": lambda name: torchvision.models.get_model(name, weights=None),
    "timm": lambda name: timm.create_model(name, pretrained=False),
}
PAIRS = [  # whose, their name, ours
    ("torchvision", "resnet18", "resnet18"),
    ("torchvision", "resnet34", "resnet34"),
    ("torchvision", "resnet50", "resnet50_v1.5"),
    ("torchvision", "resnet101", "resnet101_v1.5"),
    ("torchvision", "resnet152", "resnet152_v1.5"),
    ("torchvision", "vgg11", "vgg11"),
    ("torchvision", "vgg16_bn", "vgg16_bn"),
    ("timm", "resnet18", "resnet18"),
    ("timm", "resnet34", "resnet34"),
    ("timm", "resnet50", "resnet50_v1.5"),
]
TOLERANCE = 1e-5


def randomize(net: nn.Module) -> None:
    """BatchNorms with random statistics and weights, so that a swapped pair is noticed."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)


@torch.no_grad()
def difference(whose: str, theirs: str, ours: str) -> tuple[float, str]:
    """max |ours - theirs| / max |theirs| over two images, and how the tensors were matched."""
    torch.manual_seed(0)
    peer = PEERS[whose](theirs).eval()
    randomize(peer)
    x = torch.randn(2, 3, 224, 224)
    net = reslab.net(ours, init="torch").eval()
    found = insert(net, peer.state_dict())
    want = peer(x)
    return ((net(x) - want).abs().max() / want.abs().max()).item(), str(found)


def write_golden() -> None:
    for whose, version in (("torchvision", torchvision.__version__), ("timm", timm.__version__)):
        for name in ("resnet18", "resnet50"):
            state = PEERS[whose](name).state_dict()
            tensors = [[key, list(value.shape)] for key, value in state.items()]
            text = json.dumps({"source": f"{whose} {version}", "tensors": tensors}, separators=(",", ":"))
            (GOLDEN / f"{whose}_{name}.json").write_text(text + "\n")


def main() -> int:
    if "--golden" in sys.argv:
        write_golden()
        return 0
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    worst = 0.0
    for whose, theirs, ours in PAIRS:
        apart, how = difference(whose, theirs, ours)
        worst = max(worst, apart)
        print(f"{whose:12} {theirs:10} -> {ours:14} max relative difference {apart:.1e}  ({how})", flush=True)
    apart, how = difference("torchvision", "resnet50", "resnet50")
    print(f"{'torchvision':12} {'resnet50':10} -> {'resnet50':14} max relative difference {apart:.1e}  ({how})")
    warned = 'stride_on="3x3"' in how
    print(f"worst {worst:.1e}, allowed {TOLERANCE:.0e}; the wrong stride was {'' if warned else 'NOT '}warned about")
    return 0 if worst <= TOLERANCE and warned and apart > 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
