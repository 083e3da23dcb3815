"""The claim: all single lesions of ResNet-56 by the growing pass take at most 0.65x the time of the naive loop.

1,000 images of 32x32; error, loss and KL of the intact net and of 27 lesioned ones. Measured alternately in one
process: the growing pass; our naive loop (method="naive"); a hand-written loop, in which a disabled branch costs
nothing. Each loop uses the batch size that was fastest for it. By operation count the ratio is (n + 2) / (2 n + 2) =
0.52. --k adds lesions of k random blocks, ten times. CPU seconds, because machines are shared, and wall time:
python bench/lesions.py [--rounds 3] [--images 1000] [--device cuda]
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import reslab
from reslab.images.data import load, measure
from reslab.look import find
from reslab.look.lesion.lesion import lesions
from reslab.look.measure import METRICS
from reslab.run import processor

SIZES = (25, 100, 250)
SHARED = Path(os.environ.get("RESLAB_SHARED", Path(__file__).parents[2] / "shared"))
Batches = list[tuple[Tensor, Tensor]]


def prepared(images: int, device: torch.device) -> tuple[nn.Module, Tensor, Tensor, str]:
    """A trained net and real images if available; otherwise random ones with statistics that keep the net finite."""
    file = SHARED / "data/weights/akamaster/resnet56-4bfd9763.th"
    if file.exists():
        data = load(str(SHARED / "data/cifar10-jpeg"))
        part = data.test.subset(torch.arange(images))
        x = measure(data.train, mean="imagenet", std=True)(part.pixels)
        net = reslab.load(file, "resnet56", shortcut="A-both")
        return net.to(device), x.to(device), part.labels.to(device), "trained (akamaster), CIFAR-10 (JPEG)"
    torch.manual_seed(0)
    net = reslab.net("resnet56").eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(1, 2)
    x, y = torch.randn(images, 3, 32, 32), torch.randint(0, 10, (images,))
    return net.to(device), x.to(device), y.to(device), "random weights and images"


def cut(x: Tensor, y: Tensor, size: int) -> Batches:
    return list(zip(x.split(size), y.split(size), strict=True))


class Nothing(nn.Module):
    """A branch that costs nothing."""

    def forward(self, x: Tensor) -> float:
        return 0.0


def by_hand(net: nn.Module, batches: Batches) -> list[dict[str, float]]:
    """The obvious code for this one net: replace each branch in turn and run the net on everything."""
    metrics = {name: METRICS[name] for name in ("error", "loss", "kl")}
    found = []
    with torch.no_grad():
        whole = [net(x) for x, _ in batches]
        blocks = [m for m in net.modules() if hasattr(m, "branch")]
        for block in [None, *blocks]:
            sums = dict.fromkeys(metrics, 0.0)
            branch = block.branch if block else None
            if block:
                block.branch = Nothing()
            for (x, y), reference in zip(batches, whole, strict=True):
                scores = net(x) if block else reference
                for name, metric in metrics.items():
                    sums[name] += metric(scores, y, reference).double().sum().item()
            if block:
                block.branch = branch
            found.append(sums)
    return found


def timed(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """(CPU seconds, wall-clock seconds); on a GPU the latter are GPU time."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=100, help="of the growing pass: the most rows it grows to")
    parser.add_argument("--k", type=int, nargs="*", default=[])
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    device = torch.device(args.device)
    net, x, y, what = prepared(args.images, device)
    merges = find(net, x[:2])
    some = min(args.images, max(SIZES))

    def ours(size: int, method: str, n: int = args.images) -> object:
        return lesions(net, cut(x[:n], y[:n], size), merges=merges, ks=args.k, swaps=(), method=method)  # type: ignore

    def hand(size: int, n: int = args.images) -> object:
        return by_hand(net, cut(x[:n], y[:n], size))

    at = 0 if device.type == "cpu" else 1
    best = min(SIZES, key=lambda size: timed(lambda: ours(size, "naive", some), device)[at])
    best_hand = min(SIZES, key=lambda size: timed(lambda: hand(size, some), device)[at])
    sides: dict[str, Callable[[], object]] = {
        f"growing pass, batch {args.batch}": lambda: ours(args.batch, "growing"),
        f"naive loop, batch {best}": lambda: ours(best, "naive"),
    }
    if not args.k:
        sides[f"by hand, batch {best_hand}"] = lambda: hand(best_hand)
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, work in sides.items():
            seen[name].append(timed(work, device))
    where = torch.cuda.get_device_name() if device.type == "cuda" else processor()
    print(f"{where}, {torch.get_num_threads()} threads, torch {torch.__version__}; load {os.getloadavg()[0]:.1f}")
    print(f"ResNet-56, {what}, {args.images} images; lesions: {len(merges)} single, 10 of each k in {args.k}")
    grown = seen[next(iter(seen))]
    for name, times in seen.items():
        cpu, wall = ([t[i] for t in times] for i in (0, 1))
        print(
            f"{name:<26} CPU {statistics.median(cpu):7.2f} s ({min(cpu):.2f} to {max(cpu):.2f}), "
            f"clock {statistics.median(wall):7.2f} s ({min(wall):.2f} to {max(wall):.2f})"
        )
        if times is not grown:
            ratios = [[a[i] / b[i] for a, b in zip(grown, times, strict=True)] for i in (0, 1)]
            said = [f"{statistics.median(r):.2f}x ({min(r):.2f} to {max(r):.2f})" for r in ratios]
            print(f"  grown batch relative to this: CPU {said[0]}, wall {said[1]}; claim: 0.65x")


if __name__ == "__main__":
    main()
