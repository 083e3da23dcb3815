"""The claim: planning the removal of 14 of ResNet-56's blocks takes at most 0.6x the time of the naive greedy loop.

1,000 images of 32x32; each step removes the block without which the loss is lowest, and error and loss of every step
are measured. In turn, in one process: our plan, in which candidates that are clearly worse on the first images are
stopped; with --full the same without stopping any (race=False); and the loop that one would write by hand, in which a
disabled or removed branch costs nothing. All on the same images, with the same plan as the result, or the bench fails.
By operation count, growing passes alone give (R + 1) / (2 R - 2) of the loop with R blocks left: 0.54 for 27, 0.58 for
14. The table of the blocks' times is part of the plan's time. CPU seconds, because machines are shared:
python bench/slim.py [--rounds 3] [--images 1000] [--steps 14] [--full]
"""

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import reslab
from reslab.images.data import load, measure
from reslab.look.measure import METRICS
from reslab.run import processor
from reslab.slim import find_blocks, plan
from reslab.slim.block import Blocks

SHARED = Path(os.environ.get("RESLAB_SHARED", Path(__file__).parents[2] / "shared"))
Batches = list[tuple[Tensor, Tensor]]
KEPT = 1  # blocks that stay in each stage: a stage may not become empty


def prepared(images: int) -> tuple[nn.Module, Tensor, Tensor, str]:
    """A trained net and real images if available; otherwise random ones with statistics that keep the net finite."""
    file = SHARED / "data/weights/akamaster/resnet56-4bfd9763.th"
    if file.exists():
        data = load(str(SHARED / "data/cifar10-jpeg"))
        part = data.train.subset(torch.arange(images))  # a plan never sees the test part
        x = measure(data.train, mean="imagenet", std=True)(part.pixels)
        return reslab.load(file, "resnet56", shortcut="A-both"), x, part.labels, "trained (akamaster), CIFAR-10 (JPEG)"
    torch.manual_seed(0)
    net = reslab.net("resnet56").eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(1, 2)
    return net, torch.randn(images, 3, 32, 32), torch.randint(0, 10, (images,)), "random weights and images"


class Nothing(nn.Module):
    """A branch that costs nothing."""

    def forward(self, x: Tensor) -> float:
        return 0.0


def by_hand(net: nn.Module, batches: Batches, blocks: Blocks, steps: int) -> list[int]:
    """The obvious code for this one net: in each step, replace each branch that is left in turn, and run the net."""
    places = {block.index: net.get_submodule(block.module) for block in blocks.removable}
    branches = {i: place.branch for i, place in places.items()}
    removed: list[int] = []
    with torch.no_grad():
        for _ in range(steps):
            losses = {}
            for i in allowed(blocks, removed):
                places[i].branch = Nothing()
                sums = dict.fromkeys(("loss", "error"), 0.0)
                for x, y in batches:
                    scores = net(x)
                    for name in sums:
                        sums[name] += METRICS[name](scores, y, scores).double().sum().item()
                losses[i] = sums["loss"]
                places[i].branch = branches[i]
            removed.append(min(losses, key=losses.__getitem__))
            places[removed[-1]].branch = Nothing()
    for i, place in places.items():
        place.branch = branches[i]
    return removed


def allowed(blocks: Blocks, removed: list[int]) -> list[int]:
    """The blocks that may go next: a block that projects always may, because its skip stays in the stage."""

    def left(container: str) -> int:
        inside = [block for block in blocks if block.container == container]
        return sum(block.index not in removed or block.kind == "branch" for block in inside)

    return [block.index for block in blocks.removable if block.index not in removed
            and (block.kind == "branch" or left(block.container) > KEPT)]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=100, help="of all three; the fastest for the loop on our CPUs")
    parser.add_argument("--full", action="store_true", help="also plan without stopping any candidate")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # on a busy machine, blocks' times may not add up
    net, x, y, what = prepared(args.images)
    batches = list(zip(x.split(args.batch), y.split(args.batch), strict=True))
    blocks = find_blocks(net, x[:2])

    def ours(race: bool) -> list[int]:
        found = plan(net, batches, remove=args.steps, held_out=0, race=race)
        return [block.index for block in found.removed]

    sides: dict[str, Callable[[], list[int]]] = {
        "plan": lambda: ours(True),
        "greedy loop by hand": lambda: by_hand(net, batches, blocks, args.steps),
    }
    if args.full:
        sides["plan, none stopped"] = lambda: ours(False)
    seen: dict[str, list[float]] = {name: [] for name in sides}
    order: dict[str, list[int]] = {}
    for _ in range(args.rounds):
        for name, work in sides.items():
            began = time.process_time()
            order[name] = work()
            seen[name].append(time.process_time() - began)
    print(f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}; load {os.getloadavg()[0]:.1f}")
    print(f"ResNet-56, {what}, {args.images} images, {args.steps} of {len(blocks.removable)} blocks")
    for name, times in seen.items():
        print(f"{name:<20} CPU {statistics.median(times):7.1f} s ({min(times):.1f} to {max(times):.1f}); {order[name]}")
    for name in sides.keys() - {"greedy loop by hand"}:
        ratios = [a / b for a, b in zip(seen[name], seen["greedy loop by hand"], strict=True)]
        claim = "; claim: 0.6x" if name == "plan" else ""
        print(f"{name}, relative to the loop: {statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
              f"{claim}")  # fmt: skip
    if len({tuple(found) for found in order.values()}) > 1:
        raise SystemExit("the plans differ")


if __name__ == "__main__":
    main()
