"""The claim: the exact spectrum of ResNet-56 costs a small part of what sampling its paths costs.

Both use the same net and 4 images. Exact: one pass whose batch shrinks. Sampled, as published: 1,000 paths for each of
the 28 lengths, many in one batch. Sampling runs with --paths per length, and its time is scaled linearly to 1,000.
Measured alternately in one process, in CPU seconds, because machines are shared: python bench/paths.py [--rounds 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import reslab
from reslab.look import find
from reslab.look.path.paths import paths
from reslab.run import processor

PUBLISHED = 1000


def cpu_seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def whole_gradient(net: torch.nn.Module, x: torch.Tensor) -> None:
    start = x.clone().requires_grad_()
    torch.autograd.grad(net(start).sum(), start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", default="cifar_resnet56")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--paths", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(0)
    net = reslab.net(args.net).eval()
    x, y = torch.randn(args.images, 3, 32, 32), torch.arange(args.images)
    merges = find(net, x[:2])
    exact, sampled, gradient = [], [], []
    paths(net, [(x, y)], merges=merges)  # warm
    for _ in range(args.rounds):
        gradient.append(cpu_seconds(lambda: whole_gradient(net, x)))
        both = cpu_seconds(lambda: paths(net, [(x, y)], merges=merges))
        exact.append(both)
        drawn = cpu_seconds(lambda: paths(net, [(x, y)], merges=merges, sample=args.paths))
        sampled.append((drawn - both) * PUBLISHED / args.paths)
    found = paths(net, [(x, y)], merges=merges)
    ratios = [s / e for s, e in zip(sampled, exact, strict=True)]
    where = f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{where}; {args.net}, {args.images} images; seconds of CPU, medians of {args.rounds}")
    whole = statistics.median(gradient)
    part = statistics.median(exact)
    print(
        f"one usual gradient: {whole:.3f}; exact, {len(merges) + 1} lengths: {part:.2f} ({part / whole:.0f} gradients)"
    )
    print(f"sampled, {PUBLISHED} paths a length: {statistics.median(sampled):.0f} (from {args.paths} paths a length)")
    print(f"sampling costs {statistics.median(ratios):.0f}x ({min(ratios):.0f} to {max(ratios):.0f})")
    print(f"the sum of all lengths is the gradient to {found.deviation:.1e} (float32)")


if __name__ == "__main__":
    main()
