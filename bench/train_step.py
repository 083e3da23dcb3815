"""The claim: `auto` trains ResNet-20 at least 1.8x as fast as plain eager fp32 NCHW on a CPU with native bf16.

Both train the same net, batch 128 of 32x32 images, whole steps (forward, loss, backward, SGD), alternately in
one process. Prints each side's median step and the ratio: python bench/train_step.py [--net resnet20] [--rounds 7]
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

import reslab
from reslab.run import processor
from reslab.train.optimizer import make_optimizer
from reslab.train.recipe import change, read
from reslab.train.tune import Choice, choose


def stepper(net: torch.nn.Module, choice: Choice, x: torch.Tensor, y: torch.Tensor) -> Callable[[], None]:
    """One whole training step of a copy of `net` as `choice` runs it."""
    net = choice.place(copy.deepcopy(net), x.device).train()
    optimizer = make_optimizer(net, read("paper-cifar"))
    forward = torch.compile(net) if choice.compile else net

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with choice.autocast(x.device):
            out = forward(x.contiguous(memory_format=choice.layout))
        F.cross_entropy(out.float(), y).backward()
        optimizer.step()
        if x.device.type == "cuda":
            torch.cuda.synchronize()

    return step


def timed(step: Callable[[], None], steps: int) -> float:
    """Seconds per step, over a few steps."""
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - begin) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", default="resnet20")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--compile", choices=("auto", "on", "off"), default="off")
    args = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = reslab.net(args.net).to(device)
    x, y = torch.randn(128, 3, 32, 32, device=device), torch.randint(0, 10, (128,), device=device)
    recipe = change(read("paper-cifar"), compile=args.compile)
    auto = choose(net, (x, y), F.cross_entropy, recipe=recipe, steps=64_000)
    sides = {"plain eager fp32 NCHW": stepper(net, Choice(), x, y), f"auto ({auto})": stepper(net, auto, x, y)}
    seen: dict[str, list[float]] = {name: [] for name in sides}
    for step in sides.values():
        timed(step, 3)
    for _ in range(args.rounds):
        for name, step in sides.items():
            seen[name].append(timed(step, args.steps))
    print(f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {args.net}, batch 128")
    for name, values in seen.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"{name:<28} {1000 * middle:7.1f} ms/step ({1000 * low:.1f} to {1000 * high:.1f}, n = {len(values)})")
    slow, fast = seen.values()
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    print(f"auto is {statistics.median(ratios):.2f}x as fast ({min(ratios):.2f} to {max(ratios):.2f}); claim: 1.8x")


if __name__ == "__main__":
    main()
